import { FailoverGroup } from '@pulumi/azure-native/sql/failoverGroup';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface SqlFailoverGroupArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  /** Name of the group, and first label of the address that follows the primary. */
  readonly groupName: pulumi.Input<string>;
  /** Server that is the primary when the group is made. Later its role moves by an action of the vendor's, not by this program. */
  readonly serverName: pulumi.Input<string>;
  /** Id of the server in the other region. */
  readonly partnerServerId: pulumi.Input<string>;
  readonly databaseIds: pulumi.Input<pulumi.Input<string>[]>;
}

/** Azure SQL's way to a second region. A person decides when it fails over: the policy is manual. */
export class SqlFailoverGroup extends pulumi.ComponentResource {
  readonly groupName: pulumi.Output<string>;

  constructor(name: string, args: SqlFailoverGroupArgs, opts?: Options) {
    super('standby:database:SqlFailoverGroup', name, {}, opts);
    const group = new FailoverGroup(
      `${name}-group`,
      {
        resourceGroupName: args.resourceGroupName,
        failoverGroupName: args.groupName,
        serverName: args.serverName,
        partnerServers: [{ id: args.partnerServerId }],
        databases: args.databaseIds,
        readWriteEndpoint: { failoverPolicy: 'Manual' },
      },
      { parent: this, protect: true, ignoreChanges: ['serverName', 'partnerServers'] },
    );
    this.groupName = group.name;
    this.registerOutputs({ groupName: this.groupName });
  }
}
