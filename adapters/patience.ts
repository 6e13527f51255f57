/** Trying again, within limits. */
import { setTimeout as delay } from 'node:timers/promises';
import { StandbyError } from '../failover/errors';

export interface Trying {
  readonly signal: AbortSignal;
  /** @default - 3 */
  readonly tries?: number;
  /** Longest pause, milliseconds. @default - 2000 */
  readonly pauseMs?: number;
}

/** An attempt that may be made again, after a pause that the other side may have asked for. */
export class Passing extends Error {
  constructor(
    readonly fault: StandbyError,
    readonly waitMs?: number,
  ) {
    super(fault.message, { cause: fault });
  }
}

/** Makes attempts until one does not throw Passing. @throws the last one's fault. */
export async function trying<T>({ signal, tries = 3, pauseMs = 2_000 }: Trying, attempt: () => Promise<T>): Promise<T> {
  for (let left = tries, pause = 200; ; left -= 1, pause *= 2) {
    try {
      return await attempt();
    } catch (cause) {
      if (!(cause instanceof Passing)) throw cause;
      if (left <= 1) throw cause.fault;
      await delay(Math.min(cause.waitMs ?? pause, pauseMs), undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }
}

export interface Until {
  readonly signal: AbortSignal;
  readonly everyMs: number;
  readonly limitMs: number;
}

/**
 * Asks until there is an answer. @param ask - gives nothing, or throws something retryable, for "not yet".
 * @throws the last thing that was thrown, or what `late` makes, when the time is over.
 */
export async function until<T>(
  { signal, everyMs, limitMs }: Until,
  ask: () => Promise<T | undefined>,
  late: () => StandbyError,
): Promise<T> {
  for (const end = performance.now() + limitMs; ;) {
    let last: StandbyError | undefined;
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (!(cause instanceof StandbyError && cause.retryable)) throw cause;
      last = cause;
    }
    if (performance.now() > end) throw last ?? late();
    await delay(everyMs, undefined, { signal }).catch(() => {
      throw signal.reason;
    });
  }
}
