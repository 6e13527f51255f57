/** What may be believed of what was looked at. */
import { StandbyError } from './errors';
import { known, type Instant, type Reading } from './model';

/** A reading that is older tells nothing of now. */
export const staleAfterSeconds = 30;

/** An archive of the log that is further behind would lose more than a restore from it may. */
export const longestArchiveLagSeconds = 60;

/** @returns the value, unless it is unknown or stale. */
export const fresh = <T>(reading: Reading<T> | undefined, now: Instant): T | undefined =>
  reading && now - reading.at <= staleAfterSeconds * 1000 ? known(reading) : undefined;

/** Why a reading can't be relied on, for a person. */
export function whyUnknown(reading: Reading<unknown> | undefined, now: Instant): string {
  if (!reading) return 'was not looked at';
  const age = `${Math.max(0, Math.round((now - reading.at) / 1000))} s ago`;
  if ('unknown' in reading) return `is unknown (${reading.unknown}; asked ${age})`;
  return `was seen ${age}, which is more than ${staleAfterSeconds} s`;
}

/**
 * @param what - the reading, as a person knows it.
 * @param next - what to do about it.
 * @throws StandbyError Unknown
 */
export function need<T>(reading: Reading<T> | undefined, now: Instant, what: string, next: string): T {
  const value = fresh(reading, now);
  if (value !== undefined) return value;
  throw new StandbyError('Unknown', `${what} ${whyUnknown(reading, now)}, and the plan rests on it: ${next}`);
}

/** @returns whether anything of an observation is unknown. */
export const hasUnknown = (part: unknown): boolean =>
  typeof part === 'object' && part !== null && ('unknown' in part || Object.values(part).some(hasUnknown));
