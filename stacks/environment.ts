/**
 * A site: the stacks `prod` and `intg`, the same program with other values. It makes what stays where it is; what moves belongs to
 * the failover stack. Nothing here asks the site anything, so that a preview works while the site is gone.
 */
import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup';
import * as pulumi from '@pulumi/pulumi';
import { SiteIdentity } from '../components/access/siteIdentity';
import { BackupStorage } from '../components/backup/backupStorage';
import { KubernetesCluster } from '../components/cluster/kubernetesCluster';
import type { ManagedDatabase } from '../components/database/engine';
import { databaseEngines } from '../components/database/engines';
import { InternalZone } from '../components/dns/internalZone';
import { IdentityEnvironment } from '../components/identity/identityEnvironment';
import { IdentityProvider } from '../components/identity/identityProvider';
import { DatabaseAlerts } from '../components/monitoring/databaseAlerts';
import { SiteMonitoring } from '../components/monitoring/siteMonitoring';
import { SiteNetwork } from '../components/network/siteNetwork';
import type { EnvironmentConfig } from '../config/environment';
import type { Site } from '../config/fields';
import type { SiteOutputs, SiteSecrets } from '../config/outputs';
import { agentHost, agentServiceAccount, siteNames } from './names';
import { siteSecrets, type ClientSecrets } from './secrets';

/** Login that the vendor's rules admit on both engines. */
const administrator = 'standby';
const identityDatabase = 'keycloak';

type Names = ReturnType<typeof siteNames>;
type Group = ResourceGroup;

/** Outputs of a site, under the names that the failover stack reads. */
export interface EnvironmentOutputs {
  readonly site: pulumi.Output<SiteOutputs>;
  readonly secrets: pulumi.Output<SiteSecrets>;
}

export function environment(site: Site, config: EnvironmentConfig): EnvironmentOutputs {
  const names = siteNames(config.company, site);
  const groups = resourceGroups(names, config);
  const secrets = siteSecrets('secrets', config);
  const network = siteNetwork(names, config, groups.site);
  const cluster = kubernetesCluster(names, config, groups.site, network);
  const database = managedDatabase(names, config, groups.site, network);
  const runtime = identityEnvironment(names, config, groups.site, network);
  const identity = identityProvider(names, config, groups.site, { database, runtime, secrets });
  const backup = new BackupStorage('backup', {
    resourceGroupName: groups.backup.name,
    location: config.backup.region,
    accountName: names.backupAccount,
    redundancy: config.backup.redundancy,
    retentionDays: config.backup.retentionDays,
  });
  const zone = new InternalZone('internal', {
    resourceGroupName: groups.global.name,
    zoneName: config.internalZone,
    linkName: names.label,
    networkId: network.id,
  });
  const siteIdentity = new SiteIdentity('identity-of-site', {
    resourceGroupName: groups.site.name,
    location: config.region,
    identityName: names.identity,
    issuer: cluster.issuer,
    serviceAccount: { namespace: config.company, name: agentServiceAccount },
  });
  const monitoring = siteMonitoring(names, config, groups.site, {
    database: database.observedId,
    cluster: cluster.clusterId,
    identity: runtime.id,
  });
  databaseAlerts(names, config, groups.site, database, monitoring);

  return {
    site: siteOutputs(site, config, groups, {
      network,
      cluster,
      database,
      runtime,
      identity,
      backup,
      zone,
      siteIdentity,
      monitoring,
    }),
    secrets: pulumi.secret(
      pulumi.output({
        databasePassword: database.password,
        administratorPassword: secrets.administratorPassword,
        clients: secrets.clients,
        session: secrets.session,
        realm: secrets.realm,
      }),
    ),
  };
}

/** Groups of what holds data are protected: deleting a group deletes what is in it. */
function resourceGroups(names: Names, config: EnvironmentConfig) {
  const group = (name: string, resourceGroupName: string, location: string) =>
    new ResourceGroup(name, { resourceGroupName, location }, { protect: true });
  return {
    site: group('group', names.resourceGroup, config.region),
    global: group('group-global', names.globalResourceGroup, config.globalRegion),
    backup: group('group-backup', names.backupResourceGroup, config.backup.region),
  };
}

const siteNetwork = (names: Names, config: EnvironmentConfig, group: Group) =>
  new SiteNetwork('network', {
    resourceGroupName: group.name,
    location: config.region,
    label: names.label,
    ...config.network,
  });

const kubernetesCluster = (names: Names, config: EnvironmentConfig, group: Group, network: SiteNetwork) =>
  new KubernetesCluster('cluster', {
    resourceGroupName: group.name,
    resourceGroupId: group.id,
    location: config.region,
    label: names.label,
    subnetId: network.clusterSubnetId,
    ...config.cluster,
  });

const managedDatabase = (names: Names, config: EnvironmentConfig, group: Group, network: SiteNetwork) =>
  databaseEngines[config.database.engine].create('database', {
    resourceGroupName: group.name,
    location: config.region,
    serverName: names.server,
    version: config.database.version,
    sku: config.database.sku,
    tier: config.database.tier,
    storageGb: config.database.storageGb,
    backupRetentionDays: config.database.backupRetentionDays,
    geoRedundantBackup: config.database.geoRedundantBackup,
    administrator,
    databases: [config.company, identityDatabase],
    siteAddress: network.egressAddress,
    operatorAddresses: config.database.operatorAddresses,
  });

