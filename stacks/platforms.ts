/** The platform on each site's cluster: what it is bound to, and the agent that guards the site's right to write. */
import type * as pulumi from '@pulumi/pulumi';
import type { CoordinationStore } from '../components/coordination/coordinationStore';
import { databaseEngines } from '../components/database/engines';
import type { AgentArgs } from '../components/workload/agent';
import type { DatabaseBinding } from '../components/workload/platform';
import { PlatformSite, type PlatformSiteArgs } from '../components/workload/platformSite';
import { agentKey, epochPassword, epochRole } from '../config/credentials';
import type { FailoverConfig } from '../config/failover';
import { apps, otherSite, type Site } from '../config/fields';
import { lostCluster } from '../config/servers';
import { clusterProvider } from './kubernetes';
import type { PlacedServer } from './recoveries';
import type { KnownSites } from './sites';

/** Everything that a platform is made from, whichever site it is on. */
export interface Surroundings {
  readonly config: FailoverConfig;
  readonly known: KnownSites;
  readonly servers: readonly PlacedServer[];
  readonly store: CoordinationStore;
  readonly providers: Readonly<Record<Site, ReturnType<typeof clusterProvider>>>;
}

/** What a platform works on. */
export interface Work {
  readonly database: PlacedServer;
  readonly identity: PlacedServer;
  readonly epoch: number;
  /** It runs; else it only stands ready. */
  readonly running: boolean;
}

export function clusterProviders(config: FailoverConfig, known: KnownSites): Surroundings['providers'] {
  const lost = lostCluster(config);
  const provider = (site: Site) => clusterProvider(site, known[site].outputs, site === lost);
  return { prod: provider('prod'), intg: provider('intg') };
}

/**
 * @param dependsOn - what comes before all of it.
 * @param before - what comes before its applications alone.
 * @returns the platform on a site, or nothing when nobody can reach the site's cluster.
 */
export function platform(
  around: Surroundings,
  site: Site,
  work: Work,
  dependsOn: pulumi.Resource[],
  before: PlatformSiteArgs['applicationsAfter'] = [],
): PlatformSite | undefined {
  const { config, known, providers } = around;
  if (site === lostCluster(config)) return undefined;
  const { network, resourceGroup } = known[site].outputs;
  const { identity } = known.prod.outputs;
  const { clients, session } = known.prod.secrets;
  const { identityFqdn } = work.identity;
  return new PlatformSite(
    `platform-${site}`,
    {
      platform: config.company,
      site,
      running: work.running,
      apps,
      hosts: config.hosts,
      image: `${config.image}:${config.release}`,
      release: config.release,
      epoch: work.epoch,
      replicas: config.replicas,
      database: binding(around, work),
      realm: identity.realm,
      clients,
      session,
      // Not the internal name, which moves later: who stands ready must find its own provider before that.
      identityName: identityFqdn,
      identityFqdn,
      ingressAddress: network.ingressAddress,
      ingressGroup: resourceGroup.name,
      ...(config.originCertificate ? { certificate: config.originCertificate } : {}),
      ...agent(around, site),
      applicationsAfter: before,
    },
    { provider: providers[site], dependsOn },
  );
}

/** Each epoch has a login of its own, so that a site which missed a change of role can't write with what it has. */
function binding({ config, known }: Surroundings, work: Work): DatabaseBinding {
  const { database } = known.prod.outputs;
  const { databasePassword } = known.prod.secrets;
  const epochs = hasEpochs(known);
  return {
    host: work.database.fqdn,
    port: databaseEngines[database.engine].port,
    database: database.database,
    user: epochs ? epochRole(config.company, work.epoch) : database.user,
    password: epochs ? databasePassword.apply((secret) => epochPassword(secret, work.epoch)) : databasePassword,
  };
}

/** Roles of epochs, and the agents that admit them, are made on PostgreSQL only. */
const hasEpochs = (known: KnownSites): boolean => known.prod.outputs.database.engine === 'postgresql';

/**
 * The site's agent. While servers are only made it stays as it is: nothing may be admitted to them yet, and who may write is in
 * the hands of whoever carries the change of role out.
 */
function agent(around: Surroundings, site: Site): Pick<PlatformSiteArgs, 'agent' | 'agentFrozen'> {
  const { config, known, store } = around;
  if (!hasEpochs(known)) return {};
  const other = otherSite(site);
  const [own, its] = [known[site].outputs, known[other].outputs];
  const args: AgentArgs = {
    platform: config.company,
    company: config.company,
    site,
    otherSite: other,
    active: site === config.activeSite && config.stage !== 'made',
    epoch: config.epoch,
    writerLease: config.writerLease,
    image: config.agentImage,
    store: { endpoint: store.endpoint, container: store.containerName },
    clientId: own.clientId,
    tenantId: own.tenantId,
    database: guarded(around, site),
    agentKey: known.prod.secrets.databasePassword.apply(agentKey),
    host: own.agentHost,
    address: own.network.ingressAddress,
    other: { host: its.agentHost, address: its.network.ingressAddress },
    deployments: apps,
    replicas: config.replicas,
  };
  return { agent: args, agentFrozen: config.stage === 'made' };
}

/** The server that the active site works on; at the other site its own newest one, which it may have to keep closed. */
function guarded({ config, known, servers }: Surroundings, site: Site): AgentArgs['database'] {
  const current = servers.find((server) => server.database);
  const own = servers.filter((server) => server.site === site).at(-1);
  const server = site === config.activeSite ? current : (own ?? current);
  const { database, identity } = known.prod.outputs;
  return {
    host: server?.fqdn ?? '',
    port: databaseEngines.postgresql.port,
    database: database.database,
    identityDatabase: identity.database,
    user: database.user,
    password: known.prod.secrets.databasePassword,
  };
}
