/** Which backups are kept: of each day, week and month the first, so that its time is known when it is taken. Pure. */
import type { Retention } from '../config/backup';
import type { Instant } from './model';

export interface Kept {
  readonly id: string;
  readonly at: Instant;
  /** A restore check found a defect. */
  readonly defect?: boolean;
  /** A restore check found none. */
  readonly verified?: boolean;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Every backup is kept for so long, however often they are taken. */
export const allMs = 2 * dayMs;

const dayOf = (at: Instant) => new Date(at).toISOString().slice(0, 10);
const monthOf = (at: Instant) => new Date(at).toISOString().slice(0, 7);
/** Monday of the week, as ISO 8601 has it. */
const weekOf = (at: Instant) => dayOf(at - ((new Date(at).getUTCDay() + 6) % 7) * dayMs);

const classes = ['monthly', 'weekly', 'daily'] as const;
type Class = (typeof classes)[number];
const periodOf: Readonly<Record<Class, (at: Instant) => string>> = { monthly: monthOf, weekly: weekOf, daily: dayOf };

/** @returns the last moment at which a backup of a class is wanted. */
function endOf(kind: Class, at: Instant, retention: Retention): Instant {
  if (kind === 'daily') return at + retention.daily * dayMs;
  if (kind === 'weekly') return at + retention.weekly * 7 * dayMs;
  const end = new Date(at);
  const day = end.getUTCDate();
  end.setUTCDate(1);
  end.setUTCMonth(end.getUTCMonth() + retention.monthly);
  // The 31st of a shorter month is its last day.
  const last = new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() + 1, 0)).getUTCDate();
  end.setUTCDate(Math.min(day, last));
  return end.getTime();
}

/**
 * How long the storage is to keep a backup that is taken now.
 * @param earlier - those of the same data set that do not count as defective.
 */
export function keepUntil(at: Instant, earlier: readonly Instant[], retention: Retention): Instant {
  const first = classes.filter((kind) => !earlier.some((other) => periodOf[kind](other) === periodOf[kind](at)));
  return Math.max(at + allMs, ...first.map((kind) => endOf(kind, at, retention)));
}

/**
 * What retention wants of the backups of one data set, each with why. A defective one stands for no day, week or month; one that was
 * never restored stands for it beside the first that was. The newest that was restored soundly is kept whatever its age, and so is the
 * newest of all.
 */
export function wanted(backups: readonly Kept[], retention: Retention, now: Instant): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  const keep = (backup: Kept | undefined, why: string) => {
    if (backup && !reasons.has(backup.id)) reasons.set(backup.id, why);
  };
  const oldestFirst = [...backups].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  keep(oldestFirst.at(-1), 'the newest');
  keep(
    oldestFirst.findLast(({ verified }) => verified),
    'the newest that was restored',
  );
  for (const kind of classes) {
    /** Whether what stands for a period was restored. */
    const stands = new Map<string, boolean>();
    for (const backup of oldestFirst) {
      const period = periodOf[kind](backup.at);
      const verified = backup.verified ?? false;
      if (backup.defect || stands.get(period) || (stands.has(period) && !verified)) continue;
      stands.set(period, verified);
      if (endOf(kind, backup.at, retention) >= now) keep(backup, kind);
    }
  }
  for (const backup of oldestFirst) if (backup.at + allMs >= now) keep(backup, 'recent');
  return reasons;
}
