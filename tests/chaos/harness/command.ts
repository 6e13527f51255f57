/** The engine as a person calls it, and a hand that kills it: by what its journal says on disk, which nobody needs to be told. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { RunEvent, StepId } from '../../../failover/model';
import type { JournalEntry } from '../../../failover/ports';
import { standby, type ChaosWorld } from './world';

export interface Ended {
  /** Exit code; undefined when it was killed. */
  readonly code: number | undefined;
  readonly events: readonly RunEvent[];
  readonly stderr: string;
  readonly seconds: number;
}

/** `process`: only the command itself, and what it started may go on. `machine`: with everything that it started. */
export type Killing = 'process' | 'machine';

export interface Options {
  /** Seen with each new entry of the journal; `true` kills at once. */
  readonly killAt?: (entry: JournalEntry) => boolean | Promise<boolean>;
  readonly killing?: Killing;
  /** Seen with each event as it is printed. */
  readonly on?: (event: RunEvent) => void;
  readonly env?: Readonly<Record<string, string>>;
  /** Another command than the repository's own: a mutant. */
  readonly program?: string;
}

const lookEveryMs = 2;

/** Commands that would ask. */
const asks = new Set(['switchover', 'failover', 'failback', 'abort']);

/** Runs a command of the engine to its end, or to its violent one, with nobody there to ask. */
export async function runStandby(world: ChaosWorld, args: readonly string[], options: Options = {}): Promise<Ended> {
  const began = Date.now();
  const known = entriesOf(world).length;
  const all = [...args, '--json', ...(asks.has(args[0] ?? '') ? ['--yes'] : [])];
  const child = spawn(process.execPath, [options.program ?? standby, ...all], {
    env: { ...process.env, ...world.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const events: RunEvent[] = [];
  let [stderr, rest] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter((one) => one.startsWith('{'))) {
      const event = JSON.parse(line) as RunEvent;
      events.push(event);
      options.on?.(event);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<number | undefined>((resolve) => child.on('close', (code) => resolve(code ?? undefined)));
  const watching = options.killAt && watch(world, known, options.killAt, () => kill(child.pid, options.killing), child);
  const code = await ended;
  await watching;
  return { code, events, stderr, seconds: (Date.now() - began) / 1000 };
}

async function watch(
  world: ChaosWorld,
  known: number,
  killAt: (entry: JournalEntry) => boolean | Promise<boolean>,
  end: () => void,
  child: { readonly exitCode: number | null; readonly signalCode: NodeJS.Signals | null },
): Promise<void> {
  let seen = known;
  while (child.exitCode === null && child.signalCode === null) {
    const entries = entriesOf(world);
    for (const entry of entries.slice(seen)) {
      if (await killAt(entry)) return end();
    }
    seen = entries.length;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

function kill(pid: number | undefined, killing: Killing = 'machine'): void {
  if (pid === undefined) return;
  const all = killing === 'machine' ? [pid, ...descendants(pid)] : [pid];
  for (const one of all) {
    try {
      process.kill(one, 'SIGKILL');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
    }
  }
}

function descendants(pid: number): number[] {
  let text = '';
  try {
    text = fs
      .readdirSync(`/proc/${pid}/task`)
      .map((task) => fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8'))
      .join(' ');
  } catch {
    return []; // ended while we looked
  }
  return text
    .split(' ')
    .filter((one) => one.trim() !== '')
    .map(Number)
    .flatMap((child) => [child, ...descendants(child)]);
}

const runsFolder = (world: ChaosWorld) => world.env['STANDBY_RUNS'] ?? '';

/** Every entry of every journal on this machine's disk, oldest run first; a line that is half-written is none yet. */
export function entriesOf(world: ChaosWorld): readonly JournalEntry[] {
  const folder = runsFolder(world);
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder)
    .map((run) => path.join(folder, run, 'journal.jsonl'))
    .flatMap((file) => (fs.existsSync(file) ? [{ file, born: fs.statSync(path.dirname(file)).birthtimeMs }] : []))
    .sort((a, b) => a.born - b.born)
    .flatMap(({ file }) => fs.readFileSync(file, 'utf8').split('\n').slice(0, -1))
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as JournalEntry];
      } catch {
        return [];
      }
    });
}

/** Steps of the newest run, with what the journal says became of them. */
export function lastRun(world: ChaosWorld): readonly JournalEntry[] {
  const entries = entriesOf(world);
  const run = entries.at(-1)?.run;
  return entries.filter((entry) => entry.run === run);
}

export const planOf = (entries: readonly JournalEntry[]) => {
  const first = entries.find(({ what }) => what.type === 'plan')?.what;
  if (first?.type !== 'plan') throw new Error('no plan was journaled');
  return first.plan;
};

/** Kills when the intent (or the result) of a step is on disk. */
export const at =
  (type: 'intent' | 'result', step: StepId) =>
  ({ what }: JournalEntry): boolean =>
    what.type === type && what.step === step;
