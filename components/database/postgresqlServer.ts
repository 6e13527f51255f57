import { Database } from '@pulumi/azure-native/dbforpostgresql/database';
import { FirewallRule } from '@pulumi/azure-native/dbforpostgresql/firewallRule';
import { Server } from '@pulumi/azure-native/dbforpostgresql/server';
import * as pulumi from '@pulumi/pulumi';
import { oneByOne, untouched, type Options } from '../options';
import type { DatabaseArgs, ManagedDatabase } from './engine';
import { administratorPassword } from './password';

/** A managed PostgreSQL server with its databases. Only the site it is for may connect. */
export class PostgresqlServer extends pulumi.ComponentResource implements ManagedDatabase {
  readonly serverName: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  readonly fqdn: pulumi.Output<string>;
  readonly password: pulumi.Output<string>;
  readonly observedId: pulumi.Output<string>;

  constructor(name: string, args: DatabaseArgs, opts?: Options) {
    super('standby:database:PostgresqlServer', name, {}, opts);
    const password = administratorPassword(this, name);
    const server = managedServer(this, name, args, password);
    const rules = firewall(this, name, args, server.name);
    databases(this, name, args, server.name, rules);

    this.serverName = server.name;
    this.serverId = server.id;
    this.fqdn = server.fullyQualifiedDomainName;
    this.password = password;
    this.observedId = server.id;
    this.registerOutputs({ serverName: this.serverName, serverId: this.serverId, fqdn: this.fqdn });
  }
}

function managedServer(
  parent: pulumi.Resource,
  name: string,
  args: DatabaseArgs,
  password: pulumi.Output<string>,
): Server {
  return new Server(
    `${name}-server`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      serverName: args.serverName,
      version: args.version,
      createMode: 'Default',
      sku: { name: args.sku, tier: args.tier },
      storage: { storageSizeGB: args.storageGb, autoGrow: 'Enabled' },
      backup: {
        backupRetentionDays: args.backupRetentionDays,
        geoRedundantBackup: args.geoRedundantBackup ? 'Enabled' : 'Disabled',
      },
      network: { publicNetworkAccess: 'Enabled' },
      authConfig: { passwordAuth: 'Enabled', activeDirectoryAuth: 'Disabled' },
      administratorLogin: args.administrator,
      administratorLoginPassword: password,
    },
    {
      parent,
      protect: true,
      // Azure chooses the zone, and moves it when it fails over inside the region; a change would force a replacement.
      ignoreChanges: ['availabilityZone', 'createMode', 'sourceServerResourceId', 'pointInTimeUTC'],
    },
  );
}

export interface FirewallArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly serverName: string;
  readonly siteAddress: pulumi.Input<string>;
  readonly operatorAddresses?: readonly string[];
  /** The server can't be reached: its rules stay as they are. @default - false */
  readonly frozen?: boolean;
}

/**
 * The rules that admit the server's own site and the operators, by single addresses. Each has the server's name in its own: Azure
 * gives a replica the rules of its source, and what is there already can't be made.
 */
export function firewall(
  parent: pulumi.Resource,
  name: string,
  args: FirewallArgs,
  serverName: pulumi.Input<string>,
): FirewallRule[] {
  const operators = (args.operatorAddresses ?? []).map(
    (address) => [`operator-${address.replaceAll('.', '-')}`, address] as const,
  );
  return oneByOne(
    [['own-site', args.siteAddress] as const, ...operators],
    [],
    ([suffix, address], dependsOn) =>
      new FirewallRule(
        `${name}-${suffix}`,
        {
          resourceGroupName: args.resourceGroupName,
          serverName,
          firewallRuleName: `${args.serverName}-${suffix}`,
          startIpAddress: address,
          endIpAddress: address,
        },
        { parent, dependsOn, ...untouched(args.frozen) },
      ),
  );
}

function databases(
  parent: pulumi.Resource,
  name: string,
  args: DatabaseArgs,
  serverName: pulumi.Input<string>,
  after: pulumi.Resource[],
): Database[] {
  return oneByOne(
    args.databases,
    after,
    (databaseName, dependsOn) =>
      new Database(
        `${name}-${databaseName}`,
        {
          resourceGroupName: args.resourceGroupName,
          serverName,
          databaseName,
          charset: 'UTF8',
          collation: 'en_US.utf8',
        },
        { parent, protect: true, dependsOn },
      ),
  );
}
