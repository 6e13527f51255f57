/** Checks that are made again and again until they are good, side by side, and said in one line when they are not. */
import { setTimeout as delay } from 'node:timers/promises';
import { StandbyError } from '../../failover/errors';
import type { Facts, Json } from '../../failover/model';
import type { Call } from '../../failover/ports';
import { within } from '../../failover/within';

export interface Check {
  /** Names the check's finding among the facts. */
  readonly name: string;
  /** @returns what was found. @throws Error that says what is not good yet. */
  readonly look: (signal: AbortSignal) => Promise<Json>;
}

const everyMs = 200;

interface Outcome {
  readonly name: string;
  readonly found?: Json;
  readonly fault?: string;
}

/** @throws StandbyError VerificationFailed, with every check that was not good when the time was over. */
export async function untilGood(checks: readonly Check[], limitMs: number, { signal, progress }: Call): Promise<Facts> {
  const began = performance.now();
  const over = within(limitMs, signal);
  const outcomes = await Promise.all(checks.map((check) => one(check, AbortSignal.any([over]), progress)));
  if (signal.aborted) throw signal.reason;
  const bad = outcomes.flatMap(({ name, fault }) => (fault === undefined ? [] : [`${name}: ${fault}`]));
  if (bad.length > 0) {
    throw new StandbyError(
      'VerificationFailed',
      `not as it should be after ${Math.round((performance.now() - began) / 1000)} s: ${bad.join('; ')}`,
      { retryable: true },
    );
  }
  return Object.fromEntries(outcomes.map(({ name, found }) => [name, found ?? null]));
}

async function one({ name, look }: Check, over: AbortSignal, progress: Call['progress']): Promise<Outcome> {
  let fault = 'nothing was said yet';
  for (;;) {
    try {
      const found = await look(over);
      return { name, found };
    } catch (cause) {
      if (over.aborted) return { name, fault };
      const message = (cause as Error).message;
      if (message !== fault) progress(`${name}: ${message}`);
      fault = message;
    }
    await delay(everyMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return { name, fault };
  }
}
