import { FirewallRule } from '@pulumi/azure-native/dbforpostgresql/firewallRule';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';

export interface DatabaseAdmissionArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly serverName: string;
  /** The one address that this rule lets in. */
  readonly address: pulumi.Input<string>;
  /** The server can't be reached: the rule stays as it is. @default - false */
  readonly frozen?: boolean;
}

/**
 * The firewall rule for the site that works on a database. While that is the database's own site, it repeats the rule which that
 * site has anyway, so nothing is opened; when the other site takes over, the address changes in place. It is never created or
 * deleted by a failover: a region that is lost afterwards leaves nothing behind that the engine would have to delete there.
 */
export class DatabaseAdmission extends pulumi.ComponentResource {
  readonly ruleName: pulumi.Output<string>;

  constructor(name: string, args: DatabaseAdmissionArgs, opts?: Options) {
    super('standby:access:DatabaseAdmission', name, {}, opts);
    const rule = new FirewallRule(
      `${name}-active-site`,
      {
        resourceGroupName: args.resourceGroupName,
        serverName: args.serverName,
        firewallRuleName: `${args.serverName}-active-site`,
        startIpAddress: args.address,
        endIpAddress: args.address,
      },
      { parent: this, ...untouched(args.frozen) },
    );
    this.ruleName = rule.name;
    this.registerOutputs({ ruleName: this.ruleName });
  }
}
