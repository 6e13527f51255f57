/** What a run costs, and how two ways of doing the same work are compared: in turns, within one run, by their medians. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

export const repository = path.resolve(__dirname, '..');

/** Seconds. `cpu` is user and system time of the process and of every process that it waited for. */
export interface Cost {
  readonly cpu: number;
  readonly wall: number;
}

/** `time` asks the kernel (wait4) for the whole tree; its report has a pipe of its own, apart from what the command prints. */
const timed = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" 2>&4; } 4>&2 2>&3';

/** The line that says why, out of what may be a stack trace. */
const reason = (stderr: string) =>
  stderr.split('\n').find((line) => /^\w*error\b/i.test(line)) ?? stderr.trim().split('\n').at(-1) ?? '';

/**
 * Runs a command in the repository's folder.
 * @throws Error when it can't be started or does not end with exit code 0.
 */
export function processCost(command: string, args: readonly string[]): Cost {
  const { status, stderr, output, error } = spawnSync('bash', ['-c', timed, 'bash', command, ...args], {
    cwd: repository,
    env: { ...process.env, LC_ALL: 'C' },
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  if (error) throw new Error(`bash can't be started (${error.message}); it must be on PATH`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${reason(stderr)}`);
  const [wall = NaN, user = NaN, system = NaN] = (output[3] ?? '').trim().split(' ').map(Number);
  return { cpu: user + system, wall };
}

/** CPU and wall seconds of an act in this process. */
export async function costHere(act: () => unknown): Promise<Cost> {
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  await act();
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: (user + system) / 1e6, wall: (performance.now() - began) / 1000 };
}

/** Linux tells it in hundredths of a second. */
const ticks = 100;

const read = (act: () => string): string => {
  try {
    return act();
  } catch {
    return ''; // It has ended in between.
  }
};

/** @returns seconds of this process, of all that it started and of what works in `folder`: a server that went to the background too. */
function treeCpu(folder: string): number {
  const own = new Set([process.pid]);
  const all = fs.readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = read(() => fs.readFileSync(`/proc/${name}/stat`, 'utf8'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length < 20) return [];
    const pid = Number(name);
    if (`${read(() => fs.readlinkSync(`/proc/${name}/cwd`))}/`.startsWith(`${folder}/`)) own.add(pid);
    // utime, stime, and cutime, cstime: of the children that have ended.
    return [
      { pid, parent: Number(fields[1]), cpu: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) },
    ];
  });
  for (let known = 0; known < own.size;) {
    known = own.size;
    for (const { pid, parent } of all) if (own.has(parent)) own.add(pid);
  }
  return all.reduce((sum, { pid, cpu }) => (own.has(pid) ? sum + cpu : sum), 0) / ticks;
}

/** CPU and wall seconds of an act, with every program and server that takes part in it: started here, or at work in `folder`. */
export async function treeCost<T>(folder: string, act: () => Promise<T>): Promise<{ cost: Cost; result: T }> {
  const [cpu, began] = [treeCpu(folder), performance.now()];
  const result = await act();
  const wall = (performance.now() - began) / 1000;
  return { cost: { cpu: treeCpu(folder) - cpu, wall }, result };
}

/**
 * A B A B …: what disturbs the machine disturbs all of them. A first round, which fills caches, is not counted.
 * @returns name → the costs of each counted round.
 */
export async function inTurns<Name extends string>(
  rounds: number,
  contenders: Readonly<Record<Name, () => Cost | Promise<Cost>>>,
): Promise<Readonly<Record<Name, readonly Cost[]>>> {
  const names = Object.keys(contenders) as Name[];
  const costs = Object.fromEntries(names.map((name) => [name, [] as Cost[]])) as Record<Name, Cost[]>;
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const cost = await contenders[name]();
      if (round > 0) costs[name].push(cost);
    }
  }
  return costs;
}

/** @returns NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
