/** The record of a run: what was meant is written before it is done, what came of it after. Each line seals the one before it. */
import type { JournalEntry } from './ports';
import { canonical, digest } from './digest';
import { StandbyError } from './errors';
import type { Facts, Instant, Plan, StepId } from './model';

export type What = JournalEntry['what'];

/** What stands in the place of the hash before the first line. */
export const beginning = '0'.repeat(64);

const seal = ({ seq, at, run, what, previous }: Omit<JournalEntry, 'hash'>): string =>
  digest(`${previous}\n${canonical({ seq, at, run, what, previous })}`);

/** @returns the next line after `last`. */
export function nextEntry(last: JournalEntry | undefined, run: string, at: Instant, what: What): JournalEntry {
  const entry = { seq: (last?.seq ?? 0) + 1, at, run, what, previous: last?.hash ?? beginning };
  return { ...entry, hash: seal(entry) };
}

const broken = (run: string, seq: number, why: string): StandbyError =>
  new StandbyError(
    'JournalBroken',
    `the journal of run ${run} is not as it was written: line ${seq} ${why}; compare the local copy with the one in the store, and keep both`,
    { exit: 'person' },
  );

/** @throws StandbyError JournalBroken at the first line that was changed, lost, doubled or moved. */
export function verifyChain(entries: readonly JournalEntry[]): void {
  let last: JournalEntry | undefined;
  for (const entry of entries) {
    const seq = (last?.seq ?? 0) + 1;
    const run = last?.run ?? entry.run;
    if (entry.seq !== seq) throw broken(run, seq, `is missing, ${entry.seq} stands in its place`);
    if (entry.run !== run) throw broken(run, seq, `belongs to run ${entry.run}`);
    if (entry.previous !== (last?.hash ?? beginning)) throw broken(run, seq, 'does not follow from the one before it');
    if (entry.hash !== seal(entry)) throw broken(run, seq, 'was changed');
    if ((entry.what.type === 'plan') !== (seq === 1)) throw broken(run, seq, 'is not what a journal has there');
    last = entry;
  }
}

const parsed = (line: string): JournalEntry | undefined => {
  try {
    return JSON.parse(line) as JournalEntry;
  } catch {
    return undefined;
  }
};

/**
 * @param text - a journal as it lies on the disk, one line an entry.
 * @param run - whose it is, for what is said when its first line can't be read.
 * @returns its entries and the length (characters) that they take: what follows is a line that was cut off while it was written,
 * whose act therefore never began. Cut the file there before anything is appended.
 * @throws StandbyError JournalBroken
 */
export function readLines(text: string, run = 'unknown'): { readonly entries: JournalEntry[]; readonly whole: number } {
  const entries: JournalEntry[] = [];
  let whole = 0;
  while (whole < text.length) {
    const end = text.indexOf('\n', whole);
    const entry = end < 0 ? undefined : parsed(text.slice(whole, end));
    if (end >= 0 && !entry && end + 1 < text.length) {
      throw broken(entries[0]?.run ?? run, entries.length + 1, 'can’t be read');
    }
    if (!entry) break;
    entries.push(entry);
    whole = end + 1;
  }
  verifyChain(entries);
  return { entries, whole };
}

export const toLine = (entry: JournalEntry): string => `${JSON.stringify(entry)}\n`;

export interface StepState {
  /** `begun`: its intent is written, its end is not. It may have happened, in part or not at all. */
  readonly state: 'waiting' | 'begun' | 'done' | 'undoing' | 'undone';
  readonly attempts: number;
  readonly facts?: Facts;
  readonly skipped?: string;
  readonly failure?: { readonly error: string; readonly message: string };
}

export interface RunState {
  readonly run: string;
  readonly plan: Plan;
  readonly who: string;
  readonly startedAt: Instant;
  readonly steps: ReadonlyMap<StepId, StepState>;
  readonly last: JournalEntry;
  /** Absent while the run may go on. */
  readonly outcome?: 'done' | 'aborted';
  /** Why a person ended it where it stood: nothing was taken back. */
  readonly abandoned?: string;
  /** Undoing has begun: there is no way forward any more. */
  readonly aborting: boolean;
  /** The step after whose beginning there is no way back has begun. */
  readonly committed: boolean;
}

const waiting: StepState = { state: 'waiting', attempts: 0 };

/** What an entry makes of the step that it is about. */
function turn(before: StepState, what: What): StepState {
  const { failure: _failure, ...rest } = before;
  switch (what.type) {
    case 'intent':
      return { ...rest, state: 'begun', attempts: before.attempts + 1 };
    case 'result':
      return {
        ...rest,
        state: 'done',
        facts: what.facts,
        ...(what.skipped === undefined ? {} : { skipped: what.skipped }),
      };
    case 'failure':
      return { ...before, failure: { error: what.error, message: what.message } };
    case 'undo-intent':
      return { ...before, state: 'undoing' };
    case 'undone':
      return { ...before, state: 'undone' };
    case 'plan':
    case 'resume':
    case 'end':
      return before;
  }
}

/** @returns where a run stands. @throws StandbyError JournalEmpty when there is none. */
export function fold(entries: readonly JournalEntry[]): RunState {
  const [first] = entries;
  const last = entries.at(-1);
  if (!first || !last || first.what.type !== 'plan') {
    throw new StandbyError('JournalEmpty', 'there is no run: begin one with standby switchover, failover or failback');
  }
  const { plan, who } = first.what;
  const steps = new Map<StepId, StepState>(plan.steps.map(({ id }) => [id, waiting]));
  let outcome: RunState['outcome'];
  let abandoned: string | undefined;
  for (const { what } of entries) {
    if (what.type === 'resume') abandoned = what.abandon;
    if (what.type === 'end') outcome = what.outcome;
    if ('step' in what) steps.set(what.step, turn(steps.get(what.step) ?? waiting, what));
  }
  const states = [...steps.values()].map(({ state }) => state);
  return {
    ...{ run: first.run, plan, who, startedAt: first.at, steps, last },
    ...(outcome ? { outcome } : {}),
    ...(outcome && abandoned !== undefined ? { abandoned } : {}),
    aborting: states.some((state) => state === 'undoing' || state === 'undone'),
    committed: plan.steps.some(({ id, pointOfNoReturn }) => pointOfNoReturn && steps.get(id)?.state !== 'waiting'),
  };
}
