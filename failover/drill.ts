/** A drill: what is copied, what is looked at, and what the evidence says. Pure. */
import type { Hosts, Site } from '../config/fields';
import type { ServerPlan } from '../config/servers';
import { StandbyError } from './errors';
import { known, type Instant, type Reading } from './model';

export interface DrillSource {
  readonly server: string;
  readonly site: Site;
  readonly method: 'geoRestore' | 'clone';
}

/**
 * The server that the business works on is the one to copy. From PROD by the backup that reached INTG's region, as branch 1b would;
 * by a clone where a moment is asked for, where there is no such backup, or where the server is INTG's already.
 * @throws StandbyError NoDrillSource
 */
export function drillSource(servers: readonly ServerPlan[], moment: boolean): DrillSource {
  const inUse = servers.find((server) => server.database);
  if (!inUse)
    throw new StandbyError('NoDrillSource', 'no server is in use: set standby:database to one that holds the data');
  const backedUpThere = inUse.site === 'prod' && inUse.geoRedundant;
  return { server: inUse.name, site: inUse.site, method: backedUpThere && !moment ? 'geoRestore' : 'clone' };
}

/** `4h`, `90m`. @throws StandbyError BadDuration */
export function parseLife(text: string, longestHours: number): number {
  const [, digits, unit] = /^(\d{1,4})(m|h)$/.exec(text) ?? [];
  const minutes = Number(digits) * (unit === 'h' ? 60 : 1);
  if (minutes >= 10 && minutes <= longestHours * 60) return minutes * 60_000;
  throw new StandbyError('BadDuration', `--ttl is "${text}"; allowed is 10m to ${longestHours}h, such as 4h or 90m`, {
    exit: 'usage',
  });
}

/** A UTC time in the past. @throws StandbyError BadTime */
export function parseMoment(text: string, now: Instant): Instant {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z$/.test(text) ? Date.parse(text) : NaN;
  if (at < now) return at;
  throw new StandbyError(
    'BadTime',
    `--at is "${text}"; allowed is a time in UTC that is past, such as 2026-01-31T22:00:00Z`,
    { exit: 'usage' },
  );
}

/** 20260131220000: readable, growing, and part of the names of what a drill makes. */
export const drillNumber = (at: Instant): number => Number(new Date(at).toISOString().replace(/\D/g, '').slice(0, 14));

export interface DrillPlan {
  readonly number: number;
  readonly who: string;
  readonly startedAt: Instant;
  readonly expiresAt: Instant;
  readonly source: DrillSource;
  /** Moment that the copy is asked to show. */
  readonly pointInTime: Instant;
  readonly server: string;
  readonly namespace: string;
  readonly group: string;
  readonly hosts: Hosts;
  readonly release: string;
  readonly keep: boolean;
}

/** What a person reads before saying yes. */
export function describeDrill(plan: DrillPlan): string[] {
  const { source, hosts } = plan;
  const how =
    source.method === 'geoRestore'
      ? "from the last backup that reached INTG's region"
      : `as it was at ${new Date(plan.pointInTime).toISOString()}`;
  return [
    `drill ${plan.number}: ${source.server} ${how}`,
    `  makes     server ${plan.server}, identity provider and resource group ${plan.group}, namespace ${plan.namespace} on INTG's cluster`,
    `  runs      ${plan.release} under ${Object.values(hosts).join(', ')}; no DNS has these names`,
    `  closed    mail is off, every login of production is shut on the copy, its own are refused by production`,
    `  untouched production's names, servers, replication, configuration: compared before and after`,
    plan.keep
      ? `  stays     until ${new Date(plan.expiresAt).toISOString()}, or \`standby drill --cleanup\``
      : `  removed   when it is done; at the latest after ${new Date(plan.expiresAt).toISOString()} by the next drill or watch`,
  ];
}

/** A stack `drill` that exists. */
export interface FoundDrill {
  readonly startedAt?: Instant;
  readonly expiresAt?: Instant;
  readonly who?: string;
}

/** One that can't tell its end was cut off before it could: when it is older than any may be, or of unknown age, it is over. */
export const isOver = ({ startedAt, expiresAt }: FoundDrill, now: Instant, longestMs: number): boolean =>
  expiresAt === undefined ? startedAt === undefined || startedAt + longestMs <= now : expiresAt <= now;

export interface Check {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'unknown';
  readonly detail: string;
}
export const passed = (name: string, detail: string): Check => ({ name, outcome: 'passed', detail });
export const failed = (name: string, detail: string): Check => ({ name, outcome: 'failed', detail });
export const unknown = (name: string, detail: string): Check => ({ name, outcome: 'unknown', detail });

