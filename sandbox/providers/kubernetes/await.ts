/**
 * When an applied object is what it was made to be. The rules are those of the official plugin, with two differences: it does
 * not wait ten more seconds for endpoints to settle, and a Deployment that is scaled to zero is waited for until its last
 * pod is gone, because a site counts as fenced by then.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isRecord } from '../plugin';
import { KubeError, type Cluster, type KubeObject } from './cluster';

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastUpdateTime?: string;
}

/** What holds an object back, in words; empty: it is there. `final`: it won't come by itself. */
interface Verdict {
  readonly waitingFor: readonly string[];
  readonly final?: boolean;
}

type List = (
  apiVersion: string,
  kind: string,
  query?: Readonly<Record<string, string>>,
) => Promise<readonly KubeObject[]>;
/** What the wait began with, and how long it has taken, ms. */
interface Wait {
  readonly applied: KubeObject;
  readonly elapsed: number;
}

type Rule = (live: KubeObject, list: List, wait: Wait) => Promise<Verdict>;

const pollMs = 250;
const defaultTimeoutMs = 600_000;
const ready: Verdict = { waitingFor: [] };

const conditions = (object: KubeObject) => (object.status?.['conditions'] ?? []) as readonly Condition[];
const condition = (object: KubeObject, type: string) => conditions(object).find((one) => one.type === type);
const count = (object: KubeObject, field: string) => Number(object.status?.[field] ?? 0);
const replicas = (object: KubeObject) => Number(object.spec?.['replicas'] ?? 1);
const observed = (object: KubeObject) => count(object, 'observedGeneration') >= (object.metadata.generation ?? 0);

