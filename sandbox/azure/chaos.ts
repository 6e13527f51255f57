/**
 * Faults on demand, for tests: `folders.azure/chaos.json`, read at each request.
 *
 *     {"rules": [{"id": "a", "match": "^PUT .*\/flexibleServers\/", "times": 2, "status": 429, "retryAfter": 1}]}
 *
 * `match` is a regular expression on "METHOD path"; a rule with a new `id` counts anew. Of a rule: `latencyMs` waits first;
 * `status` answers that instead of doing it (429 with Retry-After); `lost` does it and cuts the connection before the answer.
 */
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { folders } from '../world';
import { ArmError } from './kind';
import { readJson } from './store';

export interface ChaosRule {
  readonly id: string;
  readonly match: string;
  /** How many matching requests it befalls. @default - all */
  readonly times?: number;
  readonly latencyMs?: number;
  readonly status?: number;
  /** Seconds. */
  readonly retryAfter?: number;
  readonly lost?: boolean;
}

export const chaosFile = path.join(folders.azure, 'chaos.json');
const used = new Map<string, number>();

const faults: Readonly<Record<number, readonly [code: string, message: string]>> = {
  429: ['TooManyRequests', 'The request is being throttled as the limit has been reached for this operation.'],
  500: [
    'InternalServerError',
    'The server encountered an unexpected condition that prevented it from fulfilling the request.',
  ],
  503: ['ServiceUnavailable', 'The service is temporarily unavailable.'],
};

/**
 * Does what the first matching rule says.
 * @returns whether the answer is to be lost
 * @throws ArmError with the rule's status
 */
export async function chaos(method: string, requestPath: string): Promise<boolean> {
  const rules = readJson<{ readonly rules: readonly ChaosRule[] }>(chaosFile)?.rules ?? [];
  const left = (rule: ChaosRule) => (used.get(rule.id) ?? 0) < (rule.times ?? Infinity);
  const rule = rules.find((each) => left(each) && new RegExp(each.match, 'i').test(`${method} ${requestPath}`));
  if (!rule) return false;
  used.set(rule.id, (used.get(rule.id) ?? 0) + 1);
  if (rule.latencyMs) await delay(rule.latencyMs);
  if (rule.status) {
    const [code, message] = faults[rule.status] ?? ['Fault', `A fault with status ${rule.status} was asked for.`];
    const headers = rule.retryAfter === undefined ? {} : { 'retry-after': String(rule.retryAfter) };
    throw new ArmError(rule.status, code, message, headers);
  }
  return rule.lost === true;
}
