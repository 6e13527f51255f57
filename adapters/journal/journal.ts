/**
 * Port `Journal`: on this machine's disk first, then in the store outside both sites, so that another machine can go on. Without
 * the store a run goes on by the local copy alone; what is missing there follows in order as soon as it answers.
 */
import type { ContainerClient } from '@azure/storage-blob';
import { StandbyError } from '../../failover/errors';
import { readLines } from '../../failover/journal';
import type { Instant } from '../../failover/model';
import type { Journal, JournalEntry, RecordedRun } from '../../failover/ports';
import { LocalJournal } from './local';
import { PositionMoved, RemoteJournal } from './remote';

export interface JournalOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Container outside both sites. @throws where it can't be opened */
  readonly container: () => ContainerClient;
  /** Told to the person; once for each outage of the store. */
  readonly warn: (message: string) => void;
}

const againMs = 2_000;
/** Newest journals that are looked into for the newest run: clocks of two machines may differ. */
const candidates = 3;

const entriesOf = (run: string, bytes: Buffer) => readLines(bytes.toString(), run).entries;
const shortOf = (cause: unknown) =>
  ((cause as { code?: string }).code ?? (cause as Error).name ?? 'unknown').slice(0, 80);

export class TwofoldJournal implements Journal {
  private readonly local: LocalJournal;
  private readonly remote: RemoteJournal;
  private readonly warn: (message: string) => void;
  /** Bytes of each run that are known to be in the store. */
  private readonly sent = new Map<string, number>();
  private sending: Promise<void> = Promise.resolve();
  private down = false;
  private timer: NodeJS.Timeout | undefined;
  private lost: StandbyError | undefined;

  constructor({ environment, container, warn }: JournalOptions) {
    this.local = new LocalJournal(environment);
    this.remote = new RemoteJournal(container);
    this.warn = warn;
  }

  async append(entry: JournalEntry): Promise<void> {
    if (this.lost) throw this.lost;
    const { run } = entry;
    await this.catchUp(entry);
    this.local.append(run, [entry]);
    // While the store is away nobody waits for it; the end of a run does, once more.
    if (this.down && entry.what.type !== 'end') return this.later(run);
    await this.send(run);
    if (this.lost) throw this.lost as StandbyError;
  }

  /** Another machine may have gone on with the run: its entries come first. */
  private async catchUp(entry: JournalEntry): Promise<void> {
    const { run } = entry;
    const last = this.local.last(run);
    if ((last?.hash ?? entry.previous) === entry.previous && (last?.seq ?? 0) === entry.seq - 1) return;
    if ((last?.seq ?? 0) >= entry.seq) throw lostTo(run);
    const bytes = await this.remote.read(run);
    const more = entriesOf(run, bytes).filter(({ seq }) => seq > (last?.seq ?? 0) && seq < entry.seq);
    if (more.at(-1)?.hash !== entry.previous || (last && more[0]?.previous !== last.hash)) throw lostTo(run);
    this.local.append(run, more);
  }

  private send(run: string): Promise<void> {
    this.sending = this.sending.then(() => this.sendNow(run));
    return this.sending;
  }

  private async sendNow(run: string): Promise<void> {
    try {
      const bytes = this.local.bytes(run);
      const sent = this.sent.get(run) ?? (await this.common(run, bytes));
      if (bytes.length > sent) await this.push(run, sent, bytes);
      this.sent.set(run, bytes.length);
      if (this.down) this.warn('the store answers again: the journal there is complete');
      this.down = false;
    } catch (cause) {
      if (cause instanceof StandbyError) {
        this.lost = cause;
        return;
      }
      this.sent.delete(run);
      if (!this.down)
        this.warn(
          `the store does not take the journal (${shortOf(cause)}): this machine's disk alone holds it for now`,
        );
      this.down = true;
      this.later(run);
    }
  }

  private async push(run: string, sent: number, bytes: Buffer): Promise<void> {
    try {
      await this.remote.append(run, sent, bytes.subarray(sent));
    } catch (cause) {
      if (!(cause instanceof PositionMoved)) throw cause;
      // An answer may have been lost on its way: then what is there is ours.
      const now = await this.common(run, bytes);
      if (now < bytes.length) await this.remote.append(run, now, bytes.subarray(now));
    }
  }

  /** @returns how much of a journal is in the store. @throws StandbyError RunLost when something else is there. */
  private async common(run: string, bytes: Buffer): Promise<number> {
    const there = await this.remote.read(run);
    if (there.length <= bytes.length && bytes.subarray(0, there.length).equals(there)) return there.length;
    throw lostTo(run);
  }

