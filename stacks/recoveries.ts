/** The servers that hold or held production data: each a resource of its own, fenced unless somebody works on it. */
import type * as pulumi from '@pulumi/pulumi';
import { DatabaseAdmission } from '../components/access/databaseAdmission';
import { WriteFence } from '../components/access/writeFence';
import { databaseEngines } from '../components/database/engines';
import { RecoveryServer } from '../components/database/recoveryServer';
import { IdentityProvider } from '../components/identity/identityProvider';
import { DatabaseAlerts } from '../components/monitoring/databaseAlerts';
import { siteOfJobs } from '../config/backup';
import type { FailoverConfig, Recovery } from '../config/failover';
import { otherSite } from '../config/fields';
import { pairOf } from '../config/regions';
import { builtServer, lostSite, preparation, productionServers, type ServerPlan } from '../config/servers';
import { recoveredIdentityProvider } from './names';
import type { KnownSites } from './sites';

export interface PlacedServer extends ServerPlan {
  readonly id: string;
  /** Known before the server exists: its name and its vendor's domain make it. */
  readonly fqdn: string;
  readonly identityFqdn: string;
  readonly resourceGroup: string;
  readonly frozen: boolean;
}

/** @returns every production server with its place and its addresses. Nothing is made. */
export function placeServers(config: FailoverConfig, known: KnownSites): PlacedServer[] {
  const lost = lostSite(config);
  return productionServers(config).map((server) => {
    const { database, identity, resourceGroup } = known[server.site].outputs;
    const beside = (text: string) => text.replace(database.server, server.name);
    const app = server.recovery
      ? recoveredIdentityProvider(config.company, server.site, server.recovery.epoch)
      : identity.app;
    return {
      ...server,
      id: beside(database.serverId),
      fqdn: beside(database.fqdn),
      identityFqdn: `${app}.${identity.environmentDomain}`,
      resourceGroup: resourceGroup.name,
      frozen: server.site === lost,
    };
  });
}

/**
 * Makes what is missing and sets every fence, each server after the one that it comes from: what is left is closed before what
 * follows it is promoted or opened.
 * @param left - the site that is left, with no right to write: nothing is closed, promoted or opened before that.
 * @returns what must be done before the active site may write: servers, fences, admissions.
 */
export function makeServers(
  config: FailoverConfig,
  known: KnownSites,
  servers: readonly PlacedServer[],
  left: pulumi.Resource[],
): pulumi.Resource[] {
  const done = new Map<string, pulumi.Resource[]>();
  for (const server of servers) {
    const { recovery } = server;
    const before = recovery ? [...left, ...(done.get(recovery.from) ?? [])] : left;
    const made = recovery ? [recoveryServer(known, servers, server, recovery, before)] : [];
    const fence = writeFence(config, server, [...before, ...made]);
    if (recovery) alerts(known, server, made);
    // One thing at a time at a server: what closes it does not wait for what lets somebody in.
    done.set(server.name, [...made, fence, databaseAdmission(config, known, server, [...made, fence])]);
  }
  return [...done.values()].flat();
}

/**
 * The identity providers of recovered servers. A replica's is there from the start, asleep: where it is needed nobody makes one
 * first, and nobody removes one from a site that is lost.
 * @param dependsOn - whoever opens the servers to them.
 */
export const identityProviders = (
  config: FailoverConfig,
  known: KnownSites,
  servers: readonly PlacedServer[],
  dependsOn: pulumi.Resource[],
): pulumi.Resource[] =>
  servers.flatMap((server) =>
    server.recovery ? [recoveredIdentity(config, known, servers, server, server.recovery, dependsOn)] : [],
  );

function recoveryServer(
  known: KnownSites,
  servers: readonly PlacedServer[],
  server: PlacedServer,
  recovery: Recovery,
  dependsOn: pulumi.Resource[],
) {
  const { outputs } = known[server.site];
  const { sku, tier, storageGb, backupRetentionDays, version, user } = known.prod.outputs.database;
  const source = servers.find((one) => one.name === recovery.from);
  return new RecoveryServer(
    server.name,
    {
      resourceGroupName: server.resourceGroup,
      location: outputs.region,
      serverName: server.name,
      method: recovery.method,
      sourceServerId: source?.id ?? '',
      ...(recovery.pointInTime ? { pointInTime: recovery.pointInTime } : {}),
      promoted: recovery.promoted ?? false,
      promotion: recovery.promotion ?? 'planned',
      beginning: { version, administrator: user, password: known.prod.secrets.databasePassword },
      ...{ sku, tier, storageGb, backupRetentionDays },
      geoRedundantBackup: server.geoRedundant && pairOf(outputs.region) !== undefined,
      siteAddress: outputs.network.egressAddress,
      operatorAddresses: outputs.database.operatorAddresses,
      frozen: server.frozen,
    },
    { dependsOn },
  );
}

/**
 * Closed unless somebody works on it, and all of them while servers are only made. A replica that streams takes no writes anyway,
 * and must be open once it is promoted.
 */
