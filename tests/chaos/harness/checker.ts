/** Whether two sites ever had the right to write at one time, by what two writers saw who tried all the time. Pure. */

/** A write that a server accepted. Times in milliseconds since the epoch. */
export interface Accepted {
  readonly site: string;
  readonly server: string;
  /** Whose credentials were used. */
  readonly epoch: number;
  /** By the server's clock, while it carried the write out: the commit came after it. */
  readonly at: number;
  /** By the writer's clock, when it had the answer: the commit came before it. */
  readonly after: number;
}

export interface Violation {
  readonly what: 'two sites in one epoch' | 'older epoch accepted after a newer one' | 'two sites at one time';
  readonly older: Accepted;
  readonly newer: Accepted;
}

/**
 * Each accepted write lies somewhere between `at` and `after`. The periods of two epochs must not touch: every write of an epoch
 * has ended before the first one of a later epoch, on whatever server, was begun. An epoch belongs to one site.
 * @returns one violation at most for each pair of epochs, or of sites of an epoch
 */
export function violations(log: readonly Accepted[]): Violation[] {
  const epochs = [...new Set(log.map(({ epoch }) => epoch))].sort((a, b) => a - b);
  return [...epochs.flatMap((epoch) => sharedEpoch(log, epoch)), ...epochs.flatMap((epoch) => tooLate(log, epoch))];
}

function sharedEpoch(log: readonly Accepted[], epoch: number): Violation[] {
  const [first, ...rest] = log.filter((one) => one.epoch === epoch);
  const other = rest.find((one) => one.site !== first?.site);
  return first && other ? [{ what: 'two sites in one epoch', older: first, newer: other }] : [];
}

function tooLate(log: readonly Accepted[], epoch: number): Violation[] {
  const newer = log.filter((one) => one.epoch > epoch);
  const older = log.filter((one) => one.epoch === epoch);
  if (newer.length === 0 || older.length === 0) return [];
  const last = older.reduce((a, b) => (b.after > a.after ? b : a));
  const first = newer.reduce((a, b) => (b.at < a.at ? b : a));
  if (last.after < first.at) return [];
  const certain = last.at > first.after;
  return [
    { what: certain ? 'older epoch accepted after a newer one' : 'two sites at one time', older: last, newer: first },
  ];
}

/** One line a violation, with how far apart it was. */
export const describeViolation = ({ what, older, newer }: Violation): string =>
  `${what}: epoch ${older.epoch} by ${older.site} on ${older.server} until ${iso(older.after)}, ` +
  `epoch ${newer.epoch} by ${newer.site} on ${newer.server} from ${iso(newer.at)} (${Math.round(older.after - newer.at)} ms)`;

const iso = (ms: number) => new Date(ms).toISOString();
