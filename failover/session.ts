/** One command at work on one run: its record, its events, and attempts that keep to their time. */
import { StandbyError } from './errors';
import { fold, nextEntry, verifyChain, type RunState, type What } from './journal';
import { nextCommands } from './messages';
import type { Observation, PlannedStep, RunEvent, StepId } from './model';
import type { Call, JournalEntry, Ports } from './ports';
import type { StepContext } from './steps';

export interface SessionOptions {
  /** A person's word that the site that the run began at is gone, and why: what can only be done there is left. */
  readonly lost?: string;
  /** The person's word to stop: the act that goes on is cut off. */
  readonly signal?: AbortSignal;
  /** Between 0 and 1. @default - Math.random */
  readonly random?: () => number;
}

type Told = RunEvent extends infer Event ? (Event extends RunEvent ? Omit<Event, 'at' | 'run'> : never) : never;

const firstPauseMs = 250;
const longestPauseMs = 5_000;
/** How long an act that was cut off may take to notice: Pulumi writes down where it stands. */
const graceMs = 12_000;

/** What a step said last, over all its attempts. */
interface Heard {
  last?: string;
}

/** Steps that leave the business where it runs. */
const harmless: ReadonlySet<StepId> = new Set(['prepare', 'lookup-names', 'reprotect', 'export-diverged']);

export class Session {
  private queue: Promise<void> = Promise.resolve();
  private folded: RunState;

  constructor(
    readonly ports: Ports,
    private readonly entries: JournalEntry[],
    private readonly lost: AbortSignal,
    private readonly options: SessionOptions,
  ) {
    verifyChain(entries);
    this.folded = fold(entries);
  }

  get state(): RunState {
    return this.folded;
  }

  /** The command that goes on with what this one does. */
  private get again(): string {
    return this.folded.aborting ? 'standby abort' : 'standby resume';
  }

  /** One line after the other: each seals the one before it. When one can't be written, none is afterwards. */
  record(what: What): Promise<void> {
    this.queue = this.queue.then(async () => {
      // Whoever has the lock now writes the journal.
      if (this.lost.aborted) throw lockLost(this.again);
      const entry = nextEntry(this.entries.at(-1), this.folded.run, this.ports.clock.now(), what);
      await this.ports.journal.append(entry);
      this.entries.push(entry);
      this.folded = fold(this.entries);
    });
    return this.queue;
  }

  emit(told: Told): void {
    this.ports.emit({ at: this.ports.clock.now(), run: this.folded.run, ...told });
  }

  context(step: PlannedStep, seen: Observation | undefined, call: Call): StepContext {
    const { state, attempts } = this.stateOf(step.id);
    return {
      ...{ plan: this.state.plan, step, ports: this.ports, call, stateOf: (id) => this.stateOf(id) },
      ...(seen ? { seen } : {}),
      ...(this.options.lost === undefined ? {} : { lost: this.options.lost }),
      again: attempts > 1 || state === 'undoing',
    };
  }

  stateOf(id: StepId) {
    return this.state.steps.get(id) ?? { state: 'waiting' as const, attempts: 0 };
  }

  /** @returns whether nothing was begun yet that the business would notice. */
  isHarmless(): boolean {
    return [...this.folded.steps].every(([id, { state }]) => state === 'waiting' || harmless.has(id));
  }

  /** @throws StandbyError when nothing may be begun any more. */
  mayAct(): void {
    if (this.lost.aborted) throw lockLost(this.again);
    if (this.options.signal?.aborted) {
      throw new StandbyError('Interrupted', `stopped as asked: ${nextCommands(this.folded)} goes on`, {
        exit: 'resumable',
      });
    }
  }

