/**
 * Watches both sites from outside, and decides when to wake somebody. Pure: rounds of probes in, a verdict out.
 *
 * One probe proves nothing. A round says that a site does not serve when most of its hosts fail in it both ways, as the public
 * reaches them and at the site's own ingress; only several such rounds in a row raise the alarm. And whoever hears nobody at all is
 * cut off, and says so: silence everywhere says nothing about PROD.
 */
import type { Site } from '../config/fields';
import type { Instant } from './model';

export type Way = 'public' | 'direct' | 'database' | 'resolver';

export interface Target {
  /** `direct prod admin.moodtalk.ch`: unique. */
  readonly id: string;
  readonly way: Way;
  /** Where it is; absent for what stands outside both sites, such as the public way and resolvers. */
  readonly site?: Site;
}

/** `served` as it should; `answered` by somebody who can't serve (a 5xx of the edge or an ingress); `silent`. */
export type Outcome = 'served' | 'answered' | 'silent';

export interface Probe {
  readonly target: Target;
  readonly outcome: Outcome;
  readonly milliseconds: number;
  readonly why?: string;
}

export interface Round {
  readonly at: Instant;
  readonly probes: readonly Probe[];
  /** The watcher itself was kept waiting for so long that its times say nothing of anybody else. */
  readonly strained?: boolean;
}

/** What one round says of the active site. */
export type Sight =
  | 'serving'
  /** Its hosts fail both ways, and the watcher's own network is proved to work. */
  | 'lost'
  /** The public way fails, the site itself serves: edge or names, nothing that a failover mends. */
  | 'public-way'
  /** Neither site is heard, though resolvers are. */
  | 'both-silent'
  /** Nothing at all is heard: this says something about the watcher, and nothing else. */
  | 'cut-off'
  /** The watcher is too busy to tell who is slow. */
  | 'strained'
  /** Some fail; not enough to say anything. */
  | 'unclear';

export const scopes = ['cluster', 'site', 'unknown'] as const;
/** What is lost of it: only its cluster while the database lives, or all of it. */
export type Scope = (typeof scopes)[number];

export interface WatchSettings {
  /** Share of a way's hosts that must fail in a round. */
  readonly quorum: number;
  /** Rounds in a row before an alarm. */
  readonly rounds: number;
  /** Rounds in a row in which it serves before the alarm is over. */
  readonly recoveredRounds: number;
}
export const defaultSettings: WatchSettings = { quorum: 2 / 3, rounds: 3, recoveredRounds: 3 };

type Alarming = Extract<Sight, 'lost' | 'public-way' | 'both-silent'>;
const alarming = (sight: Sight): sight is Alarming =>
  sight === 'lost' || sight === 'public-way' || sight === 'both-silent';

export interface Alarm {
  readonly sight: Alarming;
  readonly site: Site;
  readonly scope: Scope;
  /** Start of the first round that saw it. */
  readonly since: Instant;
}

/** Why nothing can be judged. */
export interface Blind {
  readonly sight: 'cut-off' | 'strained';
  readonly since: Instant;
}

export interface WatchState {
  readonly active: Site;
  readonly run: { readonly sight: Sight; readonly since: Instant; readonly count: number } | undefined;
  /** The last rounds' readings of the port of the database in use. */
  readonly database: readonly boolean[];
  readonly alarm: Alarm | undefined;
  /** The watcher can't judge since then; an alarm that stands goes on standing. */
  readonly blind: Blind | undefined;
}

export type WatchEvent =
  | { readonly type: 'alarm'; readonly alarm: Alarm; readonly rounds: number }
  | { readonly type: 'scope'; readonly alarm: Alarm }
  | { readonly type: 'over'; readonly alarm: Alarm; readonly at: Instant }
  | { readonly type: 'blind'; readonly blind: Blind }
  | { readonly type: 'sees-again'; readonly blind: Blind; readonly at: Instant };

export const beginWatch = (active: Site): WatchState => ({
  active,
  run: undefined,
  database: [],
  alarm: undefined,
  blind: undefined,
});

const other = (site: Site): Site => (site === 'prod' ? 'intg' : 'prod');
const all = (round: Round, way: Way, site?: Site) =>
  round.probes.filter((probe) => probe.target.way === way && (site === undefined || probe.target.site === site));
const heard = (probes: readonly Probe[]) => probes.some(({ outcome }) => outcome !== 'silent');

/** @returns whether at least the quorum of these does not serve; never for none. */
const failing = (probes: readonly Probe[], quorum: number): boolean => {
  const failed = probes.filter(({ outcome }) => outcome !== 'served').length;
  return probes.length > 0 && failed >= Math.ceil(probes.length * quorum - 1e-9);
};