function selector(object: KubeObject): string {
  const labels = (object.spec?.['selector'] as { matchLabels?: Record<string, string> } | undefined)?.matchLabels ?? {};
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

const podsOf = (object: KubeObject, list: List) => list('v1', 'Pod', { labelSelector: selector(object) });

interface ContainerStatus {
  readonly name: string;
  readonly state?: {
    readonly waiting?: { reason?: string; message?: string };
    readonly terminated?: { reason?: string; message?: string; exitCode?: number };
  };
}

/** @returns what is wrong with a pod; nothing when it only needs time. */
function podErrors(pod: KubeObject): string[] {
  const statuses = [
    ...((pod.status?.['initContainerStatuses'] ?? []) as ContainerStatus[]),
    ...((pod.status?.['containerStatuses'] ?? []) as ContainerStatus[]),
  ];
  const containers = statuses.flatMap(({ name, state }) => {
    const { waiting, terminated } = state ?? {};
    if (waiting?.reason && !['ContainerCreating', 'PodInitializing'].includes(waiting.reason))
      return [`container ${name}: [${waiting.reason}] ${waiting.message ?? ''}`.trim()];
    if (terminated && terminated.exitCode !== 0)
      return [`container ${name}: [${terminated.reason ?? 'Error'}] exit code ${terminated.exitCode}`];
    return [];
  });
  const failing = conditions(pod).filter(
    ({ type, status }) => status === 'False' && ['PodScheduled', 'Ready'].includes(type),
  );
  const reasons = containers.length
    ? containers
    : failing.map(({ reason, message }) => `[${reason ?? 'NotReady'}] ${message ?? ''}`.trim());
  return reasons.map((reason) => `Pod ${pod.metadata.name}: ${reason}`);
}

/** A rollout that took too long. The condition outlives its rollout: one that stood there before says nothing of this one. */
function tooLong(live: KubeObject, { applied, elapsed }: Wait): boolean {
  const [now, before] = [condition(live, 'Progressing'), condition(applied, 'Progressing')];
  if (now?.status !== 'False' || now.reason !== 'ProgressDeadlineExceeded') return false;
  return (
    now.lastUpdateTime !== before?.lastUpdateTime ||
    elapsed > Number(live.spec?.['progressDeadlineSeconds'] ?? 600) * 1_000
  );
}

const deployment: Rule = async (live, list, wait) => {
  const wanted = replicas(live);
  if (!observed(live)) return { waitingFor: ['the Deployment controller to see the change'] };
  if (wanted === 0) {
    const left = await podsOf(live, list);
    const waitingFor =
      left.length || count(live, 'replicas')
        ? [`${Math.max(left.length, count(live, 'replicas'))} Pods to be gone`]
        : [];
    return { waitingFor };
  }
  const [available, progressing] = [condition(live, 'Available'), condition(live, 'Progressing')];
  const rolledOut =
    progressing === undefined || (progressing.status === 'True' && progressing.reason === 'NewReplicaSetAvailable');
  const complete = count(live, 'updatedReplicas') >= wanted && count(live, 'readyReplicas') >= wanted;
  if (available?.status === 'True' && rolledOut && complete) return ready;
  const said = [available, progressing]
    .filter((one) => one?.status === 'False')
    .map((one) => `[${one?.reason}] ${one?.message}`);
  const errors = (await podsOf(live, list)).flatMap(podErrors);
  return {
    final: tooLong(live, wait),
    waitingFor: [
      `the Deployment to be available (${count(live, 'readyReplicas')}/${wanted} Pods ready)`,
      ...said,
      ...errors,
    ],
  };
};

const statefulSet: Rule = async (live, list) => {
  const wanted = replicas(live);
  if (!observed(live)) return { waitingFor: ['the StatefulSet controller to see the change'] };
  const sameRevision = live.status?.['currentRevision'] === live.status?.['updateRevision'];
  if (count(live, 'readyReplicas') >= wanted && count(live, 'replicas') === wanted && sameRevision) return ready;
  const errors = (await podsOf(live, list)).flatMap(podErrors);
  return {
    waitingFor: [`the StatefulSet to be ready (${count(live, 'readyReplicas')}/${wanted} Pods ready)`, ...errors],
  };
};

const job: Rule = async (live, list) => {
  if (condition(live, 'Complete')?.status === 'True') return ready;
  const failed = condition(live, 'Failed');
  const errors = (await list('v1', 'Pod', { labelSelector: `job-name=${live.metadata.name}` })).flatMap(podErrors);
  if (failed?.status === 'True')
    return { final: true, waitingFor: [`the Job failed: [${failed.reason}] ${failed.message}`, ...errors] };
  return { waitingFor: ['the Job to complete', ...errors] };
};

const loadBalancer = (live: KubeObject) =>
  ((live.status?.['loadBalancer'] as { ingress?: unknown[] } | undefined)?.ingress ?? []).length > 0;

const service: Rule = async (live, list) => {
  const {
    type,
    clusterIP,
    selector: labels,
  } = live.spec as { type?: string; clusterIP?: string; selector?: Record<string, string> };
  if (type === 'LoadBalancer' && !loadBalancer(live)) return { waitingFor: ['the Service to get an address'] };
  if (type === 'ExternalName' || clusterIP === 'None' || !Object.keys(labels ?? {}).length) return ready;
  const [endpoints] = await list('v1', 'Endpoints', { fieldSelector: `metadata.name=${live.metadata.name}` });
  if (Array.isArray(endpoints?.['subsets']) && endpoints['subsets'].length > 0) return ready;
  return {
    waitingFor: [
      "the Service to target Pods: the selected Pods may not be ready, or '.spec.selector' may match no Pod's labels",
    ],
  };
};

interface IngressPath {
  readonly path?: string;
  readonly backend: { readonly service?: { readonly name: string } };
}

const ingress: Rule = async (live, list) => {
  const rules = (live.spec?.['rules'] ?? []) as readonly { host?: string; http?: { paths: readonly IngressPath[] } }[];
  const paths = rules.flatMap(({ host, http }) =>
    (http?.paths ?? []).map((path) => ({ host, name: path.backend.service?.name })),
  );
  const [services, endpoints] = await Promise.all([list('v1', 'Service'), list('v1', 'Endpoints')]);
  const known = new Set([
    ...endpoints.map(({ metadata }) => metadata.name),
    ...services.filter(({ spec }) => spec?.['type'] === 'ExternalName').map(({ metadata }) => metadata.name),
  ]);
  const missing = paths
    .filter(({ name }) => name && !known.has(name))
    .map(({ host, name }) => `a Service "${name}" for ${host ?? 'any host'}`);
  return { waitingFor: [...missing, ...(loadBalancer(live) ? [] : ['the Ingress to get an address'])] };
};

const rules: Readonly<Record<string, Rule>> = {
  'apps/v1/Deployment': deployment,
  'apps/v1/StatefulSet': statefulSet,
  'batch/v1/Job': job,
  'networking.k8s.io/v1/Ingress': ingress,
  'v1/Service': service,
};

const annotation = (object: KubeObject, name: string) => object.metadata.annotations?.[`pulumi.com/${name}`];

/** @returns the object's own limit, else the resource's, else ten minutes. */
export const timeoutOf = (object: KubeObject, timeoutMs?: number): number => {
  const seconds = Number(annotation(object, 'timeoutSeconds'));
  return seconds > 0 ? seconds * 1_000 : (timeoutMs ?? defaultTimeoutMs);
};

/**
 * Waits until an applied object is initialized.
 * @returns what still holds it back when the time is over; empty when it is there.
 */
export async function initialized(
  cluster: Cluster,
  path: string,
  applied: KubeObject,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ live: KubeObject; reasons: readonly string[] }> {
  const rule = rules[`${applied.apiVersion}/${applied.kind}`];
  if (!rule || annotation(applied, 'skipAwait') === 'true') return { live: applied, reasons: [] };
  const list: List = async (apiVersion, kind, query) => {
    const { path: collection } = await cluster.locate(apiVersion, kind, signal);
    const { items } = await cluster.request(
      'GET',
      collection(applied.metadata.namespace ?? 'default'),
      signal,
      query ? { query } : {},
    );
    return items as readonly KubeObject[];
  };
  const began = Date.now();
  for (let live = applied; ;) {
    const { waitingFor, final } = await rule(live, list, { applied, elapsed: Date.now() - began });
    if (!waitingFor.length) return { live, reasons: [] };
    if (final || signal.aborted || Date.now() - began > timeoutMs) {
      const why = final ? 'it failed' : signal.aborted ? 'the update was cancelled' : `${timeoutMs / 1_000} s are over`;
      return {
        live,
        reasons: [
          `${applied.kind} ${applied.metadata.name} is not ready: ${why}, waiting for ${waitingFor[0]}`,
          ...waitingFor.slice(1),
        ],
      };
    }
    await delay(pollMs);
    live = (await cluster.request('GET', path, signal)) as unknown as KubeObject;
  }
}

/** Waits until an object is gone. @throws Error when it still exists after `timeoutMs`. */
export async function gone(
  cluster: Cluster,
  path: string,
  name: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      const live = await cluster.request('GET', path, signal);
      const finalizers = isRecord(live['metadata']) ? live['metadata']['finalizers'] : undefined;
      if (Date.now() > end)
        throw new Error(
          `${name} still exists after ${timeoutMs / 1_000} s; its finalizers: ${JSON.stringify(finalizers ?? [])}`,
        );
    } catch (cause) {
      if (cause instanceof KubeError && cause.status === 404) return;
      throw cause;
    }
    await delay(pollMs);
  }
}
