/** Where everything is: found by name in what the stacks told, without asking anybody. */
import type { Site } from '../config/fields';
import { productionServers, type ServerPlan } from '../config/servers';
import { StandbyError } from '../failover/errors';
import type { AdapterContext } from './context';
import type { AdmissionTarget } from './postgres/admission';

export interface ServerPlace extends ServerPlan {
  readonly id: string;
  readonly fqdn: string;
  /** Host name of the identity provider that keeps its data on this server. */
  readonly identityFqdn: string;
}

type Known = Pick<AdapterContext, 'configuration' | 'landscape'>;

/** Every server that holds or held production data, oldest first. */
export function serverPlaces({ configuration, landscape }: Known): ServerPlace[] {
  return productionServers(configuration()).map((server) => {
    const { database, identity } = landscape.sites[server.site];
    const beside = (text: string) => text.replace(database.server, server.name);
    const app = server.recovery ? `${identity.app}-e${server.recovery.epoch}` : identity.app;
    return {
      ...server,
      id: beside(database.serverId),
      fqdn: beside(database.fqdn),
      identityFqdn: `${app}.${identity.environmentDomain}`,
    };
  });
}

/** @throws StandbyError NoSuchServer */
export function serverPlace(known: Known, name: string): ServerPlace {
  const places = serverPlaces(known);
  const found = places.find((server) => server.name === name);
  if (found) return found;
  throw new StandbyError(
    'NoSuchServer',
    `server "${name}" is none of this plan: there are ${places.map((server) => server.name).join(', ')}`,
  );
}

/** The administrator's way to a server. Recovered servers have the name and the password of the one that they come from. */
export function serverTarget(known: Known, name: string): AdmissionTarget {
  const { fqdn } = serverPlace(known, name);
  const { database, identity } = known.landscape.sites.prod;
  return {
    host: fqdn,
    port: database.port,
    user: database.user,
    password: known.landscape.secrets.prod.databasePassword,
    database: database.database,
    company: known.configuration().company,
    identityDatabase: identity.database,
  };
}

/** The identity provider that serves at a site: the one in use where it is there, else the newest that was made there. */
export function identityPlace(known: Known, site: Site): string {
  const here = serverPlaces(known).filter((server) => server.site === site);
  const used = here.find((server) => server.identity) ?? here.at(-1);
  return used?.identityFqdn ?? known.landscape.sites[site].identity.fqdn;
}
