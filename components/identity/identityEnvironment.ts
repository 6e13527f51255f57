import { ManagedEnvironment } from '@pulumi/azure-native/app/managedEnvironment';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface IdentityEnvironmentArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** What the name ends with: `moodtalk-prod` makes `cae-moodtalk-prod`. */
  readonly label: string;
  /** Subnet delegated to container apps, with a NAT gateway: the database sees the site's fixed address. */
  readonly subnetId: pulumi.Input<string>;
}

/** Where a site's identity providers run: beside the cluster, so that the loss of one is not the loss of the other. */
export class IdentityEnvironment extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  /** What the host names of its apps end with. */
  readonly domain: pulumi.Output<string>;

  constructor(name: string, args: IdentityEnvironmentArgs, opts?: Options) {
    super('standby:identity:IdentityEnvironment', name, {}, opts);
    const environment = new ManagedEnvironment(
      `${name}-environment`,
      {
        resourceGroupName: args.resourceGroupName,
        location: args.location,
        environmentName: `cae-${args.label}`,
        vnetConfiguration: { infrastructureSubnetId: args.subnetId, internal: false },
        workloadProfiles: [{ name: 'Consumption', workloadProfileType: 'Consumption' }],
        appLogsConfiguration: { destination: 'azure-monitor' },
      },
      { parent: this },
    );
    this.id = environment.id;
    this.domain = environment.defaultDomain;
    this.registerOutputs({ id: this.id, domain: this.domain });
  }
}