  /**
   * Acts until it is done, or the limit is over. Tries again after a pause only what may succeed a moment later.
   * @param begin - before each attempt: write the intent.
   * @param failed - after each attempt that failed; `pauseMs` is absent when there is no other.
   */
  async attempt<T>(
    step: PlannedStep,
    act: (call: Call) => Promise<T>,
    {
      begin,
      failed,
      goOn = () => true,
    }: {
      readonly begin: () => Promise<void>;
      readonly failed: (cause: StandbyError, pauseMs: number | undefined) => Promise<void>;
      readonly goOn?: () => boolean;
    },
  ): Promise<T> {
    const { clock } = this.ports;
    const end = clock.now() + step.limitSeconds * 1000;
    const heard: Heard = {};
    for (let count = 0; ; count += 1) {
      this.mayAct();
      await begin();
      this.mayAct();
      try {
        return await this.within(step, end - clock.now(), act, heard);
      } catch (cause) {
        const fault = asFault(cause);
        heard.last = fault.message;
        if (this.lost.aborted) throw fault;
        const pauseMs = this.pause(count);
        const again = fault.retryable && goOn() && clock.now() + pauseMs < end;
        await failed(fault, again ? pauseMs : undefined);
        if (fault.code === 'Fault') throw cause;
        if (!again) throw fault;
        await clock.sleep(pauseMs, this.stopping()).catch(() => undefined);
      }
    }
  }

  private pause(count: number): number {
    const random = this.options.random ?? Math.random;
    const full = Math.min(longestPauseMs, firstPauseMs * 2 ** count);
    return Math.round(full * (0.5 + random() / 2));
  }

  private stopping(): AbortSignal {
    const { signal } = this.options;
    return signal ? AbortSignal.any([this.lost, signal]) : this.lost;
  }

  /** @throws StandbyError StepTimeout when the time is over, whether the act notices or not. */
  async within<T>(step: PlannedStep, limitMs: number, act: (call: Call) => Promise<T>, heard: Heard = {}): Promise<T> {
    const { clock } = this.ports;
    const over = new AbortController();
    const settled = new AbortController();
    const signal = AbortSignal.any([over.signal, this.stopping()]);
    const wait = async (ms: number) => {
      await clock.sleep(ms, settled.signal).catch(() => undefined);
      return !settled.signal.aborted;
    };
    const limit = (async () => {
      if (!(await wait(limitMs))) return;
      over.abort(stepTimeout(step, heard, this.again));
      if (await wait(graceMs)) throw over.signal.reason;
    })();
    const forever = new Promise<never>(() => undefined);
    const progress = (message: string) => {
      if (settled.signal.aborted) return;
      heard.last = message;
      this.emit({ code: 'StepProgress', step: step.id, message });
    };
    try {
      return await Promise.race([act({ signal, progress }), limit.then(() => forever)]);
    } catch (cause) {
      if (over.signal.aborted) throw over.signal.reason;
      if (signal.aborted) this.mayAct();
      throw cause;
    } finally {
      settled.abort();
    }
  }
}

const stepTimeout = ({ id, limitSeconds }: PlannedStep, { last }: Heard, again: string): StandbyError =>
  new StandbyError(
    'StepTimeout',
    last === undefined
      ? `${id} took longer than its ${limitSeconds} s and was cut off: see what it waits for, then ${again}`
      : `${id} took longer than its ${limitSeconds} s and was cut off: put right what it said last, then ${again}; it was: ${last}`,
    { exit: 'resumable' },
  );

const lockLost = (again: string): StandbyError =>
  new StandbyError(
    'LockLost',
    `another process may have taken this run over: nothing more is done here; see standby runs, then ${again}`,
    { exit: 'resumable' },
  );

/** A fault that nobody foresaw may say anything in its message: only its name is written down. */
export const asFault = (cause: unknown): StandbyError =>
  cause instanceof StandbyError
    ? cause
    : new StandbyError(
        'Fault',
        `something that nobody foresaw (${cause instanceof Error ? cause.name : typeof cause}): see --debug, then standby resume`,
        { exit: 'fault', cause },
      );
