/** From what is seen and what is wished to a plan, or to the reason why there is none. Pure. */
import { assessSituation, choose, promotionOf } from './branches';
import { canonical, digest } from './digest';
import { StandbyError } from './errors';
import { fingerprint } from './fingerprint';
import type { BranchOption, Instant, Observation, Plan, Wish } from './model';
import { warningsOf } from './messages';
import { checkDiverged, checkNames, checkWords, checkWorld } from './preconditions';
import { fresh } from './readings';
import { rows, stepsOf } from './rows';
import { fenceable, prepares, situationOf, standsPrepared, type SwitchRules } from './situation';
import { switchesOf, validate } from './switches';
import { templates } from './templates';

export type { SwitchRules } from './situation';

/** A plan that is older tells nothing of now. */
export const planLivesSeconds = 900;

/** @returns what each branch would lose and take. @throws StandbyError when the switch names no database. */
export const assess = (observation: Observation, wish: Wish, now: Instant, rules: SwitchRules): BranchOption[] =>
  assessSituation(situationOf(observation, wish, now, rules));

/** A UUID (version 8: made from a hash) that is the same for the same world, wish and time. */
function identify(text: string): string {
  const hex = digest(text);
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}

/**
 * @param rules - what `config/` says of a switch: `validateSwitch`, `productionServers`, `nextWork`.
 * @throws StandbyError with the precondition that does not hold: nothing may be changed then.
 */
export function plan(observation: Observation, wish: Wish, now: Instant, rules: SwitchRules): Plan {
  const situation = situationOf(observation, wish, now, rules);
  checkWorld(situation);
  const options = assessSituation(situation);
  const { option, why } = choose(situation, options);
  const { branch, lossSeconds, takesSeconds } = option;
  const row = rows[wish.kind][branch];
  if (!row) throw new StandbyError('NoBranch', `there is no ${wish.kind} by branch ${branch}: leave --database out`);
  checkDiverged(situation);
  checkNames(situation);
  checkWords(situation, option);
  const switches = switchesOf(situation, branch);
  const promotion = promotionOf(situation);
  const making = {
    ...{ situation, branch, switches, promotion, lossSeconds },
    fenced: fenceable(situation),
    leased: fresh(observation.lease, now)?.mode === 'on',
    prepares: prepares(rules, switches.prepare, switches.server),
    stands: standsPrepared(situation, switches.server),
  };
  const steps = stepsOf(row, templates, making);
  for (const step of steps) {
    for (const key of ['values', 'undo'])
      if (step.args[key]) validate(step.args[key] as unknown as Plan['after'], `of step ${step.id}`, situation);
  }
  const seal = fingerprint(observation);
  return {
    ...{
      format: 1,
      id: identify(canonical([seal, wish, now])),
      kind: wish.kind,
      from: situation.from,
      to: situation.to,
    },
    ...{ branch, epoch: situation.epoch, createdAt: now, expiresAt: now + planLivesSeconds * 1000, fingerprint: seal },
    ...{ wish, before: situation.values, after: switches.after, options, why, lossSeconds },
    targetSeconds: takesSeconds,
    warnings: warningsOf(making),
    steps,
  };
}
