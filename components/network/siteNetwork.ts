import { NatGateway } from '@pulumi/azure-native/network/natGateway';
import { PublicIPAddress } from '@pulumi/azure-native/network/publicIPAddress';
import { Subnet } from '@pulumi/azure-native/network/subnet';
import { VirtualNetwork } from '@pulumi/azure-native/network/virtualNetwork';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface SiteNetworkArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** What the names end with: `moodtalk-prod` makes `vnet-moodtalk-prod`. */
  readonly label: string;
  /** Address range of the virtual network, in CIDR notation; so are the subnets' ranges in it. */
  readonly addressSpace: pulumi.Input<string>;
  readonly clusterSubnet: pulumi.Input<string>;
  /** At least /27: the vendor's minimum for container apps. */
  readonly identitySubnet: pulumi.Input<string>;
}

/** A site's network. All that leaves it comes from one fixed address, all that enters it goes to another. */
export class SiteNetwork extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  readonly clusterSubnetId: pulumi.Output<string>;
  readonly identitySubnetId: pulumi.Output<string>;
  readonly egressAddress: pulumi.Output<string>;
  readonly ingressAddress: pulumi.Output<string>;

  constructor(name: string, args: SiteNetworkArgs, opts?: Options) {
    super('standby:network:SiteNetwork', name, {}, opts);
    const egress = fixedAddress(this, name, 'egress', args);
    const ingress = fixedAddress(this, name, 'ingress', args);
    const gateway = natGateway(this, name, args, egress);
    const network = virtualNetwork(this, name, args);
    const cluster = subnet(this, `${name}-cluster`, args, network, gateway, { range: args.clusterSubnet });
    // One at a time: Azure refuses two changes of a network at once.
    const identity = subnet(this, `${name}-identity`, args, network, gateway, {
      range: args.identitySubnet,
      delegatedTo: 'Microsoft.App/environments',
      after: cluster,
    });

    this.id = network.id;
    this.clusterSubnetId = cluster.id;
    this.identitySubnetId = identity.id;
    this.egressAddress = known(egress);
    this.ingressAddress = known(ingress);
    this.registerOutputs({ id: this.id, egressAddress: this.egressAddress, ingressAddress: this.ingressAddress });
  }
}

/** A static address is there as soon as its resource is. */
const known = (address: PublicIPAddress) =>
  address.ipAddress.apply((value) => {
    if (!value) throw new pulumi.RunError('a static public address came back without its number: update again');
    return value;
  });

function fixedAddress(parent: pulumi.Resource, name: string, use: 'egress' | 'ingress', args: SiteNetworkArgs) {
  return new PublicIPAddress(
    `${name}-${use}`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      publicIpAddressName: `pip-${args.label}-${use}`,
      publicIPAllocationMethod: 'Static',
      publicIPAddressVersion: 'IPv4',
      sku: { name: 'Standard', tier: 'Regional' },
    },
    // Firewalls and public DNS know these addresses.
    { parent, protect: true },
  );
}

function natGateway(parent: pulumi.Resource, name: string, args: SiteNetworkArgs, egress: PublicIPAddress) {
  return new NatGateway(
    `${name}-nat`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      natGatewayName: `nat-${args.label}`,
      publicIpAddresses: [{ id: egress.id }],
      sku: { name: 'Standard' },
      idleTimeoutInMinutes: 10,
    },
    { parent },
  );
}

function virtualNetwork(parent: pulumi.Resource, name: string, args: SiteNetworkArgs) {
  return new VirtualNetwork(
    `${name}-vnet`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      virtualNetworkName: `vnet-${args.label}`,
      addressSpace: { addressPrefixes: [args.addressSpace] },
    },
    { parent },
  );
}

interface SubnetPlan {
  readonly range: pulumi.Input<string>;
  readonly delegatedTo?: string;
  readonly after?: pulumi.Resource;
}

function subnet(
  parent: pulumi.Resource,
  name: string,
  args: SiteNetworkArgs,
  network: VirtualNetwork,
  gateway: NatGateway,
  { range, delegatedTo, after }: SubnetPlan,
) {
  return new Subnet(
    name,
    {
      resourceGroupName: args.resourceGroupName,
      virtualNetworkName: network.name,
      subnetName: `snet-${name.slice(name.lastIndexOf('-') + 1)}`,
      addressPrefix: range,
      natGateway: { id: gateway.id },
      ...(delegatedTo ? { delegations: [{ name: 'delegation', serviceName: delegatedTo }] } : {}),
    },
    { parent, ...(after ? { dependsOn: after } : {}) },
  );
}
