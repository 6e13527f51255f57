import { Server } from '@pulumi/azure-native/dbforpostgresql/server';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';
import { firewall } from './postgresqlServer';

export interface RecoveryServerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** A name that no server had before. */
  readonly serverName: string;
  /**
   * From the last backup that was copied to this region, empty to be filled from kept backups, as a streaming replica, or beside its
   * source as that was at a moment.
   */
  readonly method: 'geoRestore' | 'import' | 'replica' | 'pointInTimeRestore';
  /** Id of the server that it is made from. For a geo-restore that server need not exist any more; an import asks for none. */
  readonly sourceServerId: pulumi.Input<string>;
  /** Import: what the other methods take over from their source, so that everybody gets in as they did there. */
  readonly beginning: {
    /** Major version of the engine. */
    readonly version: pulumi.Input<string>;
    readonly administrator: pulumi.Input<string>;
    readonly password: pulumi.Input<string>;
  };
  /** Restores: time (UTC, ISO 8601) to restore to. @default - the time at which the server is made */
  readonly pointInTime?: pulumi.Input<string>;
  /** Replica: it leaves its source and takes writes. Once true, always true. @default - false */
  readonly promoted?: boolean;
  /** Whether a promotion waits for what has not arrived yet, or does without. @default - planned */
  readonly promotion?: 'planned' | 'forced';
  readonly sku: pulumi.Input<string>;
  readonly tier: pulumi.Input<string>;
  /** Import: what the other methods have from their source, as large as that has grown by itself. */
  readonly storageGb: pulumi.Input<number>;
  /** 7 to 35. */
  readonly backupRetentionDays: pulumi.Input<number>;
  /** Backups are copied to the paired region, which must be up when the server is made. It can't be changed later. */
  readonly geoRedundantBackup: boolean;
  /** The fixed address of the site that it is made at. */
  readonly siteAddress: pulumi.Input<string>;
  /** @default - [] */
  readonly operatorAddresses?: readonly string[];
  /** It can't be reached: it stays as it is. @default - false */
  readonly frozen?: boolean;
}

/**
 * A PostgreSQL server made from another one's data. It keeps that server's administrator and password, and its databases, which an
 * import brings later. How it came to be is history as soon as it exists: none of that may ever replace it.
 */
export class RecoveryServer extends pulumi.ComponentResource {
  readonly serverName: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  readonly fqdn: pulumi.Output<string>;

  constructor(name: string, args: RecoveryServerArgs, opts?: Options) {
    super('standby:database:RecoveryServer', name, {}, opts);
    const server = new Server(`${name}-server`, recovered(args), {
      parent: this,
      protect: true,
      ...untouched(args.frozen, [
        'createMode',
        'sourceServerResourceId',
        'pointInTimeUTC',
        'availabilityZone',
        'administratorLogin',
        'administratorLoginPassword',
        'version',
        'backup.geoRedundantBackup',
      ]),
    });
    firewall(this, name, args, server.name);

    this.serverName = server.name;
    this.serverId = server.id;
    this.fqdn = server.fullyQualifiedDomainName;
    this.registerOutputs({ serverName: this.serverName, serverId: this.serverId, fqdn: this.fqdn });
  }
}

function recovered(args: RecoveryServerArgs) {
  const shape = {
    resourceGroupName: args.resourceGroupName,
    location: args.location,
    serverName: args.serverName,
    sku: { name: args.sku, tier: args.tier },
    backup: {
      backupRetentionDays: args.backupRetentionDays,
      geoRedundantBackup: args.geoRedundantBackup ? 'Enabled' : 'Disabled',
    },
    network: { publicNetworkAccess: 'Enabled' },
    // The vendor does not tell how a server was made; policies and people must know.
    tags: { 'standby-method': args.method },
  };
  const { beginning } = args;
  if (args.method === 'import') {
    return {
      ...shape,
      createMode: 'Default',
      storage: { storageSizeGB: args.storageGb, autoGrow: 'Enabled' },
      version: beginning.version,
      authConfig: { passwordAuth: 'Enabled', activeDirectoryAuth: 'Disabled' },
      administratorLogin: beginning.administrator,
      administratorLoginPassword: pulumi.secret(beginning.password),
    };
  }
  if (args.method !== 'replica') {
    return {
      ...shape,
      createMode: args.method === 'geoRestore' ? 'GeoRestore' : 'PointInTimeRestore',
      sourceServerResourceId: args.sourceServerId,
      // Asked for once, when the server is made; ignored ever after, so no later run differs.
      pointInTimeUTC: args.pointInTime ?? new Date().toISOString(),
    };
  }
  return {
    ...shape,
    createMode: 'Replica',
    sourceServerResourceId: args.sourceServerId,
    ...(args.promoted ? { replica: promotion(args.promotion ?? 'planned') } : {}),
  };
}

const promotion = (how: 'planned' | 'forced') => ({
  role: 'None',
  promoteMode: 'Standalone',
  promoteOption: how === 'planned' ? 'Planned' : 'Forced',
});
