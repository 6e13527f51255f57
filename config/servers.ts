/** Which servers there are, which one is worked on, and what state each must be in. Pure. */
import type { Recovery, Switch } from './failover';
import { otherSite, type Site } from './fields';

export interface ServerPlan {
  readonly name: string;
  readonly site: Site;
  /** How it came to be; absent for the server that the site was built with. */
  readonly recovery?: Recovery;
  /** The applications write to it. */
  readonly database: boolean;
  /** The identity provider in use keeps its data on it. */
  readonly identity: boolean;
  /** It follows its source and takes no writes. */
  readonly streaming: boolean;
  /**
   * Its backups are copied to the paired region. Azure gives that to no replica, and to no server that is made while that region is
   * gone: those have their second copy when they are replicated again.
   */
  readonly geoRedundant: boolean;
}

export const builtServer = (company: string, site: Site): string => `psql-${company}-${site}`;
export const recoveredServer = (company: string, recovery: Pick<Recovery, 'site' | 'epoch'>): string =>
  `psql-${company}-${recovery.site}-e${recovery.epoch}`;

export const isGeoRedundant = ({ method }: Pick<Recovery, 'method'>): boolean => method === 'pointInTimeRestore';

/** @returns name of the server that the choice stands for; undefined when `restored` is asked for and nothing was recovered. */
export function chosen(choice: 'prod' | 'restored', { company, recoveries }: Switch): string | undefined {
  const site: Site = choice === 'prod' ? 'prod' : 'intg';
  const newest = recoveries.filter((recovery) => recovery.site === site).at(-1);
  if (newest) return recoveredServer(company, newest);
  return choice === 'prod' ? builtServer(company, 'prod') : undefined;
}

/**
 * @returns every server that holds or held production data: PROD's own, then the recoveries, oldest first. The server that INTG
 * was built with is not among them: no failover works on it.
 */
export function productionServers(config: Switch): ServerPlan[] {
  const database = chosen(config.database, config);
  const identity = chosen(config.identity, config);
  const use = (name: string) => ({ database: name === database, identity: name === identity });
  const own = builtServer(config.company, 'prod');
  return [
    { name: own, site: 'prod', ...use(own), streaming: false, geoRedundant: true },
    ...config.recoveries.map((recovery): ServerPlan => {
      const name = recoveredServer(config.company, recovery);
      const streaming = recovery.method === 'replica' && recovery.promoted !== true;
      return { name, site: recovery.site, recovery, ...use(name), streaming, geoRedundant: isGeoRedundant(recovery) };
    }),
  ];
}

/** What a person says nobody can reach. */
export const lostSite = ({ unreachable }: Pick<Switch, 'unreachable'>): Site | undefined =>
  unreachable === 'prod' || unreachable === 'intg' ? unreachable : undefined;
export const lostCluster = ({ unreachable }: Pick<Switch, 'unreachable'>): Site | undefined =>
  unreachable === 'none' ? undefined : unreachable.startsWith('prod') ? 'prod' : 'intg';

/** What a standby site is bound to before it is needed. */
export interface Preparation {
  readonly site: Site;
  /** Epoch of the next change of role. */
  readonly epoch: number;
  /** Server that the applications and the identity provider of the site work on after it. */
  readonly server: ServerPlan;
}

/**
 * @returns what the standby site would work on after the next change of role, were it prepared: its own streaming replica of the
 * database in use, else the database in use where that site may work on it. A string says why there is nothing to prepare.
 */
export function nextWork(config: Switch): Preparation | string {
  const site = otherSite(config.activeSite);
  if (site === lostCluster(config)) return `nobody can reach ${site}`;
  const servers = productionServers(config);
  const current = servers.find((server) => server.database);
  const newest = servers.filter((server) => server.site === site).at(-1);
  const replica = newest?.streaming && newest.recovery?.from === current?.name ? newest : undefined;
  const epoch = config.epoch + 1;
  if (replica) return { site, epoch, server: replica };
  // PROD never works on a server at INTG, as a switch with that is refused.
  const shared = site === 'intg' || current?.site === 'prod' ? current : undefined;
  return shared?.identity
    ? { site, epoch, server: shared }
    : `${site} has no streaming replica of ${current?.name}, and can't work on that itself`;
}

/** @returns what the standby site runs on already; undefined when it stands still, as it does while a change of role goes on. */
export function preparation(config: Switch): Preparation | undefined {
  if (!config.prepared || config.stage !== 'complete') return undefined;
  const next = nextWork(config);
  return typeof next === 'string' ? undefined : next;
}