const identityEnvironment = (names: Names, config: EnvironmentConfig, group: Group, network: SiteNetwork) =>
  new IdentityEnvironment('identity', {
    resourceGroupName: group.name,
    location: config.region,
    label: names.label,
    subnetId: network.identitySubnetId,
  });

interface IdentityParts {
  readonly database: ManagedDatabase & pulumi.Resource;
  readonly runtime: IdentityEnvironment;
  readonly secrets: ClientSecrets;
}

function identityProvider(names: Names, config: EnvironmentConfig, group: Group, parts: IdentityParts) {
  const engine = databaseEngines[config.database.engine];
  return new IdentityProvider(
    'idp',
    {
      resourceGroupName: group.name,
      location: config.region,
      appName: names.identityProvider,
      environmentId: parts.runtime.id,
      environmentDomain: parts.runtime.domain,
      image: config.identity.image,
      databaseVendor: engine.keycloakVendor,
      databaseUrl: parts.database.fqdn.apply((fqdn) => engine.jdbcUrl(fqdn, identityDatabase)),
      databaseUser: administrator,
      databasePassword: parts.database.password,
      publicHost: config.hosts.idp,
      realm: parts.secrets.realm,
      realmName: config.identity.realm,
      administrator: 'admin',
      administratorPassword: parts.secrets.administratorPassword,
      minReplicas: config.identity.minReplicas,
    },
    // Its firewall rules and databases too.
    { dependsOn: parts.database },
  );
}

const siteMonitoring = (
  names: Names,
  config: EnvironmentConfig,
  group: Group,
  sources: Readonly<Record<string, pulumi.Output<string>>>,
) =>
  new SiteMonitoring('monitoring', {
    resourceGroupName: group.name,
    location: config.region,
    label: names.label,
    retentionDays: config.logs.retentionDays,
    infrastructure: config.alerts.infrastructure,
    security: config.alerts.security,
    sources,
  });

const databaseAlerts = (
  names: Names,
  config: EnvironmentConfig,
  group: Group,
  database: ManagedDatabase,
  monitoring: SiteMonitoring,
) =>
  new DatabaseAlerts('alerts', {
    resourceGroupName: group.name,
    label: names.server,
    metrics: databaseEngines[config.database.engine].metrics,
    observedId: database.observedId,
    actionGroupId: monitoring.actionGroupId,
    memoryPercent: config.alerts.memoryPercent,
    storagePercent: config.alerts.storagePercent,
    connections: config.alerts.connections,
  });

interface Parts {
  readonly network: SiteNetwork;
  readonly cluster: KubernetesCluster;
  readonly database: ManagedDatabase;
  readonly runtime: IdentityEnvironment;
  readonly identity: IdentityProvider;
  readonly backup: BackupStorage;
  readonly zone: InternalZone;
  readonly siteIdentity: SiteIdentity;
  readonly monitoring: SiteMonitoring;
}

function siteOutputs(
  site: Site,
  config: EnvironmentConfig,
  groups: ReturnType<typeof resourceGroups>,
  parts: Parts,
): pulumi.Output<SiteOutputs> {
  const { network, cluster, database, identity } = parts;
  const { sku, tier, version, storageGb, backupRetentionDays, operatorAddresses, engine } = config.database;
  return pulumi.output({
    site,
    company: config.company,
    region: config.region,
    zone: config.zone,
    hosts: config.hosts,
    resourceGroup: { name: groups.site.name, id: groups.site.id },
    globalRegion: config.globalRegion,
    globalResourceGroup: groups.global.name,
    network: {
      id: network.id,
      egressAddress: network.egressAddress,
      ingressAddress: network.ingressAddress,
    },
    cluster: { name: cluster.clusterName, id: cluster.clusterId, issuer: cluster.issuer },
    database: {
      engine,
      server: database.serverName,
      serverId: database.serverId,
      fqdn: database.fqdn,
      port: databaseEngines[engine].port,
      database: config.company,
      user: administrator,
      ...{ version, sku, tier, storageGb, backupRetentionDays, operatorAddresses },
    },
    identity: {
      fqdn: identity.fqdn,
      app: siteNames(config.company, site).identityProvider,
      environmentId: parts.runtime.id,
      environmentDomain: parts.runtime.domain,
      image: config.identity.image,
      realm: config.identity.realm,
      database: identityDatabase,
      administrator: 'admin',
    },
    alerts: {
      actionGroupId: parts.monitoring.actionGroupId,
      memoryPercent: config.alerts.memoryPercent,
      storagePercent: config.alerts.storagePercent,
      connections: config.alerts.connections,
    },
    backup: {
      account: parts.backup.accountName,
      container: parts.backup.containerName,
      retentionDays: config.backup.retentionDays,
    },
    internalZone: parts.zone.zoneName,
    agentHost: parts.zone.zoneName.apply(agentHost),
    principalId: parts.siteIdentity.principalId,
    clientId: parts.siteIdentity.clientId,
    tenantId: parts.siteIdentity.tenantId,
  });
}
