/** A pod's status, worked out from its containers. */
import type { V1Pod, V1PodCondition, V1PodStatus } from '@kubernetes/client-node';
import { clusterAddress } from '../network/route';
import type { Container } from './container';

export interface PodFacts {
  readonly pod: V1Pod;
  readonly hostAddress: string;
  readonly address: string;
  readonly startTime: Date;
  readonly stopping: boolean;
  readonly inits: readonly Container[];
  readonly containers: readonly Container[];
}

const ended = (container: Container) => container.exitCode !== undefined;

export function phaseOf({ pod, stopping, inits, containers }: PodFacts): string {
  const policy = pod.spec?.restartPolicy ?? 'Always';
  const initFailed = policy === 'Never' && inits.some((one) => ended(one) && one.exitCode !== 0);
  if (initFailed) return 'Failed';
  if (containers.every(ended) && (policy !== 'Always' || stopping)) {
    if (containers.every((one) => one.exitCode === 0)) return 'Succeeded';
    if (policy === 'Never' || stopping) return 'Failed';
  }
  return containers.some((one) => one.hasStarted) ? 'Running' : 'Pending';
}

/** Remembers when a condition last changed, over all statuses of one pod. */
export class Conditions {
  private readonly known = new Map<string, V1PodCondition>();

  /** Goes on from the conditions that the API has, so that an adopted pod's do not seem to change. */
  constructor(before: readonly V1PodCondition[] = []) {
    for (const condition of before) this.known.set(condition.type, condition);
  }

  set(type: string, holds: boolean, reason: string, message = ''): V1PodCondition {
    const status = holds ? 'True' : 'False';
    const before = this.known.get(type);
    const lastTransitionTime = before?.status === status ? (before.lastTransitionTime ?? new Date()) : new Date();
    const why = holds ? {} : { reason, message };
    const condition: V1PodCondition = { type, status, lastTransitionTime, ...why };
    this.known.set(type, condition);
    return condition;
  }
}

export function podStatus(facts: PodFacts, conditions: Conditions): V1PodStatus {
  const { pod, hostAddress, inits, containers } = facts;
  const phase = phaseOf(facts);
  const initialized = inits.every((one) => one.exitCode === 0);
  const ready = !facts.stopping && initialized && containers.every((one) => one.isReady);
  const why = phase === 'Succeeded' ? 'PodCompleted' : 'ContainersNotReady';
  const waiting = containers.filter((one) => !one.isReady).map((one) => one.spec.name);
  const message = `containers with unready status: [${waiting.join(' ')}]`;
  const address = clusterAddress(facts.address);
  return {
    phase,
    hostIP: hostAddress,
    hostIPs: [{ ip: hostAddress }],
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: facts.startTime,
    ...(pod.metadata?.generation ? { observedGeneration: pod.metadata.generation } : {}),
    conditions: [
      conditions.set('PodScheduled', true, ''),
      conditions.set('PodReadyToStartContainers', true, ''),
      conditions.set('Initialized', initialized, 'ContainersNotInitialized'),
      conditions.set('ContainersReady', ready, why, message),
      conditions.set('Ready', ready, why, message),
    ],
    ...(inits.length ? { initContainerStatuses: inits.map((one) => one.status()) } : {}),
    containerStatuses: containers.map((one) => one.status()),
  };
}
