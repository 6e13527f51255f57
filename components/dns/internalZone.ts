import { PrivateZone } from '@pulumi/azure-native/privatedns/privateZone';
import { VirtualNetworkLink } from '@pulumi/azure-native/privatedns/virtualNetworkLink';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface InternalZoneArgs {
  /** A group in another region than the site: the zone outlives the site, and can be changed while the site is gone. */
  readonly resourceGroupName: pulumi.Input<string>;
  readonly zoneName: pulumi.Input<string>;
  /** Name of the link, and the network that it is visible in. */
  readonly linkName: pulumi.Input<string>;
  readonly networkId: pulumi.Input<string>;
}

/** A site's private zone, which its reverse proxy asks. Its records are the failover stack's. */
export class InternalZone extends pulumi.ComponentResource {
  readonly zoneName: pulumi.Output<string>;

  constructor(name: string, args: InternalZoneArgs, opts?: Options) {
    super('standby:dns:InternalZone', name, {}, opts);
    const zone = new PrivateZone(
      `${name}-zone`,
      { resourceGroupName: args.resourceGroupName, privateZoneName: args.zoneName, location: 'global' },
      { parent: this, protect: true },
    );
    new VirtualNetworkLink(
      `${name}-link`,
      {
        resourceGroupName: args.resourceGroupName,
        privateZoneName: zone.name,
        virtualNetworkLinkName: args.linkName,
        location: 'global',
        registrationEnabled: false,
        virtualNetwork: { id: args.networkId },
      },
      { parent: this },
    );
    this.zoneName = zone.name;
    this.registerOutputs({ zoneName: this.zoneName });
  }
}
