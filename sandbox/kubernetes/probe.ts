/** Startup, liveness and readiness probes, and what runs before a container stops. */
import type { V1Container, V1HTTPGetAction, V1Probe } from '@kubernetes/client-node';
import { execFile } from 'node:child_process';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Quicker than a kubelet until the first success: a rollout waits for this. */
const firstEveryMs = 50;
const slowestFirstMs = 1_000;

export interface ProbeTarget {
  readonly container: V1Container;
  readonly address: string;
  /** For exec: what the container's process has. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly gid: number | undefined;
}

type Action = Pick<V1Probe, 'httpGet' | 'tcpSocket' | 'exec'>;

/** @throws Error when the container has no port of that name. */
function portOf(container: V1Container, port: number | string): number {
  if (Number(port)) return Number(port);
  const named = container.ports?.find((one) => one.name === port);
  if (!named) throw new Error(`probe of container "${container.name}" names port "${port}", which it does not have`);
  return named.containerPort;
}

function httpSucceeds(target: ProbeTarget, action: V1HTTPGetAction, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const options: https.RequestOptions = {
      host: target.address,
      port: portOf(target.container, action.port),
      path: action.path ?? '/',
      timeout: timeoutMs,
      agent: false,
      rejectUnauthorized: false, // as a kubelet: a probe asks for life, not for identity
      headers: Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value])),
    };
    const request = (action.scheme === 'HTTPS' ? https : http).get(options, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400);
    });
    request.setTimeout(timeoutMs, () => request.destroy(new Error('timeout')));
    request.on('error', () => resolve(false));
  });
}

function tcpSucceeds(address: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port, timeout: timeoutMs });
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
  });
}

function commandSucceeds(target: ProbeTarget, command: readonly string[], timeoutMs: number): Promise<boolean> {
  const [file = '', ...args] = command;
  const group = target.gid === undefined ? {} : { gid: target.gid };
  const options = { timeout: timeoutMs, cwd: target.cwd, env: target.env, ...group };
  return new Promise((resolve) => execFile(file, args, options, (error) => resolve(!error)));
}

/** Carries an action out once. @returns whether it succeeded in time. */
export async function carryOut(target: ProbeTarget, action: Action, timeoutMs: number): Promise<boolean> {
  if (action.httpGet) return httpSucceeds(target, action.httpGet, timeoutMs);
  if (action.tcpSocket) {
    return tcpSucceeds(target.address, portOf(target.container, action.tcpSocket.port), timeoutMs);
  }
  return action.exec ? commandSucceeds(target, action.exec.command ?? [], timeoutMs) : true;
}

/**
 * Probes until `signal` aborts and tells each change of mind. The first success of a probe is looked for in quick steps;
 * after that `periodSeconds` holds.
 * @param tell gets true at the success threshold and false at the failure threshold; it ends the probing by returning false.
 */
export async function keepProbing(
  target: ProbeTarget,
  probe: V1Probe,
  signal: AbortSignal,
  tell: (success: boolean) => boolean,
): Promise<void> {
  const periodMs = (probe.periodSeconds ?? 10) * 1000;
  const failuresAllowed = probe.failureThreshold ?? 3;
  let [successes, failures, pauseMs, everSucceeded] = [0, 0, firstEveryMs, false];
  let failing: number | undefined;
  await delay((probe.initialDelaySeconds ?? 0) * 1000, undefined, { signal });
  while (!signal.aborted) {
    const success = await carryOut(target, probe, (probe.timeoutSeconds ?? 1) * 1000);
    if (signal.aborted) return;
    if (success) {
      [successes, failures, everSucceeded] = [successes + 1, 0, true];
      failing = undefined;
      if (successes === (probe.successThreshold ?? 1) && !tell(true)) return;
    } else {
      // Quick steps must not use up the failures that the author meant to be a period apart.
      failing ??= Date.now();
      [successes, failures] = [0, everSucceeded ? failures + 1 : Math.floor((Date.now() - failing) / periodMs) + 1];
      if (failures >= failuresAllowed && (!everSucceeded || failures === failuresAllowed) && !tell(false)) return;
    }
    pauseMs = everSucceeded ? periodMs : Math.min(pauseMs * 1.5, slowestFirstMs, periodMs);
    await delay(pauseMs, undefined, { signal });
  }
}
