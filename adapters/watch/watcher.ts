/** Rounds at a steady pace, judged in the order in which they began. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beginWatch, observeRound, type Round, type Sight, type WatchEvent } from '../../failover/watch';
import { Prober } from './probes';
import type { Watched } from './places';

export interface Told {
  readonly round: Round;
  readonly sight: Sight;
  readonly events: readonly WatchEvent[];
  readonly watched: Watched;
}

export interface WatcherOptions {
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  /** Where things are now. @throws when that can't be read: what was known goes on being watched */
  readonly look: () => Promise<Watched>;
  /** How often to ask it. */
  readonly lookEveryMs: number;
}

/** Rounds that may be under way at once: a silent site keeps each of them waiting. */
const mostRounds = 4;

/** Ends when the signal does. */
export async function* watchRounds(first: Watched, options: WatcherOptions): AsyncGenerator<Told> {
  const { intervalMs, signal } = options;
  let watched = first;
  let prober = new Prober(watched.places);
  let state = beginWatch(watched.active);
  let lookedAt = Date.now();
  let looking: Promise<Watched | undefined> | undefined;
  const rounds: Promise<Round>[] = [];
  let next = performance.now();
  while (!signal.aborted) {
    while (rounds.length < mostRounds && performance.now() >= next) {
      rounds.push(prober.round(signal));
      // A machine that slept does not make up for what it missed.
      next = Math.max(next + intervalMs, performance.now());
    }
    const oldest = rounds[0];
    const wait = sleep(Math.max(50, next - performance.now()), undefined, { signal }).catch(() => undefined);
    const round = await Promise.race([...(oldest ? [oldest] : []), wait]);
    if (signal.aborted) return;
    if (round) {
      void rounds.shift();
      const told = observeRound(state, round);
      state = told.state;
      yield { round, sight: told.sight, events: told.events, watched };
    }
    if (!looking && Date.now() - lookedAt >= options.lookEveryMs) looking = options.look().catch(() => undefined);
    const seen = looking && (await Promise.race([looking, Promise.resolve('not yet' as const)]));
    if (seen === 'not yet' || looking === undefined) continue;
    [looking, lookedAt] = [undefined, Date.now()];
    if (!seen || JSON.stringify(seen) === JSON.stringify(watched)) continue;
    // Another site has the business: what was seen of the first one says nothing about it.
    if (seen.active !== watched.active || seen.epoch !== watched.epoch) state = beginWatch(seen.active);
    prober = new Prober(seen.places);
    rounds.length = 0;
    watched = seen;
  }
}
