/** A plan as a person reads it before saying yes. */
import type { BranchOption, Plan } from '../../failover/model';
import { describeOptions, headline } from '../../failover/messages';
import { seconds, type Paint } from '../output';

const optionLines = (plan: Pick<Plan, 'options' | 'branch' | 'why'>): string[] =>
  describeOptions(plan).map((line) => `  ${line}`);

/** The same before any branch was chosen. */
export const openOptionLines = (options: readonly BranchOption[]): string[] =>
  describeOptions({ options, branch: 'none' as Plan['branch'], why: '' }).map((line) => `  ${line}`);

export function planLines(plan: Plan, paint: Paint): string[] {
  const width = Math.max(...plan.steps.map(({ id }) => id.length));
  const step = (one: Plan['steps'][number], index: number) => {
    const after = one.after.length > 0 ? `after ${one.after.join(', ')}` : 'at once';
    const touches = one.touches.length > 0 ? `; touches ${one.touches.join(', ')}` : '';
    const last = one.pointOfNoReturn ? paint('yellow', '; no way back from here') : '';
    const limit = `at most ${seconds(one.limitSeconds)}`;
    return [
      `  ${String(index + 1).padStart(2)} ${one.id.padEnd(width)}  ${one.title}`,
      paint('dim', `     ${''.padEnd(width)}  ${after}; ${limit}${touches}`) + last,
    ];
  };
  return [
    paint('bold', headline(plan)),
    ...optionLines(plan),
    `target: the outside is served within ${seconds(plan.targetSeconds)}${plan.kind === 'failover' ? '' : ' of the fence'}`,
    ...plan.warnings.map((line) => paint('yellow', `warning: ${line}`)),
    'steps:',
    ...plan.steps.flatMap(step),
    `plan ${plan.id}, good until ${new Date(plan.expiresAt).toISOString()}`,
  ];
}
