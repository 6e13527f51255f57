/** What an alarm says to a person, and whether a watcher may act on it by itself. Pure. */
import type { Site } from '../config/fields';
import { known, type Observation, type Plan, type Wish } from './model';
import type { Alarm } from './watch';

const nameOf = (site: Site) => site.toUpperCase();
const otherOf = (site: Site): Site => (site === 'prod' ? 'intg' : 'prod');

/** The command to run, as it is typed. @param replica - a streaming replica stands at the other site. */
export function suggestion({ sight, site, scope }: Alarm, replica: boolean): string {
  if (sight !== 'lost') return 'standby status';
  const command = `standby failover --to ${otherOf(site)}`;
  if (site === 'intg' || scope === 'unknown') return command;
  if (scope === 'cluster') return `${command} --database prod`;
  return `${command} --database ${replica ? 'replica' : 'restored'} --prod-is-lost "REASON"`;
}

/** One line that wakes somebody. */
export function headline({ sight, site, scope }: Alarm): string {
  switch (sight) {
    case 'lost':
      return {
        cluster: `${nameOf(site)} does not serve: its cluster is lost, the database in use answers`,
        site: `${nameOf(site)} does not serve: neither its cluster nor the database in use answers`,
        unknown: `${nameOf(site)} does not serve; whether its database lives is not known`,
      }[scope];
    case 'public-way':
      return `the public way is broken: the edge or the names fail, ${nameOf(site)} itself serves; a failover mends nothing`;
    case 'both-silent':
      return `neither site is heard, though resolvers are: look from another place before you act`;
  }
}

/** A holder older than this by the store's own clock has fenced itself, and its lease may be taken. */
const takeableSeconds = 10;

export type Decision = { readonly start: true; readonly wish: Wish } | { readonly start: false; readonly why: string };

/** What a watcher may ask for by itself: no person's word is in it, and no loss is accepted. */
export const automaticWish = ({ site }: Alarm): Wish => ({ kind: 'failover', to: otherOf(site) });

const no = (why: string): Decision => ({ start: false, why });

/**
 * Whether to start by itself: only when it is sure what is lost, when the plan loses no more than allowed, and when it is proved
 * that the site which is left can't write.
 * @param plan - made for `automaticWish`; the reason when the engine refuses to make one.
 */
export function mayStart(
  alarm: Alarm,
  observation: Observation,
  plan: Plan | { readonly refused: string },
  maxLossSeconds: number,
): Decision {
  if (alarm.sight !== 'lost') return no(headline(alarm));
  if (observation.configuration.values.activeSite !== alarm.site)
    return no(`${alarm.site} is not the active site any more`);
  if ('refused' in plan) return no(plan.refused);
  if (plan.wish.lost !== undefined || plan.wish.acceptLoss) return no("the plan rests on a person's word");
  if (plan.lossSeconds === 'unknown') return no('what the plan would lose is not known');
  if (plan.lossSeconds > maxLossSeconds)
    return no(`the plan may lose ${plan.lossSeconds} s of writes; allowed is ${maxLossSeconds} s`);
  const unfenced = whyUnfenced(alarm, observation, plan);
  return unfenced === undefined ? { start: true, wish: plan.wish } : no(unfenced);
}

/** @returns undefined when the fence is proved: on the server itself, or by a lease that its holder can't have any more. */
function whyUnfenced(alarm: Alarm, { servers, lease }: Observation, plan: Plan): string | undefined {
  const inUse = Object.values(servers).map(known);
  if (plan.branch === '1a' && inUse.some((server) => server?.role === 'primary')) return undefined;
  const held = known(lease);
  if (!held) return 'the lease could not be read, so nothing proves that the other site has stopped';
  if (held.mode === 'off') return 'writerLease is off, so nothing proves that the other site has stopped';
  if (held.released || held.holder !== alarm.site) return undefined;
  if (held.ageSeconds !== undefined && held.ageSeconds >= takeableSeconds) return undefined;
  return `${nameOf(alarm.site)} still holds the lease (${held.ageSeconds?.toFixed(1) ?? 'unknown'} s old; it runs out at ${takeableSeconds} s)`;
}
