/** Virtual networks and what gives a site its fixed egress address. */
import * as path from 'node:path';
import { folders, regionOf, sites } from '../../world';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind, type Rule } from '../kind';
import { writeAtomically, type Store } from '../store';
import { idOf, needReferenced, refersTo, succeeded } from './common';

const apiVersions = ['2023-11-01', '2024-01-01', '2024-03-01', '2024-05-01', '2024-07-01'];
const name = /^[a-zA-Z0-9]([\w.-]{0,78}\w)?$/;
const model = (mapper: string) => ({ package: '@azure/arm-network', mapper });
const common = { apiVersions, name, etag: true, patchModel: model('TagsObject') } as const;

const networkType = 'Microsoft.Network/virtualNetworks';
const subnetType = `${networkType}/subnets`;
const gatewayType = 'Microsoft.Network/natGateways';
const publicIpType = 'Microsoft.Network/publicIPAddresses';

interface Range {
  readonly first: number;
  readonly last: number;
}

/** @throws ArmError 400 when it is no IPv4 range in CIDR form with no host bits */
function rangeOf(cidr: string): Range {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  const [a = 256, b = 256, c = 256, d = 256, bits = 33] = (match?.slice(1) ?? []).map(Number);
  const first = ((a * 256 + b) * 256 + c) * 256 + d;
  const size = 2 ** (32 - bits);
  if ([a, b, c, d].some((octet) => octet > 255) || bits > 32 || first % size !== 0) {
    throw new ArmError(400, 'InvalidCIDRNotation', `The address prefix ${cidr} has an invalid CIDR notation.`);
  }
  return { first, last: first + size - 1 };
}

const prefixesOf = (resource: { readonly properties: Json }): string[] => {
  const { addressPrefix, addressPrefixes, addressSpace } = resource.properties;
  const several = (addressSpace as Json | undefined)?.['addressPrefixes'] ?? addressPrefixes;
  return typeof addressPrefix === 'string' ? [addressPrefix] : ((several as string[] | undefined) ?? []);
};

const subnetsOf = (ctx: Context, network: string) => ctx.list(subnetType, network);

const networks: Kind = {
  ...common,
  type: networkType,
  location: 'required',
  model: model('VirtualNetwork'),
  rules: [{ path: 'properties.addressSpace', required: true, code: 'VnetAddressSpaceMissing' }],
  put(ctx, body) {
    if (prefixesOf(body).length === 0) {
      throw new ArmError(400, 'VnetAddressSpaceMissing', 'The address space of a virtual network must have a prefix.');
    }
    prefixesOf(body).forEach(rangeOf);
    // Subnets are resources of their own; a body may repeat those that exist, as the provider's updates do.
    const { subnets = [], ...properties } = body.properties as Json & {
      readonly subnets?: readonly (Json & { name?: string })[];
    };
    const made = new Set(subnetsOf(ctx, ctx.id.id).map(({ name }) => name));
    const others = subnets.filter(({ name = '' }) => !made.has(name));
    if (others.length > 0) {
      const message = `'properties.subnets' has ${others.length} members that do not exist; here subnets are made by requests of their own (${subnetType}).`;
      throw new ArmError(400, 'InlineSubnetsNotSupported', message);
    }
    return succeeded({ ...body, properties });
  },
  read: (ctx, resource) => ({
    ...resource,
    properties: { ...resource.properties, subnets: subnetsOf(ctx, resource.id) },
  }),
  inUseBy: (ctx, resource) => subnetsOf(ctx, resource.id).flatMap((subnet) => usersOf(ctx, subnet)),
};

/** Resources that name this one, apart from what lies below it or above it. */
function usersOf(ctx: Context, resource: ArmResource): string[] {
  return subnetUserTypes
    .flatMap((type) => ctx.list(type))
    .filter((each) => refersTo(each, resource.id))
    .map((each) => each.id);
}

const subnetUserTypes = [
  'Microsoft.ContainerService/managedClusters',
  'Microsoft.DBforPostgreSQL/flexibleServers',
  'Microsoft.App/managedEnvironments',
];

function checkPlace(ctx: Context, body: ArmContent): void {
  const network = ctx.need(ctx.id.parent as string);
  const spaces = prefixesOf(network).map(rangeOf);
  for (const prefix of prefixesOf(body)) {
    const range = rangeOf(prefix);
    if (!spaces.some((space) => space.first <= range.first && range.last <= space.last)) {
      const message = `Subnet '${ctx.id.name}' is not valid because its IP address range ${prefix} is outside the IP address range of virtual network '${network.name}'.`;
      throw new ArmError(400, 'NetcfgInvalidSubnet', message);
    }
    const others = subnetsOf(ctx, network.id).filter((each) => each.id.toLowerCase() !== ctx.id.key);
    const clash = others.find((each) =>
      prefixesOf(each)
        .map(rangeOf)
        .some((other) => other.first <= range.last && range.first <= other.last),
    );
    if (clash) {
      const message = `Subnet '${ctx.id.name}' is not valid because its IP address range overlaps with that of an existing subnet '${clash.name}'.`;
      throw new ArmError(400, 'NetcfgSubnetRangesOverlap', message);
    }
  }
}