  private later(run: string): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.send(run);
    }, againMs).unref();
  }

  /** Sends what is missing in the store, for a process that is about to end. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    if (this.down) for (const run of this.unsent()) await this.send(run);
    clearTimeout(this.timer);
    await this.sending;
  }

  private unsent(): string[] {
    return this.local
      .runs()
      .filter((run) => this.sent.get(run) === undefined)
      .slice(-candidates);
  }

  async read(run?: string): Promise<readonly JournalEntry[]> {
    if (run !== undefined) {
      const local = this.local.read(run);
      return merge(run, local, await this.there(() => this.remote.read(run), Buffer.alloc(0)));
    }
    const [newest] = await this.some(candidates);
    if (!newest) return [];
    const { entries, broken } = newest;
    // A run that is over in the store is over; what this machine has of it instead is told, and stops nothing.
    if (broken && entries.at(-1)?.what.type !== 'end') throw broken;
    if (broken) this.warn(broken.message);
    return entries;
  }

  async runs(): Promise<readonly RecordedRun[]> {
    return this.some(Infinity);
  }

  private async some(count: number): Promise<readonly RecordedRun[]> {
    const names = (await this.there(() => this.remote.runs(), [])).slice(0, count);
    const remote = await this.there(() => this.remote.readAll(names), new Map<string, Buffer>());
    const local = this.local.runs();
    const all = [...new Set([...names, ...local])].map((run) => this.recorded(run, remote.get(run)));
    return all
      .filter(({ entries, broken }) => entries.length > 0 || broken)
      .sort((a, b) => b.at - a.at)
      .slice(0, count)
      .map(({ at: _at, ...run }) => run);
  }

  /** One run that is broken hides no other one. */
  private recorded(run: string, there: Buffer = Buffer.alloc(0)): RecordedRun & { readonly at: Instant } {
    try {
      const entries = merge(run, this.local.read(run), there);
      return { run, entries, at: entries[0]?.at ?? 0 };
    } catch (cause) {
      if (!isBroken(cause)) throw cause;
      return { run, entries: wholeOf(run, there), broken: cause, at: this.beganAt(run, there) };
    }
  }

  /** Where neither copy's first line says it, a run is as old as its file; one that only the store has counts as the newest. */
  private beganAt(run: string, there: Buffer): Instant {
    const [first] = [there, this.local.bytes(run)].flatMap((copy) => wholeOf(run, firstLine(copy)));
    return first?.at ?? this.local.writtenAt(run) ?? Infinity;
  }

  private async there<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      this.warn(`the store does not answer (${shortOf(cause)}): only journals of this machine are seen`);
      return otherwise;
    }
  }
}

const lostTo = (run: string): StandbyError =>
  new StandbyError(
    'RunLost',
    `somebody else goes on with run ${run}: \`standby runs\` shows who; this one has stopped`,
    {
      exit: 'person',
    },
  );

const isBroken = (cause: unknown): cause is StandbyError =>
  cause instanceof StandbyError && cause.code === 'JournalBroken';

const firstLine = (bytes: Buffer) => bytes.subarray(0, bytes.indexOf(0x0a) + 1);

/** @returns the entries of a copy that is as it was written; none of another one. */
function wholeOf(run: string, bytes: Buffer): readonly JournalEntry[] {
  try {
    return entriesOf(run, bytes);
  } catch (cause) {
    if (!isBroken(cause)) throw cause;
    return [];
  }
}

/** The longer of two copies of the same journal. @throws StandbyError JournalBroken when they are not copies of each other. */
function merge(run: string, local: readonly JournalEntry[], bytes: Buffer): readonly JournalEntry[] {
  const remote = entriesOf(run, bytes);
  const [short, long] = local.length <= remote.length ? [local, remote] : [remote, local];
  const end = short.at(-1);
  if (!end || long[short.length - 1]?.hash === end.hash) return long;
  const last = remote.at(-1)?.what;
  const next =
    last?.type === 'end'
      ? `it is over (${last.outcome}), as the store has it`
      : 'resume on the machine that wrote the one in the store';
  throw new StandbyError(
    'JournalBroken',
    `the journal of run ${run} is another one here than in the store: keep both copies; ${next}`,
    { exit: 'person' },
  );
}

export const createJournal = (options: JournalOptions): TwofoldJournal => new TwofoldJournal(options);
