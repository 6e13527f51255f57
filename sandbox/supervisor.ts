/** Brings the sandbox up and down: which parts there are, in what order they start, and what is left when they stop. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { parseDocument, stringify } from 'yaml';
import { createAuthority } from './authority';
import { issuerOf } from './azure/issuer';
import { bootstrap, buildParts } from './bootstrap';
import { createEnvironment, operator, readEnvironment, type Environment } from './environment';
import { SandboxError } from './error';
import { isRunning, list, logFile, ready, running, start, stop, type ProcessSpec } from './process';
import { meansOfSilence, setSilence, silence, type Silence } from './silence';
import { folders, home, outside, plan, ports, providerPorts, repository, sites, type Site } from './world';

export type Report = (line: string) => void;

const neededBytes = 3 * 1024 ** 3;

/** The parts that outlive the starter, first those that need nothing of the others. */
const parts = ['blob', 'azure', 'cloudflare', 'providers', 'kube-prod', 'kube-intg', 'node-prod', 'node-intg'] as const;
export type Part = (typeof parts)[number];

const addresses: readonly (readonly [Part, string, number])[] = [
  ['blob', outside.blob, ports.blob],
  ['azure', outside.arm, ports.https],
  ['azure', outside.login, ports.https],
  ['azure', outside.azureDns, ports.dns],
  ['cloudflare', outside.cloudflareApi, ports.https],
  ['cloudflare', outside.publicDns, ports.dns],
  ['cloudflare', outside.edge, ports.https],
  ...Object.values(providerPorts).map((port) => ['providers', '127.0.0.1', port] as const),
  ['kube-prod', plan.prod.apiServer, ports.kubernetes],
  ['kube-intg', plan.intg.apiServer, ports.kubernetes],
];

/**
 * Starts a fresh world, after cleaning up what an earlier one left. A world that is wholly up is left as it is.
 * @throws SandboxError when a port is taken, the disk is full, or a part does not start.
 */
export async function up(report: Report): Promise<void> {
  checkDisk();
  const toolchain = await bootstrap(report);
  if (readEnvironment() && parts.every(isRunning)) {
    report('sandbox: already up');
    return;
  }
  const began = Date.now();
  await down(() => undefined);
  await checkPorts();
  await createAuthority();
  await buildParts();
  const environment = createEnvironment(toolchain);
  writeProject();
  await startParts(environment.parts);
  report(`sandbox: up in ${seconds(began)} (a site is silenced by: ${meansOfSilence()})`);
}

const seconds = (began: number) => `${((Date.now() - began) / 1000).toFixed(1)} s`;

async function startParts(env: Environment): Promise<void> {
  await Promise.all([
    ...(['blob', 'azure', 'cloudflare', 'providers'] as const).map((name) => startNodePart(name, env)),
    ...sites.map((site) => startCluster(site, env)),
  ]);
}

async function startCluster(site: Site, env: Environment): Promise<void> {
  await launch({
    name: `kube-${site}`,
    command: path.join(folders.bin, 'kubebox'),
    args: [
      ...['--dir', folders.kubernetes(site), '--address', plan[site].apiServer, '--port', String(ports.kubernetes)],
      ...['--issuer', issuerOf(site)],
    ],
    // Below what it needs, it would collect garbage all the time.
    env: { GOGC: '50', GOMEMLIMIT: '400MiB' },
    site,
    scope: 'cluster',
  });
  await launch({ ...nodePart(`node-${site}`, 'node-agent', { ...env, STANDBY_SITE: site }), site, scope: 'cluster' });
}

const startNodePart = (name: string, env: Environment) => launch(nodePart(name, name, env));

const nodePart = (name: string, script: string, env: Environment): ProcessSpec => ({
  name,
  command: process.execPath,
  args: ['--enable-source-maps', path.join(folders.build, `${script}.js`)],
  env,
});

async function launch(spec: ProcessSpec): Promise<void> {
  await start(spec);
  await ready(spec.name);
}

/** Stops every process of the world, wakes silenced sites, and removes its data. The caches stay. */
export async function down(report: Report): Promise<void> {
  const began = Date.now();
  const before = running().length;
  await stopAll();
  fs.rmSync(folders.run, { recursive: true, force: true });
  report(before ? `sandbox: down in ${seconds(began)}` : 'sandbox: nothing was up');
}

/** Stops every process of the world, wakes silenced sites, and keeps its data: `wake` starts it again as it was. */
export async function stopAll(): Promise<void> {
  for (const site of sites) if (silence()[site] !== 'none') setSilence(site, 'none');
  // Node agents and the ARM service stop what they started; what they leave (killed, perhaps) goes in the second round.
  await stop((record) => record.name.startsWith('node-'));
  await stop((record) => (parts as readonly string[]).includes(record.name));
  await stop(() => true);
}