const subnets: Kind = {
  ...common,
  type: subnetType,
  location: 'none',
  model: model('Subnet'),
  put(ctx, body) {
    if (prefixesOf(body).length === 0) {
      throw new ArmError(400, 'NetcfgSubnetRangeMissing', `Subnet '${ctx.id.name}' has no address prefix.`);
    }
    checkPlace(ctx, body);
    for (const member of ['natGateway', 'networkSecurityGroup', 'routeTable']) {
      const reference = idOf(body.properties[member]);
      if (reference) needReferenced(ctx, reference, `properties.${member}`);
    }
    const policies = { privateEndpointNetworkPolicies: 'Disabled', privateLinkServiceNetworkPolicies: 'Enabled' };
    return succeeded({ ...body, properties: { delegations: [], ...policies, ...body.properties } });
  },
  inUseBy: usersOf,
};

const standard: Rule = {
  path: 'sku.name',
  oneOf: ['Basic', 'Standard', 'StandardV2'],
  initial: 'Standard',
  immutable: true,
};
const idle: Rule = { path: 'properties.idleTimeoutInMinutes', min: 4, max: 120, initial: 4 };

const publicIps: Kind = {
  ...common,
  type: publicIpType,
  location: 'required',
  model: model('PublicIPAddress'),
  rules: [
    standard,
    { path: 'sku.tier', oneOf: ['Regional', 'Global'], initial: 'Regional', immutable: true },
    { path: 'properties.publicIPAllocationMethod', oneOf: ['Static', 'Dynamic'], initial: 'Dynamic' },
    { path: 'properties.publicIPAddressVersion', oneOf: ['IPv4'], initial: 'IPv4', immutable: true },
    { ...idle, max: 30 },
  ],
  put(ctx, body) {
    const { sku, properties } = body;
    if (properties['publicIPAllocationMethod'] !== 'Static') {
      const message = `Standard sku publicIp ${ctx.id.id} must have AllocationMethod set to Static; it is '${String(properties['publicIPAllocationMethod'])}' with sku '${String((sku as Json)['name'])}'.`;
      throw new ArmError(400, 'StandardSkuPublicIPAddressesMustBeStatic', message);
    }
    return succeeded(body, { ipAddress: ctx.address('publicIp') });
  },
  inUseBy: (ctx, resource) =>
    ctx
      .list(gatewayType)
      .filter((gateway) => refersTo(gateway, resource.id))
      .map((gateway) => gateway.id),
};

const gateways: Kind = {
  ...common,
  type: gatewayType,
  location: 'required',
  model: model('NatGateway'),
  rules: [{ ...standard, oneOf: ['Standard', 'StandardV2'] }, idle],
  put(ctx, body) {
    for (const reference of (body.properties['publicIpAddresses'] as readonly Json[] | undefined) ?? []) {
      const address = needReferenced(ctx, idOf(reference) ?? '', 'properties.publicIpAddresses');
      if (address.location !== body['location']) {
        const message = `Resource ${address.id} is in '${address.location}'; it must be in the region of the NAT gateway, '${String(body['location'])}'.`;
        throw new ArmError(400, 'ResourceInDifferentRegion', message);
      }
    }
    return succeeded(body);
  },
  read(ctx, resource) {
    const using = ctx.list(subnetType).filter((subnet) => refersTo(subnet, resource.id));
    return { ...resource, properties: { ...resource.properties, subnets: using.map(({ id }) => ({ id })) } };
  },
  inUseBy: (ctx, resource) =>
    ctx
      .list(subnetType)
      .filter((subnet) => refersTo(subnet, resource.id))
      .map((subnet) => subnet.id),
};

const securityGroups: Kind = {
  ...common,
  type: 'Microsoft.Network/networkSecurityGroups',
  location: 'required',
  model: model('NetworkSecurityGroup'),
  put: (_, body) => succeeded({ ...body, properties: { securityRules: [], ...body.properties } }),
  inUseBy: (ctx, resource) =>
    ctx
      .list(subnetType)
      .filter((subnet) => refersTo(subnet, resource.id))
      .map((subnet) => subnet.id),
};

/** Tells the rest of the sandbox each site's egress address: the public address of a NAT gateway in its region. */
export function writeEgress(store: Store): void {
  for (const site of sites) {
    const addresses = store
      .list(gatewayType)
      .filter((gateway) => gateway.location === regionOf[site])
      .flatMap((gateway) => (gateway.properties['publicIpAddresses'] as readonly Json[] | undefined) ?? [])
      .map((reference) => store.get(idOf(reference) ?? '')?.properties['ipAddress']);
    const egress = addresses.find((address) => typeof address === 'string');
    writeAtomically(
      path.join(folders.azure, `network-${site}.json`),
      egress === undefined ? {} : { egressAddress: egress },
    );
  }
}

export const kinds: readonly Kind[] = [networks, subnets, publicIps, gateways, securityGroups];