/** What a drill may not change: read before and after. Values that change by themselves are not in it. */
export interface ProductionReading {
  /** Number of the newest checkpoint, by stack. */
  readonly stacks: Readonly<Record<string, Reading<number>>>;
  /** Addresses of the public hosts, by resolver. */
  readonly names: Readonly<Record<string, Reading<Readonly<Record<string, readonly string[]>>>>>;
  /** By server: role, token, who may log in, who streams from it. */
  readonly servers: Readonly<Record<string, Reading<string>>>;
  /** By server: the addresses that its firewall lets in. */
  readonly firewalls: Readonly<Record<string, Reading<readonly string[]>>>;
}

const subjects = [
  ['stacks', 'production stacks unchanged'],
  ['names', 'production names unchanged'],
  ['servers', 'production servers and replication unchanged'],
  ['firewalls', 'production firewalls unchanged'],
] as const satisfies readonly (readonly [keyof ProductionReading, string])[];

export function compareProduction(before: ProductionReading, after: ProductionReading): Check[] {
  return subjects.map(([key, name]) => {
    const all = [...new Set([...Object.keys(before[key]), ...Object.keys(after[key])])].sort();
    const pairs = all.map((one) => [one, before[key][one], after[key][one]] as const);
    const told = pairs.map(([one, was, is]) => [one, toldBy(was), toldBy(is)] as const);
    const changed = told.filter(([, was, is]) => was !== undefined && is !== undefined && was !== is);
    if (changed.length > 0)
      return failed(name, changed.map(([one, was, is]) => `${one} was ${was}, is ${is}`).join('; '));
    const silent = pairs.flatMap(([one, was, is]) => [was, is].flatMap((reading) => whyUnknown(one, reading)));
    if (all.length === 0) return unknown(name, 'nothing could be read');
    if (silent.length > 0) return unknown(name, [...new Set(silent)].join('; '));
    return passed(name, all.join(', '));
  });
}

const toldBy = (reading: Reading<unknown> | undefined): string | undefined => {
  const value = known(reading);
  return value === undefined ? undefined : JSON.stringify(value);
};

const whyUnknown = (name: string, reading: Reading<unknown> | undefined): string[] => {
  if (!reading) return [`${name} was not there both times`];
  return 'unknown' in reading ? [`${name}: ${reading.unknown}`] : [];
};

/** Name of the check that the copy holds rows. */
export const rowsCheck = 'rows and recovery point';

/** Rows and the newest sentinel row. */
export interface RowsReading {
  readonly tables: Readonly<Record<string, number>>;
  readonly newest?: { readonly at: Instant; readonly seq: number };
}

export interface Figures {
  /** From the order to restore to the first login and the last host, seconds. */
  readonly recoveryTimeSeconds: number | 'unknown';
  /** Newest row in the copy. */
  readonly recoveryPoint: Instant | 'unknown';
  readonly dataLossSeconds: number | 'unknown';
  readonly rowsLost: number | 'unknown';
}

/**
 * @param source - production's newest row at the moment that the copy should show; unknown when production could not be asked.
 * @param missing - rows of production, up to that moment, that the copy has not.
 */
export function lossOf(
  copy: RowsReading | undefined,
  source: Reading<RowsReading['newest']>,
  missing: number | undefined,
): Pick<Figures, 'recoveryPoint' | 'dataLossSeconds' | 'rowsLost'> {
  const point = copy?.newest?.at;
  const wanted = known(source)?.at;
  const loss = point === undefined || wanted === undefined ? 'unknown' : Math.max(0, (wanted - point) / 1000);
  return { recoveryPoint: point ?? 'unknown', dataLossSeconds: loss, rowsLost: missing ?? 'unknown' };
}

export type Verdict = 'passed' | 'failed' | 'incomplete';

/** Unknown is not green: what could not be looked at leaves the drill incomplete. */
export function verdictOf(checks: readonly Check[]): Verdict {
  if (checks.some(({ outcome }) => outcome === 'failed')) return 'failed';
  return checks.length > 0 && checks.every(({ outcome }) => outcome === 'passed') ? 'passed' : 'incomplete';
}

export interface Timed {
  readonly what: string;
  readonly seconds: number;
}

export interface Evidence {
  readonly format: 1;
  readonly plan: DrillPlan;
  readonly endedAt: Instant;
  readonly verdict: Verdict;
  /** Why it was not carried to its end. */
  readonly fault?: string;
  readonly checks: readonly Check[];
  readonly figures: Figures;
  readonly tables: Readonly<Record<string, number>>;
  readonly steps: readonly Timed[];
  readonly production: { readonly before?: ProductionReading; readonly after?: ProductionReading };
  readonly removed: boolean;
}
