/** An observation and a wish, put together: who is left, who takes over, and what can still be reached. Pure. */
import type { Switch } from '../config/failover';
import type { Site } from '../config/fields';
import type { Issue } from '../config/issues';
import type { Preparation, ServerPlan } from '../config/servers';
import { StandbyError } from './errors';
import type { Instant, Observation, ServerReading, Wish } from './model';
import { fresh } from './readings';

/** What the configuration says of a switch; `config/` has the functions, and this room borrows types only. */
export interface SwitchRules {
  readonly validateSwitch: (values: Switch) => readonly Issue[];
  readonly productionServers: (values: Switch) => readonly ServerPlan[];
  readonly nextWork: (values: Switch) => Preparation | string;
}

export interface Seen {
  readonly plan: ServerPlan;
  /** Absent when it doesn't answer, or was looked at too long ago. */
  readonly reading?: ServerReading;
}

export interface Situation {
  readonly observation: Observation;
  readonly wish: Wish;
  readonly now: Instant;
  readonly rules: SwitchRules;
  readonly values: Switch;
  readonly from: Site;
  readonly to: Site;
  /** Nothing may be lost: a switchover or a failback. */
  readonly planned: boolean;
  /** Epoch after the change of role. */
  readonly epoch: number;
  readonly servers: readonly ServerPlan[];
  /** The server that is worked on. */
  readonly current: Seen;
  /** What follows the current server at the site that takes over. */
  readonly replica?: Seen;
  /** The server at the site that takes over from which the current one was made. */
  readonly previous?: Seen;
  /** The cluster that is left answers. */
  readonly clusterAnswers: boolean;
}

export function situationOf(observation: Observation, wish: Wish, now: Instant, rules: SwitchRules): Situation {
  const { values } = observation.configuration;
  const { to } = wish;
  const from: Site = to === 'prod' ? 'intg' : 'prod';
  const servers = rules.productionServers(values);
  const seen = (plan: ServerPlan): Seen => {
    const reading = fresh(observation.servers[plan.name], now);
    return { plan, ...(reading ? { reading } : {}) };
  };
  const current = servers.find(({ database }) => database);
  if (!current)
    throw new StandbyError('NoDatabase', 'the switch names no database to work on: run pulumi preview first');
  const newest = servers.filter(({ site }) => site === to).at(-1);
  const source = servers.find(({ name }) => name === current.recovery?.from);
  return {
    ...{ observation, wish, now, rules, values, from, to, servers },
    planned: wish.kind !== 'failover',
    epoch: values.epoch + 1,
    current: seen(current),
    ...(newest?.streaming && newest.recovery?.from === current.name ? { replica: seen(newest) } : {}),
    ...(source?.site === to ? { previous: seen(source) } : {}),
    clusterAnswers: fresh(observation.sites[from].cluster, now) !== undefined,
  };
}

/** Applications of the epoch that a server has admitted can write to it. */
export const accepts = (server: ServerReading | undefined): boolean =>
  server?.role === 'primary' && server.writable && server.token?.open === true;

/** The current server takes statements and is a primary, so it can be fenced, and the fence can be proved. */
export const fenceable = ({ current }: Situation): boolean => current.reading?.role === 'primary';

/** The replica gets every row of the current server once that one is fenced. */
export const complete = (situation: Situation): boolean =>
  fenceable(situation) &&
  situation.replica?.reading?.role === 'replica' &&
  situation.replica.reading.streaming === true;

/** Every application of a site is ready with that epoch. */
export function readyAt(observation: Observation, now: Instant, site: Site, epoch: number): boolean {
  const apps = fresh(observation.sites[site].cluster, now)?.apps ?? [];
  return apps.length > 0 && apps.every((app) => app.wanted > 0 && app.ready >= app.wanted && app.epoch === epoch);
}

/** The standby site, prepared by that switch, works on that server. */
export function prepares(rules: SwitchRules, values: Switch, server: string): boolean {
  const next = rules.nextWork(values);
  return typeof next !== 'string' && next.server.name === server;
}

/** The site that takes over runs already what it will work on: that server, in the next epoch. */
export function standsPrepared({ observation, now, rules, values, to, epoch }: Situation, server: string): boolean {
  return (
    values.prepared &&
    values.stage === 'complete' &&
    prepares(rules, values, server) &&
    readyAt(observation, now, to, epoch)
  );
}

/** What an update must leave alone while it goes on. */
export function unreachable({ from, current, clusterAnswers, planned, wish }: Situation): Switch['unreachable'] {
  if (planned) return 'none';
  const lost = current.plan.site === from ? current.reading === undefined : !clusterAnswers && wish.lost !== undefined;
  if (lost) return from;
  return clusterAnswers ? 'none' : `${from}-cluster`;
}
