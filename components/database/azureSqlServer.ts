import { BackupShortTermRetentionPolicy } from '@pulumi/azure-native/sql/backupShortTermRetentionPolicy';
import { Database } from '@pulumi/azure-native/sql/database';
import { FirewallRule } from '@pulumi/azure-native/sql/firewallRule';
import { Server } from '@pulumi/azure-native/sql/server';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import type { DatabaseArgs, ManagedDatabase } from './engine';
import { administratorPassword } from './password';

/** An Azure SQL server with its databases, behind the same interface as PostgreSQL. */
export class AzureSqlServer extends pulumi.ComponentResource implements ManagedDatabase {
  readonly serverName: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  readonly fqdn: pulumi.Output<string>;
  readonly password: pulumi.Output<string>;
  readonly observedId: pulumi.Output<string>;
  readonly databaseIds: readonly pulumi.Output<string>[];

  constructor(name: string, args: DatabaseArgs, opts?: Options) {
    super('standby:database:AzureSqlServer', name, {}, opts);
    const password = administratorPassword(this, name);
    const server = logicalServer(this, name, args, password);
    firewall(this, name, args, server);
    const databases = args.databases.map((database) => sqlDatabase(this, name, args, server, database));
    for (const [index, database] of databases.entries()) {
      retention(this, `${name}-${args.databases[index]}-retention`, args, server, database);
    }

    this.serverName = server.name;
    this.serverId = server.id;
    this.fqdn = server.fullyQualifiedDomainName;
    this.password = password;
    this.databaseIds = databases.map((database) => database.id);
    this.observedId = this.databaseIds[0] ?? server.id;
    this.registerOutputs({ serverName: this.serverName, serverId: this.serverId, fqdn: this.fqdn });
  }
}

function logicalServer(parent: pulumi.Resource, name: string, args: DatabaseArgs, password: pulumi.Output<string>) {
  return new Server(
    `${name}-server`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      serverName: args.serverName,
      version: '12.0',
      minimalTlsVersion: '1.2',
      publicNetworkAccess: 'Enabled',
      administratorLogin: args.administrator,
      administratorLoginPassword: password,
    },
    { parent, protect: true },
  );
}

function firewall(parent: pulumi.Resource, name: string, args: DatabaseArgs, server: Server) {
  const operators = (args.operatorAddresses ?? []).map(
    (address) => [`operator-${address.replaceAll('.', '-')}`, address] as const,
  );
  for (const [suffix, address] of [['own-site', args.siteAddress] as const, ...operators]) {
    new FirewallRule(
      `${name}-${suffix}`,
      {
        resourceGroupName: args.resourceGroupName,
        serverName: server.name,
        firewallRuleName: suffix,
        startIpAddress: address,
        endIpAddress: address,
      },
      { parent },
    );
  }
}

function sqlDatabase(parent: pulumi.Resource, name: string, args: DatabaseArgs, server: Server, databaseName: string) {
  return new Database(
    `${name}-${databaseName}`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      serverName: server.name,
      databaseName,
      sku: { name: args.sku },
      maxSizeBytes: pulumi.output(args.storageGb).apply((gigabytes) => gigabytes * 1024 ** 3),
      requestedBackupStorageRedundancy: args.geoRedundantBackup ? 'Geo' : 'Zone',
    },
    // A failover group turns a primary into a secondary by itself.
    { parent, protect: true, ignoreChanges: ['createMode', 'sourceDatabaseId'] },
  );
}

function retention(parent: pulumi.Resource, name: string, args: DatabaseArgs, server: Server, database: Database) {
  return new BackupShortTermRetentionPolicy(
    name,
    {
      resourceGroupName: args.resourceGroupName,
      serverName: server.name,
      databaseName: database.name,
      policyName: 'default',
      retentionDays: args.backupRetentionDays,
    },
    { parent },
  );
}
