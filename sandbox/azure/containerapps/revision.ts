/** The running revision of a container app: started, found ready, restarted when it ends by itself. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, fetch } from 'undici';
import { authorityFile, issue } from '../../authority';
import { isRunning, logFile, start, stop, type ProcessSpec } from '../../process';
import { isCutOff } from '../../silence';
import { ports } from '../../world';
import { folderOf, listDeployments, readDeployment, writeSecret, type Deployment, type Probe } from './deployment';
import { keycloakProcess } from './keycloak';

/** Name of an image in the registry → how a container of it runs on this machine. */
const launchers: Readonly<Record<string, (deployment: Deployment) => Promise<ProcessSpec>>> = {
  'quay.io/keycloak/keycloak': keycloakProcess,
};

export const canRun = (imageName: string) => imageName in launchers;
const imageName = (reference: string) => reference.replace(/(:[\w][\w.-]*)?@.*$/, '');

/** A cold start takes a few seconds; on a machine that has much else to do, a multiple of that. */
export const readyMs = 300_000;
const queues = new Map<string, Promise<void>>();

/** One thing at a time for each app. */
function exclusively<T>(id: string, act: () => Promise<T>): Promise<T> {
  const result = (queues.get(id) ?? Promise.resolve()).then(act);
  const settled: Promise<void> = result
    .then(
      () => undefined,
      () => undefined,
    )
    .then(() => {
      if (queues.get(id) === settled) queues.delete(id);
    });
  queues.set(id, settled);
  return result;
}

async function launch(deployment: Deployment): Promise<void> {
  const folder = folderOf(deployment.resourceId);
  for (const [file, text] of Object.entries(deployment.files)) writeSecret(path.join(folder, 'root', file), text);
  const { cert, key } = await issue(deployment.names as [string, ...string[]]);
  writeSecret(path.join(folder, 'tls.key'), key);
  writeSecret(path.join(folder, 'tls.crt'), cert);
  const spec = await (launchers[imageName(deployment.image)] as (typeof launchers)[string])(deployment);
  await start(spec);
}

const halt = (deployment: Deployment) => stop((record) => record.name === deployment.process, 5_000);

let agent: Agent | undefined;
/** Certificates are issued for names, probes ask an address. */
const trusting = () =>
  (agent ??= new Agent({
    connect: { ca: fs.readFileSync(authorityFile, 'utf8'), checkServerIdentity: () => undefined },
  }));

async function answers(deployment: Deployment, probe: Probe): Promise<boolean> {
  const url = `${probe.scheme}://${deployment.address}:${probe.port}${probe.path}`;
  try {
    const response = await fetch(url, {
      dispatcher: trusting(),
      redirect: 'manual',
      signal: AbortSignal.timeout(3_000),
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 400;
  } catch {
    return false;
  }
}

/** Without a readiness probe the vendor asks whether the target port takes connections. */
const probeOf = (deployment: Deployment): Probe =>
  deployment.readiness ?? {
    ...{ scheme: 'https', port: ports.https, path: '/', periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 0 },
  };

export const isReady = (deployment: Deployment) => answers(deployment, probeOf(deployment));
export const isUp = (deployment: Deployment) => isRunning(deployment.process);

async function untilReady(deployment: Deployment): Promise<void> {
  const end = Date.now() + readyMs;
  while (!(await isReady(deployment))) {
    if (!isUp(deployment)) throw new Error(`the container ended before it was ready: ${lastWords(deployment)}`);
    if (Date.now() > end) {
      throw new Error(`the container was not ready within ${readyMs / 1000} s: ${lastWords(deployment)}`);
    }
    await delay(100);
  }
}

/** The last error of the container's log, else its last line. */
function lastWords(deployment: Deployment): string {
  const file = logFile(deployment.process);
  const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(-60) : [];
  return (lines.findLast((line) => line.includes('ERROR')) ?? lines.at(-1) ?? 'no log').trim().slice(0, 400);
}

/**
 * Replaces what runs of this app by what the deployment says.
 * @throws Error when it is not ready in time; nothing of it runs then
 */
export async function replace(deployment: Deployment): Promise<void> {
  await exclusively(deployment.resourceId, async () => {
    await halt(deployment);
    if (deployment.desired === 'stopped') return;
    try {
      await launch(deployment);
      await untilReady(deployment);
    } catch (cause) {
      await halt(deployment);
      throw cause;
    }
  });
}

/** Starts what should run, without waiting until it is ready. */
export async function ensure(deployment: Deployment): Promise<void> {
  await exclusively(deployment.resourceId, async () => {
    if (deployment.desired === 'running' && !isUp(deployment)) await launch(deployment);
  });
}

export const end = (deployment: Deployment) => exclusively(deployment.resourceId, () => halt(deployment));

const roundMs = 1_000;
const mostBackoffMs = 30_000;

interface Health {
  failures: number;
  nextProbeAt: number;
  restarts: number;
  nextStartAt: number;
}

/**
 * Looks after all apps once a second until told to stop: starts again what ended (later each time), and what its liveness probe
 * gives up.
 * @returns the function that ends it
 */
export function keepApps(log: (line: string) => void): () => void {
  const health = new Map<string, Health>();
  const busy = new Set<string>();
  const timer = setInterval(() => {
    for (const { resourceId } of listDeployments().filter((each) => !busy.has(each.resourceId))) {
      busy.add(resourceId);
      const known = health.get(resourceId) ?? { failures: 0, nextProbeAt: 0, restarts: 0, nextStartAt: 0 };
      health.set(resourceId, known);
      keepOne(resourceId, known, log)
        .catch((cause: unknown) => log(`${resourceId}: ${(cause as Error).message}`))
        .finally(() => busy.delete(resourceId));
    }
  }, roundMs);
  return () => clearInterval(timer);
}

async function keepOne(resourceId: string, health: Health, log: (line: string) => void): Promise<void> {
  const deployment = readDeployment(resourceId);
  if (!deployment || queues.has(resourceId) || deployment.desired === 'stopped') return;
  if (isCutOff(deployment.site)) return; // nobody can see into a silent region
  if (!isUp(deployment)) {
    if (Date.now() < health.nextStartAt) return;
    health.nextStartAt = Date.now() + Math.min(mostBackoffMs, 1000 * 2 ** health.restarts);
    health.restarts += 1;
    health.failures = 0;
    log(`${deployment.process} is not running; starting it`);
    await ensure(deployment);
    health.nextProbeAt = Date.now() + readyMs;
    return;
  }
  if (deployment.liveness && Date.now() >= health.nextProbeAt)
    await probeLiveness(deployment, deployment.liveness, health, log);
}

async function probeLiveness(
  deployment: Deployment,
  probe: Probe,
  health: Health,
  log: (line: string) => void,
): Promise<void> {
  const alive = await answers(deployment, probe);
  health.nextProbeAt = Date.now() + probe.periodSeconds * 1000;
  if (alive) Object.assign(health, { failures: 0, restarts: 0 });
  else health.failures += 1;
  if (health.failures < probe.failureThreshold) return;
  log(`${deployment.process} failed its liveness probe ${health.failures} times; restarting it`);
  await end(deployment);
}
