/**
 * What moves. Its configuration is the switch, its diff is the failover. It needs nothing of a site that a person has called
 * unreachable: what is on that site's cluster is left out of the program, what is in that site's region stays in it untouched.
 *
 * The order is in the dependencies: the site that is left stands still, its database is closed, the other one is promoted or
 * restored and opened, the agent of the site that takes over has the right to write, its platform starts, and when that is ready
 * the names move. `stage` stops on the way: `made` before anything is opened, `bound` before the names.
 */
import * as pulumi from '@pulumi/pulumi';
import { ReaderGrant } from '../components/access/readerGrant';
import { cloudflareZone } from '../components/dns/cloudflare';
import { InternalRecords } from '../components/dns/internalRecords';
import type { DnsProvider } from '../components/dns/provider';
import { PublicRecords } from '../components/dns/publicRecords';
import type { FailoverConfig } from '../config/failover';
import { apps, otherSite, sites } from '../config/fields';
import type { Landscape } from '../config/landscape';
import type { FailoverOutputs } from '../config/outputs';
import { lostSite, preparation } from '../config/servers';
import { cautions } from '../config/switch';
import {
  backupAccess,
  coordinationStore,
  documentStore,
  landscape,
  misplacedStore,
  offsiteBucket,
} from './coordination';
import { agentRecord } from './names';
import { clusterProviders, platform, type Surroundings, type Work } from './platforms';
import { identityProviders, impossibleRecoveries, makeServers, placeServers, type PlacedServer } from './recoveries';
import { backupSchedule, retentionCautions } from './schedule';
import { hostMismatches, readSites, type KnownSites } from './sites';

/** What the stack tells: everybody, and its operators. */
export type FailoverProgramOutputs = FailoverOutputs & { readonly landscape: pulumi.Output<Landscape> };

/** @throws RunError before anything is made, when the sites as they were built don't fit the switch. */
export async function failover(config: FailoverConfig): Promise<FailoverProgramOutputs> {
  const known = await readSites();
  const misfits = [
    ...hostMismatches(known, config.hosts),
    ...misplacedStore(known),
    ...impossibleRecoveries(config, known),
  ];
  if (misfits.length > 0) throw new pulumi.RunError(`nothing was touched:\n  ${misfits.join('\n  ')}`);
  for (const caution of [...cautions(config), ...retentionCautions(config, known)]) void pulumi.log.warn(caution);
  const zone = await cloudflareZone(config.zone);

  const servers = placeServers(config, known);
  const store = coordinationStore(config, known);
  const documents = documentStore(config, known);
  backupAccess(config, known);
  offsiteBucket(config);
  const around: Surroundings = { config, known, servers, store, providers: clusterProviders(config, known) };
  backupSchedule(around);
  const work = workOf(config, servers);
  const ready = changeOfRole(around, work);
  names(around, work, zone, ready);
  return { ...outputs(config, known, servers, work), landscape: landscape(known, store, documents) };
}

function workOf(config: FailoverConfig, servers: readonly PlacedServer[]): Work {
  const database = servers.find((server) => server.database);
  const identity = servers.find((server) => server.identity);
  if (!database || !identity) throw new pulumi.RunError('no server is chosen: the switch was not validated');
  return { database, identity, epoch: config.epoch, running: config.stage !== 'made' };
}

/**
 * The left site gives up the right to write, servers are closed, made and opened, the active site's agent takes that right, and
 * then its platform starts. The applications of a prepared standby come last: their login is made when that of the active site is
 * admitted.
 * @returns what must be there before names lead to the active site.
 */
function changeOfRole(around: Surroundings, work: Work): pulumi.Resource[] {
  const { config, known, servers, store } = around;
  const standby = standbyWork(config, servers, work);
  let admitted: (resources: pulumi.Resource[]) => void = () => undefined;
  const admission = new Promise<pulumi.Resource[]>((resolve) => (admitted = resolve));
  const left = platform(around, otherSite(config.activeSite), standby, [store], standby.running ? admission : []);
  // What is prepared can't write: its agent alone says when the site has let go.
  const still = standby.running ? left?.agent : left;
  const open = makeServers(config, known, servers, still ? [still] : []);
  const grant = readerGrant(config, known, work);
  const active = platform(around, config.activeSite, work, [store, ...open, grant]);
  const guard = active?.agent ? [active.agent] : open;
  admitted(guard);
  const identities = identityProviders(config, known, servers, guard);
  return [...(active ? [active] : []), ...identities];
}

/** What the standby site runs on when it is prepared, and else would find if it had to start. */
function standbyWork(config: FailoverConfig, servers: readonly PlacedServer[], work: Work): Work {
  const next = preparation(config);
  const server = servers.find(({ name }) => name === next?.server.name);
  return next && server
    ? { database: server, identity: server, epoch: next.epoch, running: true }
    : { ...work, running: false };
}

/**
 * INTG's identity reads the group of the database that INTG works on, or is prepared for, else its own. While a site is lost it stays as it is: the
 * assignment that would have to go could be in the lost one.
 */
function readerGrant(config: FailoverConfig, known: KnownSites, work: Work): ReaderGrant {
  const next = preparation(config);
  const worksOn = config.activeSite === 'intg' ? work.database.site : next?.site === 'intg' ? next.server.site : 'intg';
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
function names({ config, known }: Surroundings, work: Work, zone: DnsProvider, dependsOn: pulumi.Resource[]): void {
  const { ingressAddress } = known[config.activeSite].outputs.network;
  const frozen = config.stage !== 'complete';
  const internal = sites.map((site) => {
    const { globalResourceGroup, internalZone, network } = known[site].outputs;
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
        own: { [agentRecord]: network.ingressAddress },
        linkName: `${config.company}-${other}`,
        otherNetworkId: known[other].outputs.network.id,
        frozen,
        frozenLink: lostSite(config) !== undefined,
      },
      { dependsOn },
    );
  });
  new PublicRecords(
    'public',
    { provider: zone, hosts: config.hosts, address: ingressAddress, frozen },
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
    ...(config.backup ? { backup: copies(config.backup) } : {}),
  };
}

/** What the policy `backup-3-2-1-1-0` looks at. */
const copies = ({
  vaults,
  recipients,
}: NonNullable<FailoverConfig['backup']>): NonNullable<FailoverOutputs['backup']> => ({
  site: vaults.site,
  ...(vaults.offsite ? { offsite: vaults.offsite.endpoint } : {}),
  ...(vaults.offline ? { offline: vaults.offline.label } : {}),
  recipients: recipients.length,
});
