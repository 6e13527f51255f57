/**
 * What moves. Its configuration is the switch, its diff is the failover. It needs nothing of a site that a person has called
 * unreachable: what is on that site's cluster is left out of the program, what is in that site's region stays in it untouched.
 *
 * The order is in the dependencies: the site that is left stands still, its database is closed, the other one is promoted or
 * restored and opened, the platform starts on the site that takes over, and when it is ready the names move.
 */
import * as pulumi from '@pulumi/pulumi';
import { ReaderGrant } from '../components/access/readerGrant';
import { databaseEngines } from '../components/database/engines';
import { cloudflareZone } from '../components/dns/cloudflare';
import type { DnsProvider } from '../components/dns/provider';
import { InternalRecords } from '../components/dns/internalRecords';
import { PublicRecords } from '../components/dns/publicRecords';
import { PlatformSite } from '../components/workload/platformSite';
import type { FailoverConfig } from '../config/failover';
import { apps, otherSite, sites, type Site } from '../config/fields';
import type { FailoverOutputs } from '../config/outputs';
import { lostCluster, lostSite } from '../config/servers';
import { cautions } from '../config/switch';
import { clusterProvider } from './kubernetes';
import { impossibleRecoveries, makeServers, placeServers, type PlacedServer } from './recoveries';
import { hostMismatches, readSites, type KnownSites } from './sites';

/** What the applications and the people work on now. */
interface Work {
  readonly database: PlacedServer;
  readonly identity: PlacedServer;
}

/** @throws RunError before anything is made, when the sites as they were built don't fit the switch. */
export async function failover(config: FailoverConfig): Promise<FailoverOutputs> {
  const known = await readSites();
  const misfits = [...hostMismatches(known, config.hosts), ...impossibleRecoveries(config, known)];
  if (misfits.length > 0) throw new pulumi.RunError(`nothing was touched:\n  ${misfits.join('\n  ')}`);
  for (const caution of cautions(config)) void pulumi.log.warn(caution);
  const zone = await cloudflareZone(config.zone);

  const servers = placeServers(config, known);
  const work = workOf(servers);
  const providers = clusterProviders(config, known);
  const left = platform(config, known, work, otherSite(config.activeSite), providers, []);
  const { open, serving } = makeServers(config, known, servers, left);
  const grant = readerGrant(config, known, work);
  const ready = platform(config, known, work, config.activeSite, providers, [...open, grant]);
  names(config, known, work, zone, [...ready, ...serving]);
  return outputs(config, known, servers, work);
}

function workOf(servers: readonly PlacedServer[]): Work {
  const database = servers.find((server) => server.database);
  const identity = servers.find((server) => server.identity);
  if (!database || !identity) throw new pulumi.RunError('no server is chosen: the switch was not validated');
  return { database, identity };
}

type Providers = Readonly<Record<Site, ReturnType<typeof clusterProvider>>>;

function clusterProviders(config: FailoverConfig, known: KnownSites): Providers {
  const lost = lostCluster(config);
  const provider = (site: Site) => clusterProvider(site, known[site].outputs, site === lost);
  return { prod: provider('prod'), intg: provider('intg') };
}

/** @returns the platform on a site, or nothing when nobody can reach the site's cluster. */
function platform(
  config: FailoverConfig,
  known: KnownSites,
  work: Work,
  site: Site,
  providers: Providers,
  dependsOn: pulumi.Resource[],
): pulumi.Resource[] {
  if (site === lostCluster(config)) return [];
  const { network, resourceGroup, internalZone } = known[site].outputs;
  const { database, identity } = known.prod.outputs;
  const { secrets } = known.prod;
  const release = new PlatformSite(
    `platform-${site}`,
    {
      platform: config.company,
      site,
      active: site === config.activeSite,
      apps,
      hosts: config.hosts,
      image: `${config.image}:${config.release}`,
      release: config.release,
      epoch: config.epoch,
      replicas: config.replicas,
      database: {
        host: work.database.fqdn,
        port: databaseEngines[database.engine].port,
        database: database.database,
        user: database.user,
        password: secrets.databasePassword,
      },
      realm: identity.realm,
      clients: secrets.clients,
      session: secrets.session,
      identityName: `idp.${internalZone}`,
      identityFqdn: work.identity.identityFqdn,
      ingressAddress: network.ingressAddress,
      ingressGroup: resourceGroup.name,
      ...(config.originCertificate ? { certificate: config.originCertificate } : {}),
    },
    { provider: providers[site], dependsOn },
  );
  return [release];
}

/**
 * INTG's identity reads the group of the database that INTG works on, else its own. While a site is lost it stays as it is: the
 * assignment that would have to go could be in the lost one.
 */
function readerGrant(config: FailoverConfig, known: KnownSites, work: Work): ReaderGrant {
  const worksOn = config.activeSite === 'intg' ? work.database.site : 'intg';
  return new ReaderGrant('grant-intg', {
    scope: known[worksOn].outputs.resourceGroup.id,
    principalId: known.intg.outputs.principalId,
    frozen: lostSite(config) !== undefined,
  });
}

/**
 * Names, when the platform is ready where they will lead. The internal ones first: a reverse proxy that people reach before it
 * knows the way would keep the old one for as long as a resolver may.
 */
function names(
  config: FailoverConfig,
  known: KnownSites,
  work: Work,
  zone: DnsProvider,
  dependsOn: pulumi.Resource[],
): void {
  const { ingressAddress } = known[config.activeSite].outputs.network;
  const internal = sites.map((site) => {
    const { globalResourceGroup, internalZone } = known[site].outputs;
    const other = otherSite(site);
    return new InternalRecords(
      `internal-${site}`,
      {
        resourceGroupName: globalResourceGroup,
        zoneName: internalZone,
        apps,
        ingressAddress,
        databaseFqdn: work.database.fqdn,
        identityFqdn: work.identity.identityFqdn,
        linkName: `${config.company}-${other}`,
        otherNetworkId: known[other].outputs.network.id,
        frozenLink: lostSite(config) !== undefined,
      },
      { dependsOn },
    );
  });
  new PublicRecords(
    'public',
    { provider: zone, hosts: config.hosts, address: ingressAddress },
    { dependsOn: internal },
  );
}

const roleOf = (server: PlacedServer): string => {
  if (server.streaming) return 'replica';
  if (server.database) return 'primary';
  return server.identity ? 'primary of the identity provider' : 'closed';
};

function outputs(
  config: FailoverConfig,
  known: KnownSites,
  servers: readonly PlacedServer[],
  work: Work,
): FailoverOutputs {
  return {
    activeSite: config.activeSite,
    epoch: config.epoch,
    release: config.release,
    zone: config.zone,
    hosts: config.hosts,
    urls: Object.fromEntries(Object.entries(config.hosts).map(([name, host]) => [name, `https://${host}`])),
    ingressAddress: known[config.activeSite].outputs.network.ingressAddress,
    databaseServer: work.database.name,
    databaseFqdn: work.database.fqdn,
    identityFqdn: work.identity.identityFqdn,
    servers: servers.map((server) => ({ name: server.name, site: server.site, role: roleOf(server) })),
    objectives: config.objectives,
  };
}
