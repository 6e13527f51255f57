import { Server } from '@pulumi/azure-native/dbforpostgresql/server';
import * as pulumi from '@pulumi/pulumi';
import { RandomPassword } from '@pulumi/random/randomPassword';
import type { Options } from '../options';
import { firewall } from './postgresqlServer';

export interface DrillServerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** A name that no server had before. */
  readonly serverName: string;
  /** From the last backup that was copied to this region, or a clone at a point in time in the source's own region. */
  readonly method: 'geoRestore' | 'clone';
  readonly sourceServerId: pulumi.Input<string>;
  /** Time (UTC, ISO 8601) that the copy shows, where the method can choose one. */
  readonly pointInTime: string;
  readonly sku: pulumi.Input<string>;
  readonly tier: pulumi.Input<string>;
  /** 7 to 35. */
  readonly backupRetentionDays: pulumi.Input<number>;
  /** The fixed address of the site that the drill runs at. */
  readonly siteAddress: pulumi.Input<string>;
  /** @default - [] */
  readonly operatorAddresses?: readonly string[];
  /** What policies know a drill by. */
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * A copy of a production server that lives for hours. It keeps the databases and the storage, which grows by itself, and gets an
 * administrator's password of its own, so that whoever works on it holds nothing that production takes. It is not protected: it must go.
 */
export class DrillServer extends pulumi.ComponentResource {
  readonly serverName: pulumi.Output<string>;
  readonly fqdn: pulumi.Output<string>;
  readonly password: pulumi.Output<string>;

  constructor(name: string, args: DrillServerArgs, opts?: Options) {
    super('standby:database:DrillServer', name, {}, opts);
    const password = administratorPassword(this, name);
    const server = copiedServer(this, name, args, password);
    firewall(this, name, args, server.name);

    this.serverName = server.name;
    this.fqdn = server.fullyQualifiedDomainName;
    this.password = password;
    this.registerOutputs({ serverName: this.serverName, fqdn: this.fqdn });
  }
}

/** As the site's own is made, but for the protection. */
function administratorPassword(parent: pulumi.Resource, name: string): pulumi.Output<string> {
  const rules = { length: 32, special: false, minLower: 1, minUpper: 1, minNumeric: 1 };
  return pulumi.secret(new RandomPassword(`${name}-password`, rules, { parent }).result);
}

const copiedServer = (
  parent: pulumi.Resource,
  name: string,
  args: DrillServerArgs,
  password: pulumi.Output<string>,
): Server =>
  new Server(
    `${name}-server`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      serverName: args.serverName,
      createMode: args.method === 'geoRestore' ? 'GeoRestore' : 'PointInTimeRestore',
      sourceServerResourceId: args.sourceServerId,
      pointInTimeUTC: args.pointInTime,
      administratorLoginPassword: password,
      sku: { name: args.sku, tier: args.tier },
      backup: { backupRetentionDays: args.backupRetentionDays, geoRedundantBackup: 'Disabled' },
      network: { publicNetworkAccess: 'Enabled' },
      tags: { ...args.tags, 'standby-method': args.method },
    },
    { parent, ignoreChanges: ['createMode', 'sourceServerResourceId', 'pointInTimeUTC', 'availabilityZone'] },
  );