/** Starts the parts of a world that was stopped; they bring back what they had started. @throws SandboxError when there is none. */
export async function wake(): Promise<void> {
  const environment = readEnvironment();
  if (!environment) throw new SandboxError('SandboxDown', 'there is no world to wake; start one: standby sandbox up');
  await buildParts();
  // A part is ready when its log says so: what an earlier process said does not count.
  fs.rmSync(folders.logs, { recursive: true, force: true });
  await startParts(environment.parts);
}

function checkDisk(): void {
  fs.mkdirSync(home, { recursive: true });
  const disk = fs.statfsSync(home);
  const free = disk.bavail * disk.bsize;
  if (free < neededBytes) {
    const gib = (bytes: number) => (bytes / 1024 ** 3).toFixed(1);
    throw new SandboxError(
      'DiskFull',
      `disk of ${home}: ${gib(free)} GiB free; at least ${gib(neededBytes)} GiB are needed; free some, or set STANDBY_HOME to a folder on another disk`,
    );
  }
}

async function checkPorts(): Promise<void> {
  for (const [part, host, port] of addresses) {
    const taken = await new Promise<string | undefined>((resolve) => {
      const server = net
        .createServer()
        .once('error', (cause: NodeJS.ErrnoException) => resolve(cause.code ?? cause.message));
      server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
    });
    if (taken) {
      throw new SandboxError(
        'PortInUse',
        `port ${host}:${port} for "${part}" can't be bound (${taken}); it must be free; stop the program that holds it (ss -ltnp), or set STANDBY_WORLD to another number (0 to 254)`,
      );
    }
  }
}

/** The project as it runs here: the repository's program, a copy of the stacks' configuration that tests may change. */
function writeProject(): void {
  fs.mkdirSync(folders.project, { recursive: true });
  const original = fs.readFileSync(path.join(repository, 'Pulumi.yaml'), 'utf8');
  const main = stringify({ main: path.join(repository, 'stacks', 'main.js') });
  fs.writeFileSync(path.join(folders.project, 'Pulumi.yaml'), original.replace(/^main:.*$/m, main.trim()));
  for (const site of sites) configuration(site, { 'database.operatorAddresses': [outside.client] });
  configuration('failover', { operatorPrincipalId: operator.principalId, operatorPrincipalType: 'ServicePrincipal' });
}

/** A stack's configuration as it is committed, with what is this world's own. */
function configuration(stack: string, values: Readonly<Record<string, unknown>>): void {
  const file = `Pulumi.${stack}.yaml`;
  const config = parseDocument(fs.readFileSync(path.join(repository, file), 'utf8'));
  for (const [key, value] of Object.entries(values)) config.setIn(['config', ...`standby:${key}`.split('.')], value);
  fs.writeFileSync(path.join(folders.project, file), config.toString());
}

export interface PartStatus {
  readonly name: string;
  readonly running: boolean;
  /** Resident memory in MiB. */
  readonly memory: number;
}

export interface SandboxStatus {
  readonly up: boolean;
  readonly parts: readonly PartStatus[];
  /** Processes that the parts started: database servers, container apps, pods. */
  readonly others: readonly PartStatus[];
  readonly silence: Readonly<Record<Site, Silence>>;
  readonly memory: number;
}

export function status(): SandboxStatus {
  const alive = new Map(running().map((record) => [record.name, record.pid]));
  const memory = memoryByGroup();
  const statusOf = (name: string): PartStatus => {
    const pid = alive.get(name);
    return { name, running: pid !== undefined, memory: pid === undefined ? 0 : (memory.get(pid) ?? 0) };
  };
  const known = parts.map(statusOf);
  const others = list()
    .filter((record) => !(parts as readonly string[]).includes(record.name))
    .map((record) => statusOf(record.name));
  const total = [...known, ...others].reduce((sum, part) => sum + part.memory, 0);
  return { up: known.every((part) => part.running), parts: known, others, silence: silence(), memory: total };
}

/** @returns resident MiB per process group: proportional set size where it can be read, so that shared pages count once. */
function memoryByGroup(): Map<number, number> {
  const rows = execFileSync('ps', ['-eo', 'pid=,pgid=,rss='], { encoding: 'utf8' }).trim().split('\n');
  const groups = new Map<number, number>();
  for (const row of rows) {
    const [pid, group, rss] = row.trim().split(/\s+/).map(Number) as [number, number, number];
    groups.set(group, (groups.get(group) ?? 0) + (proportionalKiB(pid) ?? rss) / 1024);
  }
  return groups;
}

function proportionalKiB(pid: number): number | undefined {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

/** @throws SandboxError when there is no such part. */
export function logOf(part: string): string {
  const known = [...new Set([...parts, ...list().map((record) => record.name)])];
  if (!known.includes(part)) {
    throw new SandboxError('UnknownPart', `part "${part}" is not known; allowed: ${known.join(', ')}`);
  }
  return logFile(part);
}
