/** A look at one thing, which ends in time, whatever is looked at. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Reading } from '../../failover/model';
import { within } from '../../failover/within';

export interface Limits {
  /** Of all tries together. */
  readonly withinMs: number;
  readonly tries: number;
  readonly signal: AbortSignal;
}

const pauseMs = 250;

/** @param look - is told by its signal when its time is over; whether it listens does not matter. */
export async function reading<T>(
  { withinMs, tries, signal }: Limits,
  look: (signal: AbortSignal) => Promise<T>,
): Promise<Reading<T>> {
  const at = Date.now();
  const done = new AbortController();
  const late = delay(withinMs, undefined, { signal: AbortSignal.any([signal, done.signal]) }).then(() => {
    throw new Error(`no answer within ${withinMs / 1000} s`);
  });
  const limit = within(withinMs, signal);
  const looking = looked(tries, limit, look);
  looking.catch(() => undefined); // It may fail when nobody listens any more.
  try {
    return { at, value: await Promise.race([looking, late]) };
  } catch (cause) {
    return { at: Date.now(), unknown: reasonOf(cause, withinMs, signal) };
  } finally {
    done.abort();
    late.catch(() => undefined);
  }
}

async function looked<T>(tries: number, limit: AbortSignal, look: (signal: AbortSignal) => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left -= 1) {
    try {
      return await look(limit);
    } catch (cause) {
      if (left <= 0 || limit.aborted) throw cause;
      await delay(pauseMs, undefined, { signal: limit });
    }
  }
}

function reasonOf(cause: unknown, withinMs: number, signal: AbortSignal): string {
  if (signal.aborted) return 'the look was broken off';
  const { name, message } = cause as Error;
  if (name === 'TimeoutError' || name === 'AbortError') return `no answer within ${withinMs / 1000} s`;
  return message.split('\n')[0] ?? 'no reason given';
}
