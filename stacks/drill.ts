/**
 * INTG in isolation: a copy of production's database, an identity provider and the production release on it, beside the site's own
 * platform and under host names that no DNS has. Nothing of it is protected, everything of it ends with its stated time.
 *
 * It comes in two stages. First the copy alone, so that its rows are counted and what it holds of production's logins and mail is
 * taken off; then what runs on it.
 */
import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup';
import * as pulumi from '@pulumi/pulumi';
import { RandomPassword } from '@pulumi/random/randomPassword';
import { databaseEngines } from '../components/database/engines';
import { DrillServer } from '../components/database/drillServer';
import { IdentityProvider } from '../components/identity/identityProvider';
import { realmFile } from '../components/identity/realm';
import { DrillPlatform } from '../components/workload/drillPlatform';
import { epochPassword, epochRole } from '../config/credentials';
import {
  drillEpoch,
  drillGroup,
  drillIdentityProvider,
  drillNamespace,
  drillServer,
  drillTags,
  type DrillConfig,
  type DrillOutput,
} from '../config/drill';
import { apps, type App } from '../config/fields';
import { clusterProvider } from './kubernetes';
import { readSites, type KnownSites } from './sites';

export interface DrillProgramOutputs {
  readonly drill: pulumi.Output<DrillOutput>;
}

type Clients = Readonly<Record<App, pulumi.Output<string>>>;

/** @throws RunError before anything is made, when the sites as they were built allow no copy. */
export async function drill(config: DrillConfig): Promise<DrillProgramOutputs> {
  const known = await readSites();
  if (known.prod.outputs.database.engine !== 'postgresql') {
    throw new pulumi.RunError(`PROD's engine is ${known.prod.outputs.database.engine}; a drill copies postgresql only`);
  }
  const group = new ResourceGroup('group', {
    resourceGroupName: drillGroup(config.company),
    location: known.intg.outputs.region,
    tags: drillTags(config),
  });
  const server = copy(config, known, group);
  const clients = Object.fromEntries(apps.map((app) => [app, random(`client-${app}`, 40)])) as Clients;
  if (config.stage === 'running') run(config, known, group, { server, clients });
  return { drill: outputs(config, known, server, clients) };
}

const random = (name: string, length: number): pulumi.Output<string> =>
  pulumi.secret(new RandomPassword(name, { length, special: false }).result);

function copy(config: DrillConfig, known: KnownSites, group: ResourceGroup): DrillServer {
  const source = known[config.fromSite].outputs;
  const { network, region, database } = known.intg.outputs;
  const { sku, tier, backupRetentionDays } = source.database;
  return new DrillServer('database', {
    resourceGroupName: group.name,
    location: config.method === 'geoRestore' ? region : source.region,
    serverName: drillServer(config.company, config.number),
    method: config.method,
    sourceServerId: source.database.serverId.replace(source.database.server, config.from),
    pointInTime: config.pointInTime,
    ...{ sku, tier, backupRetentionDays },
    siteAddress: network.egressAddress,
    operatorAddresses: database.operatorAddresses,
    tags: drillTags(config),
  });
}

interface Made {
  readonly server: DrillServer;
  readonly clients: Clients;
}

/** Everything that runs on the copy, with secrets that are the drill's own. */
function run(config: DrillConfig, known: KnownSites, group: ResourceGroup, { server, clients }: Made): void {
  const { identity: place, region } = known.intg.outputs;
  const { database, identity } = known.prod.outputs;
  const engine = databaseEngines.postgresql;
  const provider = new IdentityProvider(
    'idp',
    {
      resourceGroupName: group.name,
      location: region,
      appName: drillIdentityProvider(config.company),
      environmentId: place.environmentId,
      environmentDomain: place.environmentDomain,
      image: identity.image,
      databaseVendor: engine.keycloakVendor,
      databaseUrl: server.fqdn.apply((fqdn) => engine.jdbcUrl(fqdn, identity.database)),
      databaseUser: database.user,
      databasePassword: server.password,
      publicHost: config.hosts.idp,
      realm: realmFile({ realm: identity.realm, hosts: config.hosts, clients }),
      realmName: identity.realm,
      administrator: identity.administrator,
      administratorPassword: random('idp-administrator', 32),
    },
    { dependsOn: server },
  );
  new DrillPlatform(
    'platform',
    {
      platform: drillNamespace(config.company),
      site: 'intg',
      apps,
      hosts: config.hosts,
      image: `${config.image}:${config.release}`,
      release: config.release,
      epoch: drillEpoch,
      database: {
        host: fqdnOf(config, known),
        port: engine.port,
        database: database.database,
        user: epochRole(config.company, drillEpoch),
        password: server.password.apply((password) => epochPassword(password, drillEpoch)),
      },
      realm: identity.realm,
      clients,
      session: random('session', 64),
      identityFqdn: identityFqdn(config, known),
      ingressClass: config.company,
    },
    { provider: clusterProvider('intg', known.intg.outputs, false), dependsOn: [server, provider] },
  );
}

/** Known before the server exists: its name and its vendor's domain make it. */
const fqdnOf = (config: DrillConfig, known: KnownSites): string => {
  const { fqdn, server } = known.intg.outputs.database;
  return fqdn.replace(server, drillServer(config.company, config.number));
};

const identityFqdn = (config: DrillConfig, known: KnownSites): string =>
  `${drillIdentityProvider(config.company)}.${known.intg.outputs.identity.environmentDomain}`;

const outputs = (
  config: DrillConfig,
  known: KnownSites,
  server: DrillServer,
  clients: Clients,
): pulumi.Output<DrillOutput> => {
  const { number, startedAt, expiresAt, stage, hosts } = config;
  const { database, identity } = known.prod.outputs;
  const { ingressAddress, egressAddress } = known.intg.outputs.network;
  return pulumi.secret(
    pulumi.output({
      ...{ number, startedAt, expiresAt, stage, hosts, clients, ingressAddress, egressAddress },
      server: {
        name: server.serverName,
        fqdn: server.fqdn,
        port: databaseEngines.postgresql.port,
        user: database.user,
        password: server.password,
        database: database.database,
        identityDatabase: identity.database,
      },
      identity: { fqdn: identityFqdn(config, known), realm: identity.realm },
    }),
  );
};
