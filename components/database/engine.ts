/** What a managed database is to the rest of the program, whoever makes it. */
import type * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface DatabaseArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  readonly serverName: string;
  /** Major version of the engine, where it has one. */
  readonly version: pulumi.Input<string>;
  readonly sku: pulumi.Input<string>;
  readonly tier: pulumi.Input<string>;
  readonly storageGb: pulumi.Input<number>;
  /** 7 to 35. */
  readonly backupRetentionDays: pulumi.Input<number>;
  /** Backups are copied to the paired region. It can't be changed later. */
  readonly geoRedundantBackup: boolean;
  readonly administrator: pulumi.Input<string>;
  /** Databases on the server. */
  readonly databases: readonly string[];
  /** The site's own fixed address; nobody else is let in but the operators. */
  readonly siteAddress: pulumi.Input<string>;
  /** @default - [] */
  readonly operatorAddresses?: readonly string[];
}

export interface ManagedDatabase {
  readonly serverName: pulumi.Output<string>;
  readonly serverId: pulumi.Output<string>;
  readonly fqdn: pulumi.Output<string>;
  /** The administrator's, made by this program; secret. */
  readonly password: pulumi.Output<string>;
  /** The resource whose metrics tell how the database is. */
  readonly observedId: pulumi.Output<string>;
}

/** A limit whose crossing somebody is told of. */
export interface MetricRule {
  readonly metric: string;
  readonly aggregation: 'Average' | 'Maximum' | 'Total';
  readonly operator: 'GreaterThan' | 'LessThan';
  /** Where the limit is not a matter of taste. @default - the configuration says */
  readonly threshold?: number;
}
export const watched = ['memory', 'storage', 'connectivity', 'load'] as const;
export type Watched = (typeof watched)[number];

export interface DatabaseEngine {
  readonly port: number;
  /** Metrics of the vendor that show what is watched. */
  readonly metrics: Readonly<Record<Watched, MetricRule>>;
  /** The identity provider's word for this engine. */
  readonly keycloakVendor: 'postgres' | 'mssql';
  create(name: string, args: DatabaseArgs, opts?: Options): ManagedDatabase & pulumi.Resource;
  /**
   * @param source - server that the first one follows for now: who connects works on that until the first one takes writes.
   * @returns an address for a Java client, with the server's certificate verified.
   */
  jdbcUrl(fqdn: string, database: string, source?: string): string;
}
