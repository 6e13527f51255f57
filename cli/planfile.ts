/** Plans on disk: written for later, or for a second pair of eyes. */
import * as fs from 'node:fs';
import { StandbyError } from '../failover/errors';
import { stepIds, type Plan } from '../failover/model';
import type { WishOptions } from './options';
import { checkPlanned } from './wish';

/** Plans hold no secret, but say where the business is weak. */
export function savePlan(file: string, plan: Plan): void {
  try {
    fs.writeFileSync(file, `${JSON.stringify(plan, undefined, 2)}\n`, { mode: 0o600 });
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new StandbyError('PlanUnwritten', `${file} can't be written (${why}): name another file`, { exit: 'usage' });
  }
}

const isPlan = (value: unknown): value is Plan => {
  const { format, id: plan, fingerprint, wish, options, steps, expiresAt } = (value ?? {}) as Partial<Plan>;
  return (
    format === 1 &&
    typeof plan === 'string' &&
    typeof fingerprint === 'string' &&
    typeof expiresAt === 'number' &&
    typeof wish?.kind === 'string' &&
    Array.isArray(options) &&
    Array.isArray(steps) &&
    (steps as Plan['steps']).every(({ id }) => stepIds.includes(id))
  );
};

/**
 * @param typed - what stands on the command line beside it: only what the plan says itself.
 * @throws StandbyError PlanUnread, UsageWrong
 */
export function loadPlan(file: string, kind: Plan['kind'], typed: WishOptions): Plan {
  const refuse = (why: string) =>
    new StandbyError('PlanUnread', `${file} is no plan (${why}): write one with \`standby plan ${kind} --save FILE\``, {
      exit: 'usage',
    });
  let value: unknown;
  try {
    value = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (cause) {
    throw refuse((cause as NodeJS.ErrnoException).code ?? 'it is no JSON');
  }
  if (!isPlan(value)) throw refuse('it has another format');
  if (value.kind !== kind) throw refuse(`it is for a ${value.kind}`);
  checkPlanned(file, value, typed);
  return value;
}
