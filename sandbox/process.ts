/**
 * Every process of the sandbox is started here, detached, and recorded on disk with its start time: so whoever comes next
 * can stop what an earlier, perhaps killed, starter left behind, by its own process id and never by name. The process records
 * itself before it becomes the program, so that a starter killed at any moment leaves none unrecorded.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { folders, home, plan, type Site } from './world';

export interface ProcessSpec {
  /** Unique in the world: `azure`, `node-prod`, `pod/prod/moodtalk/api-7d…`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the process apart from PATH, HOME and the world's own variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The site it belongs to, and which half: the cluster can be silenced alone. @default - outside both sites */
  readonly site?: Site;
  readonly scope?: 'cluster' | 'data';
  /** PostgreSQL refuses to run as root. @default - the user who runs the sandbox */
  readonly user?: 'postgres';
}

interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat: tells this process from a later one with the same id. */
  readonly started: string;
  readonly site?: Site;
  readonly scope?: 'cluster' | 'data';
}

export const isRoot = process.getuid?.() === 0;
const fileOf = (folder: string, name: string, suffix: string) => path.join(folder, name.replaceAll('/', '~') + suffix);
export const logFile = (name: string) => fileOf(folders.logs, name, '.log');
const recordFile = (name: string) => fileOf(folders.pids, name, '.json');

function startTicks(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A leader that has ended holds its ports for as long as one of its threads is still ending.
    const ended = fields[0] === 'Z' && fs.readdirSync(`/proc/${pid}/task`).length <= 1;
    return ended ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

const alive = (record: ProcessRecord) => startTicks(record.pid) === record.started;

/**
 * Leads a command that is to run as another user; empty for an ordinary user, who can't become another one.
 * A plain uid change would lose the way into folders that only root may pass through; the capability keeps it.
 */
export const asUser = (user: ProcessSpec['user']): readonly string[] =>
  user && isRoot
    ? ['setpriv', `--reuid=${user}`, '--clear-groups', '--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--']
    : [];

/** Writes the record (file $1, its beginning $2) with the shell's own pid and start time, then becomes the program. */
const recordThenBecome = `
read -r stat </proc/$$/stat
started() { shift 19; printf '%s"pid":%s,"started":"%s"}' "$begin" $$ "$1" >"$file"; }
file=$1 begin=$2
started \${stat##*) }
shift 2
unset stat file begin
exec "$@"`;

/**
 * Starts a process in a group of its own; its output goes to `logFile(name)`.
 * @returns its pid. The child is not tied to this process: it outlives it.
 * @throws Error when the command can't be started.
 */
export async function start(spec: ProcessSpec): Promise<number> {
  fs.mkdirSync(folders.pids, { recursive: true });
  fs.mkdirSync(folders.logs, { recursive: true });
  const log = fs.openSync(logFile(spec.name), 'a');
  const place = spec.site ? { site: spec.site, scope: spec.scope ?? 'data' } : {};
  const begin = JSON.stringify({ name: spec.name, ...place }).replace(/}$/, ',');
  const file = recordFile(spec.name);
  fs.rmSync(file, { force: true });
  const command = [...asUser(spec.user), spec.command, ...spec.args];
  const child = spawn('/bin/sh', ['-c', recordThenBecome, 'sh', file, begin, ...command], {
    cwd: spec.cwd ?? home,
    detached: true,
    stdio: ['ignore', log, log],
    ...(isRoot && spec.site ? { gid: plan[spec.site].gid } : {}),
    env: {
      PATH: `${folders.bin}:${process.env['PATH']}`,
      HOME: process.env['HOME'] ?? '/',
      STANDBY_HOME: home,
      STANDBY_WORLD: process.env['STANDBY_WORLD'] ?? '0',
      ...spec.env,
    },
  });
  fs.closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new Error(`${spec.name}: can't start ${spec.command}: ${cause.message}`, { cause })),
    );
  });
  child.unref();
  while (readRecord(file)?.pid !== child.pid && child.exitCode === null && child.signalCode === null) await delay(1);
  return child.pid as number;
}

/**
 * Waits until the process has printed a line with `"ready":true`.
 * @throws Error with the last lines of its log when it ends or the time is over.
 */
export async function ready(name: string, timeoutMs = 60_000, fromByte = 0): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const text = fs.existsSync(logFile(name)) ? fs.readFileSync(logFile(name)).subarray(fromByte).toString() : '';
    if (text.includes('"ready":true')) return;
    const tail = text.trimEnd().split('\n').slice(-5).join('\n  ');
    if (!isRunning(name)) throw new Error(`${name} ended before it was ready; the end of its log:\n  ${tail}`);
    if (Date.now() > end)
      throw new Error(`${name} was not ready within ${timeoutMs / 1000} s; the end of its log:\n  ${tail}`);
    await delay(25);
  }
}

function readRecord(file: string): ProcessRecord | undefined {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as ProcessRecord;
  } catch {
    return undefined; // never started, removed, or half-written while we looked
  }
}

export function list(): ProcessRecord[] {
  if (!fs.existsSync(folders.pids)) return [];
  return fs
    .readdirSync(folders.pids)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => readRecord(path.join(folders.pids, file)) ?? []);
}

export const running = () => list().filter(alive);

/** Reads this one record only: cheap enough to be asked often. */
export function isRunning(name: string): boolean {
  const record = readRecord(recordFile(name));
  return record !== undefined && alive(record);
}

function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!alive(record)) return;
  try {
    process.kill(-record.pid, name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
}

/** Stops processes and their groups: asked first, killed after `graceMs`. Those that are stopped by SIGSTOP are woken. */
export async function stop(match: (record: ProcessRecord) => boolean, graceMs = 4_000): Promise<void> {
  const records = list().filter(match);
  for (const record of records) signal(record, 'SIGTERM');
  freeze(match, false);
  const end = Date.now() + graceMs;
  while (records.some(alive) && Date.now() < end) await delay(20);
  for (const record of records) {
    signal(record, 'SIGKILL');
    fs.rmSync(recordFile(record.name), { force: true });
  }
  while (records.some(alive)) await delay(10);
}

/** Processes that a process started, and theirs, at whatever depth: PostgreSQL's leave its process group. */
function descendants(pid: number): number[] {
  const children = childrenOf(pid).trim().split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return ''; // ended while we looked
  }
}

/** Freezes or wakes processes: the way to silence a site for a user who may not set a packet filter. */
export function freeze(match: (record: ProcessRecord) => boolean, frozen: boolean): void {
  const name = frozen ? 'SIGSTOP' : 'SIGCONT';
  for (const record of running().filter(match)) {
    signal(record, name); // first, so that it starts no more of them
    for (const pid of descendants(record.pid)) {
      try {
        process.kill(pid, name);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
      }
    }
  }
}