const writeFence = (config: FailoverConfig, server: PlacedServer, dependsOn: pulumi.Resource[]) =>
  new WriteFence(
    `fence-${server.name}`,
    {
      resourceGroupName: server.resourceGroup,
      serverName: server.name,
      closed: !server.streaming && (config.stage === 'made' || (!server.database && !server.identity)),
      frozen: server.frozen,
    },
    { dependsOn },
  );

/**
 * Where the other site's address gets in: it works on the server, or is prepared to, itself or through the server's replica; or its
 * cluster takes the server's backups.
 */
function databaseAdmission(
  config: FailoverConfig,
  known: KnownSites,
  server: PlacedServer,
  dependsOn: pulumi.Resource[],
) {
  const next = preparation(config);
  const prepared = next && [next.server.name, next.server.recovery?.from].includes(server.name) ? [next.site] : [];
  const { backup } = config;
  const keeper = backup?.schedule.jobs && (server.database || server.identity) ? [siteOfJobs(backup)] : [];
  const workers = [...(server.database ? [config.activeSite] : []), ...prepared, ...keeper];
  const guest = workers.find((site) => site !== server.site) ?? server.site;
  return new DatabaseAdmission(
    `admission-${server.name}`,
    {
      resourceGroupName: server.resourceGroup,
      serverName: server.name,
      address: known[guest].outputs.network.egressAddress,
      frozen: server.frozen,
    },
    { dependsOn },
  );
}

/** On the recovered identity database: same realm, same clients, same keys, same users, so a login survives. */
function recoveredIdentity(
  config: FailoverConfig,
  known: KnownSites,
  servers: readonly PlacedServer[],
  server: PlacedServer,
  recovery: Recovery,
  dependsOn: pulumi.Resource[],
) {
  const { outputs } = known[server.site];
  const { identity, database } = known.prod.outputs;
  const { secrets } = known.prod;
  const engine = databaseEngines[database.engine];
  const source = recovery.method === 'replica' ? servers.find(({ name }) => name === recovery.from)?.fqdn : undefined;
  const running = config.stage !== 'made' && (server.identity || preparation(config)?.server.name === server.name);
  return new IdentityProvider(
    `idp-${server.name}`,
    {
      resourceGroupName: server.resourceGroup,
      location: outputs.region,
      appName: recoveredIdentityProvider(config.company, server.site, recovery.epoch),
      environmentId: outputs.identity.environmentId,
      environmentDomain: outputs.identity.environmentDomain,
      image: identity.image,
      databaseVendor: engine.keycloakVendor,
      databaseUrl: engine.jdbcUrl(server.fqdn, identity.database, source),
      databaseUser: database.user,
      databasePassword: secrets.databasePassword,
      publicHost: config.hosts.idp,
      realm: secrets.realm,
      realmName: identity.realm,
      administrator: identity.administrator,
      administratorPassword: secrets.administratorPassword,
      minReplicas: running ? 1 : 0,
      frozen: server.frozen,
    },
    { dependsOn },
  );
}

function alerts(known: KnownSites, server: PlacedServer, dependsOn: pulumi.Resource[]) {
  const { outputs } = known[server.site];
  const { actionGroupId, memoryPercent, storagePercent, connections } = outputs.alerts;
  return new DatabaseAlerts(
    `alerts-${server.name}`,
    {
      resourceGroupName: server.resourceGroup,
      label: server.name,
      metrics: databaseEngines.postgresql.metrics,
      observedId: server.id,
      actionGroupId,
      ...{ memoryPercent, storagePercent, connections },
      frozen: server.frozen,
    },
    { dependsOn },
  );
}

/** @returns one line for each recovery that the sites as they were built don't allow. */
export function impossibleRecoveries(config: FailoverConfig, known: KnownSites): string[] {
  const expected = builtServer(config.company, 'prod');
  const { engine, server } = known.prod.outputs.database;
  const other =
    server === expected
      ? []
      : [
          `PROD's server is ${server}, this configuration expects ${expected}: make standby:company equal in all stacks`,
        ];
  const engineless = engine === 'postgresql' || config.recoveries.length === 0;
  return [
    ...other,
    ...misplaced(config, known),
    ...(engineless
      ? []
      : [
          `standby:recoveries has entries, but PROD's engine is ${engine}: its own failover group recovers it, remove them`,
        ]),
  ];
}

/** A geo-redundant backup is in the paired region and nowhere else; a kept one is imported anywhere. */
function misplaced({ recoveries }: FailoverConfig, known: KnownSites): string[] {
  const regions = { prod: known.prod.outputs.region, intg: known.intg.outputs.region };
  if (regions.prod === regions.intg) {
    return [
      `both sites are in ${regions.prod}: what takes one of them takes both; move one to another region of the EEA`,
    ];
  }
  return recoveries.flatMap(({ method, site }, index) => {
    const source = regions[otherSite(site)];
    const pair = pairOf(source) ?? 'nowhere';
    return method !== 'geoRestore' || pair === regions[site]
      ? []
      : [
          `standby:recoveries[${index}].method is geoRestore, but backups from ${source} are copied to ${pair}, not to ${regions[site]}: use method replica, or import`,
        ];
  });
}