/** What one round says. */
export function sightOf(round: Round, active: Site, settings: WatchSettings = defaultSettings): Sight {
  if (!heard(round.probes)) return 'cut-off';
  if (round.strained) return 'strained';
  const direct = all(round, 'direct', active);
  const ways = { public: failing(all(round, 'public'), settings.quorum), direct: failing(direct, settings.quorum) };
  if (!ways.public && !ways.direct) return round.probes.some(isOff(active)) ? 'unclear' : 'serving';
  if (!ways.public) return 'unclear';
  if (!ways.direct) return 'public-way';
  return witness(round, active) ? 'lost' : 'both-silent';
}

/** A probe that concerns the business and did not get what it asked for. */
const isOff =
  (active: Site) =>
  ({ target, outcome }: Probe): boolean =>
    outcome !== 'served' && (target.way === 'public' || (target.way === 'direct' && target.site === active));

/**
 * Somebody who is reached by the same network as the lost site, and far from it: most of the other site's ingress, the database in
 * use, or the lost site's own ingress, which then is not silent but broken. A resolver is nearer, and proves less.
 */
function witness(round: Round, active: Site): boolean {
  const others = all(round, 'direct', other(active));
  const there = others.filter(({ outcome }) => outcome !== 'silent').length;
  return (
    (others.length > 0 && there * 2 >= others.length) ||
    heard(all(round, 'direct', active)) ||
    heard(all(round, 'database'))
  );
}

/** @returns the state after a round, and what somebody must be told. */
export function observeRound(
  state: WatchState,
  round: Round,
  settings: WatchSettings = defaultSettings,
): { readonly state: WatchState; readonly sight: Sight; readonly events: readonly WatchEvent[] } {
  const sight = sightOf(round, state.active, settings);
  const run =
    state.run?.sight === sight ? { ...state.run, count: state.run.count + 1 } : { sight, since: round.at, count: 1 };
  // Who can't judge learns nothing of the database either.
  const seen = sight === 'cut-off' || sight === 'strained' ? [] : all(round, 'database').map(isThere);
  const database = [...state.database, ...seen].slice(-settings.rounds);
  const looked = eyes({ ...state, run, database }, round, settings);
  const told = judge(looked.state, settings);
  return { state: told.state, sight, events: [...looked.events, ...told.events] };
}

type Told = { readonly state: WatchState; readonly events: readonly WatchEvent[] };

/** Whether the watcher itself can judge. */
function eyes(state: WatchState, { at }: Round, settings: WatchSettings): Told {
  const { run, blind } = state;
  if (run?.sight !== 'cut-off' && run?.sight !== 'strained') {
    if (!blind) return { state, events: [] };
    return { state: { ...state, blind: undefined }, events: [{ type: 'sees-again', blind, at }] };
  }
  if (blind || run.count < settings.rounds) return { state, events: [] };
  const now: Blind = { sight: run.sight, since: run.since };
  return { state: { ...state, blind: now }, events: [{ type: 'blind', blind: now }] };
}

function judge(state: WatchState, settings: WatchSettings): Told {
  const { run, alarm } = state;
  if (!run) return { state, events: [] };
  if (alarming(run.sight) && run.count >= settings.rounds) return raised(state, run.sight, run);
  if (run.sight !== 'serving' || !alarm || run.count < settings.recoveredRounds) return { state, events: [] };
  return { state: { ...state, alarm: undefined }, events: [{ type: 'over', alarm, at: run.since }] };
}

const isThere = ({ outcome }: Probe): boolean => outcome !== 'silent';

/** Once for each alarm; again only when it becomes another one, or its scope is known better. */
function raised(state: WatchState, sight: Alarming, run: { readonly since: Instant; readonly count: number }): Told {
  const { alarm: standing } = state;
  const alarm: Alarm = { sight, site: state.active, scope: scopeOf(state.database), since: run.since };
  if (standing?.sight !== sight) {
    return { state: { ...state, alarm }, events: [{ type: 'alarm', alarm, rounds: run.count }] };
  }
  if (standing.scope === alarm.scope) return { state, events: [] };
  const changed = { ...standing, scope: alarm.scope };
  return { state: { ...state, alarm: changed }, events: [{ type: 'scope', alarm: changed }] };
}

/** Readings that contradict each other leave it open. */
function scopeOf(database: readonly boolean[]): Scope {
  if (database.length === 0) return 'unknown';
  if (database.every((there) => there)) return 'cluster';
  return database.some((there) => there) ? 'unknown' : 'site';
}
