import { Configuration } from '@pulumi/azure-native/dbforpostgresql/configuration';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';

export interface WriteFenceArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly serverName: pulumi.Input<string>;
  /** New transactions on the server can't write. */
  readonly closed: boolean;
  /** The server can't be reached: the fence stays as it is. @default - false */
  readonly frozen?: boolean;
}

/**
 * Whether a database server takes writes. The server that a site leaves is closed before another one is opened, also to a
 * workload that nobody managed to stop.
 */
export class WriteFence extends pulumi.ComponentResource {
  readonly value: pulumi.Output<string>;

  constructor(name: string, args: WriteFenceArgs, opts?: Options) {
    super('standby:access:WriteFence', name, {}, opts);
    const parameter = new Configuration(
      `${name}-read-only`,
      {
        resourceGroupName: args.resourceGroupName,
        serverName: args.serverName,
        configurationName: 'default_transaction_read_only',
        value: args.closed ? 'on' : 'off',
        source: 'user-override',
      },
      { parent: this, ...untouched(args.frozen) },
    );
    this.value = parameter.value.apply((value) => value ?? '');
    this.registerOutputs({ value: this.value });
  }
}
