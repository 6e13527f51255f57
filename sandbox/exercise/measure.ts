/** recoveryTime and dataLossWindow out of what the outside client saw. Pure: no clock, no I/O. */
import type { AcknowledgedRow, Observation } from './client';

export interface Recovery {
  /** From the outage to the first success on the expected site, seconds; undefined: not back yet. */
  readonly seconds: number | undefined;
  readonly byTarget: Readonly<Record<string, number | undefined>>;
}

/**
 * A target is back with its first success after its first failure since the outage, if the answer comes from `site`.
 * Where an answer does not tell its site (the identity provider's), a success after a failure counts; one that never failed
 * was never gone: 0 seconds. So ask when the others are back.
 * @param outageAt milliseconds since the epoch.
 */
export function recovery(
  observations: ReadonlyMap<string, readonly Observation[]>,
  targets: readonly string[],
  outageAt: number,
  site: string,
): Recovery {
  const byTarget = Object.fromEntries(
    targets.map((target) => {
      const since = (observations.get(target) ?? []).filter((one) => one.at >= outageAt);
      const failed = since.findIndex((one) => !one.ok);
      const back = since.slice(Math.max(failed, 0)).find((one) => one.ok && (one.site ?? site) === site);
      const untold = back !== undefined && back.site === undefined && failed < 0;
      return [target, back && (untold ? 0 : (back.at - outageAt) / 1000)] as const;
    }),
  );
  const times = Object.values(byTarget);
  const complete = times.every((time) => time !== undefined);
  return { seconds: complete ? Math.max(...times) : undefined, byTarget };
}

export interface Loss {
  readonly rowsLost: number;
  /** From the acknowledgement of the oldest lost row to the outage or the newest one, seconds; 0 when no row was lost. */
  readonly windowSeconds: number;
}

/**
 * What was acknowledged and is not there. An outage takes hold some milliseconds after it began: what the lost site still
 * acknowledged then counts as well, so no row is left out for its time.
 * @param acknowledged rows in the order of their acknowledgement, none later than the look at `present`.
 * @param present sequence numbers found on the site that took over.
 * @param outageAt milliseconds since the epoch.
 */
export function loss(acknowledged: readonly AcknowledgedRow[], present: ReadonlySet<number>, outageAt: number): Loss {
  const lost = acknowledged.filter((row) => !present.has(row.seq));
  const [oldest, newest] = [lost[0], lost.at(-1)];
  if (!oldest || !newest) return { rowsLost: 0, windowSeconds: 0 };
  return { rowsLost: lost.length, windowSeconds: (Math.max(outageAt, newest.at) - oldest.at) / 1000 };
}

/** @returns the longest time without a success since `since`, seconds; to the last observation when none came after. */
export function refusal(observations: readonly Observation[], since: number): number {
  const seen = observations.filter((one) => one.at >= since);
  const ends = [since, ...seen.filter((one) => one.ok).map((one) => one.at), seen.at(-1)?.at ?? since];
  const gaps = ends.slice(1).map((at, index) => at - (ends[index] ?? at));
  return Math.max(0, ...gaps) / 1000;
}
