/** What an alarm says to a person, and whether a watcher may act on it by itself. Pure. */
import type { Site } from '../config/fields';
import { StandbyError } from './errors';
import { times } from './leaseTimes';
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
const takeableSeconds = times.takeAfterMs / 1000;

export type Decision = { readonly start: true; readonly plan: Plan } | { readonly start: false; readonly why: string };

const no = (why: string): Decision => ({ start: false, why });

/**
 * Whether to start by itself: only when it is sure what is lost, when the plan loses no more than allowed, and when it is proved
 * that the site which is left can't write: by a fence on the server itself, or by a lease that its holder can't have any more.
 * No person's word is in it. Where the engine asks for one, the lease speaks in its place, or nobody does.
 * @param make - makes the engine's plan, or throws StandbyError with the reason why there is none.
 */
export function mayStart(
  alarm: Alarm,
  observation: Observation,
  make: (wish: Wish) => Plan,
  maxLossSeconds: number,
): Decision {
  if (alarm.sight !== 'lost') return no(headline(alarm));
  const { activeSite } = observation.configuration.values;
  if (activeSite !== alarm.site) return no(`the business runs on ${activeSite}`);
  const bare: Wish = { kind: 'failover', to: otherOf(alarm.site) };
  return decide(bare, { alarm, observation, make, maxLossSeconds });
}

interface Grounds {
  readonly alarm: Alarm;
  readonly observation: Observation;
  readonly make: (wish: Wish) => Plan;
  readonly maxLossSeconds: number;
}

/** Each further attempt says one thing more, so it ends. */
function decide(wish: Wish, grounds: Grounds): Decision {
  const { alarm, observation, make, maxLossSeconds } = grounds;
  try {
    const plan = make(wish);
    if (plan.lossSeconds === 'unknown') return no('what the plan would lose is not known');
    if (plan.lossSeconds > maxLossSeconds)
      return no(`the plan may lose ${plan.lossSeconds} s of writes; allowed is ${maxLossSeconds} s`);
    return { start: true, plan };
  } catch (cause) {
    if (!(cause instanceof StandbyError)) throw cause;
    // What it loses is judged when the plan says how much.
    if (cause.code === 'LossNotAccepted' && !wish.acceptLoss) return decide({ ...wish, acceptLoss: true }, grounds);
    if (cause.code !== 'LostNotStated' || wish.lost !== undefined) return no(cause.message);
    const held = leaseHolds(alarm, observation);
    return held === undefined ? decide({ ...wish, lost: leaseWord(observation) }, grounds) : no(held);
  }
}

/** @returns why the site that is left may still write; undefined when its lease proves that it can't. */
function leaseHolds({ site }: Alarm, { lease }: Observation): string | undefined {
  const held = known(lease);
  if (!held) return 'the lease could not be read, so nothing proves that the other site has stopped';
  if (held.mode === 'off') return 'writerLease is off, so nothing proves that the other site has stopped';
  if (held.released || (held.holder !== undefined && held.holder !== site)) return undefined;
  if (held.ageSeconds !== undefined && held.ageSeconds >= takeableSeconds) return undefined;
  return `${nameOf(site)} still holds the lease (${held.ageSeconds?.toFixed(1) ?? 'unknown'} s old; it runs out at ${takeableSeconds} s)`;
}

function leaseWord({ lease }: Observation): string {
  const held = known(lease);
  return `found by a watcher: the lease of ${held?.holder ?? 'nobody'} in epoch ${held?.epoch ?? 'unknown'} was ${
    held?.released ? 'released' : `last renewed ${held?.ageSeconds?.toFixed(0) ?? 'unknown'} s ago`
  }`;
}
