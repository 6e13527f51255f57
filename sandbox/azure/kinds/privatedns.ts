/** Private DNS zones: global, so they survive a region; each virtual network linked to a zone sees its records. */
import { isIPv4, isIPv6 } from 'node:net';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind } from '../kind';
import { idOf, needReferenced, succeeded } from './common';

const apiVersions = ['2020-06-01', '2024-06-01'];
const model = (mapper: string) => ({ package: '@azure/arm-privatedns', mapper });
export const zoneType = 'Microsoft.Network/privateDnsZones';
export const linkType = `${zoneType}/virtualNetworkLinks`;

/** Record types and the member of a record set that holds their data. */
export const recordMembers = {
  A: 'aRecords',
  AAAA: 'aaaaRecords',
  CNAME: 'cnameRecord',
  MX: 'mxRecords',
  PTR: 'ptrRecords',
  SOA: 'soaRecord',
  SRV: 'srvRecords',
  TXT: 'txtRecords',
} as const;
export type RecordType = keyof typeof recordMembers;
const recordTypes = Object.keys(recordMembers) as RecordType[];
export const recordSetType = (type: RecordType) => `${zoneType}/${type}`;

const recordSetsOf = (ctx: Context, zone: string) => recordTypes.flatMap((type) => ctx.list(recordSetType(type), zone));

const soa = (zone: string): ArmResource => ({
  id: `${zone}/SOA/@`,
  name: '@',
  type: recordSetType('SOA'),
  properties: {
    fqdn: `${zone.split('/').at(-1)}.`,
    ttl: 3600,
    isAutoRegistered: false,
    soaRecord: {
      host: 'azureprivatedns.net',
      email: 'azureprivatedns-host.microsoft.com',
      serialNumber: 1,
      refreshTime: 3600,
      retryTime: 300,
      expireTime: 2419200,
      minimumTtl: 10,
    },
  },
});

const zones: Kind = {
  type: zoneType,
  apiVersions,
  name: /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}$/i,
  location: 'global',
  etag: true,
  model: model('PrivateZone'),
  patchModel: model('PrivateZone'),
  put: (ctx, body) =>
    succeeded(body, {
      maxNumberOfRecordSets: 25_000,
      maxNumberOfVirtualNetworkLinks: 1_000,
      maxNumberOfVirtualNetworkLinksWithRegistration: 100,
      internalId: Buffer.from(ctx.id.key).toString('base64'),
    }),
  read(ctx, resource) {
    const links = ctx.list(linkType, resource.id);
    const counts = {
      numberOfRecordSets: recordSetsOf(ctx, resource.id).length + 1,
      numberOfVirtualNetworkLinks: links.length,
      numberOfVirtualNetworkLinksWithRegistration: links.filter((link) => link.properties['registrationEnabled'])
        .length,
    };
    return { ...resource, properties: { ...resource.properties, ...counts } };
  },
  inUseBy: (ctx, resource) => ctx.list(linkType, resource.id).map((link) => link.id),
};

const addressChecks: Partial<Record<RecordType, readonly [member: string, fits: (text: string) => boolean]>> = {
  A: ['ipv4Address', isIPv4],
  AAAA: ['ipv6Address', isIPv6],
};

function checkRecords(ctx: Context, type: RecordType, body: ArmContent): void {
  const member = recordMembers[type];
  const data = body.properties[member];
  if (data === undefined || (Array.isArray(data) && data.length === 0)) {
    throw new ArmError(
      400,
      'BadRequest',
      `The record set '${ctx.id.name}' has no records: 'properties.${member}' is missing or empty.`,
    );
  }
  const [field, fits] = addressChecks[type] ?? [];
  for (const record of Array.isArray(data) && field ? (data as Json[]) : []) {
    const text = record[field as string];
    if (typeof text !== 'string' || !fits?.(text)) {
      throw new ArmError(400, 'BadRequest', `The value ${JSON.stringify(text)} is not a valid ${field}.`);
    }
  }
  const sameName = recordSetsOf(ctx, ctx.id.parent as string).filter(
    (each) => each.name.toLowerCase() === ctx.id.name.toLowerCase(),
  );
  const clash = sameName.find(
    (each) => each.type !== recordSetType(type) && (type === 'CNAME' || each.type === recordSetType('CNAME')),
  );
  if (clash || (type === 'CNAME' && ctx.id.name === '@')) {
    const message = `The CNAME record '${ctx.id.name}' can't be together with other records of the same name (${clash?.id ?? 'the zone apex'}).`;
    throw new ArmError(400, 'BadRequest', message);
  }
}

const recordSets = (type: RecordType): Kind => ({
  type: recordSetType(type),
  apiVersions,
  name: /^(@|\*|(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$/i,
  location: 'none',
  etag: true,
  model: model('RecordSet'),
  patchModel: model('RecordSet'),
  rules: [{ path: 'properties.ttl', required: true, min: 1, max: 2_147_483_647, code: 'BadRequest' }],
  put(ctx, body) {
    checkRecords(ctx, type, body);
    const zone = ctx.id.names[0] as string;
    const fqdn = ctx.id.name === '@' ? `${zone}.` : `${ctx.id.name}.${zone}.`;
    return { ...body, properties: { ...body.properties, fqdn, isAutoRegistered: false } };
  },
  // The vendor makes the SOA record with the zone.
  ...(type === 'SOA'
    ? {
        refused: ['DELETE'] as const,
        find: (ctx: Context) => soa(ctx.id.parent as string),
        list: (_: Context, zone: ArmResource) => [soa(zone.id)],
      }
    : {}),
});

/** `…/ALL`: the record sets of every type. */
const allRecordSets: Kind = {
  type: `${zoneType}/ALL`,
  apiVersions,
  location: 'none',
  refused: ['PUT', 'DELETE'],
  list: (ctx, zone) => [soa(zone.id), ...recordSetsOf(ctx, zone.id)],
};

const links: Kind = {
  type: linkType,
  apiVersions,
  location: 'global',
  etag: true,
  model: model('VirtualNetworkLink'),
  patchModel: model('VirtualNetworkLink'),
  rules: [
    { path: 'properties.virtualNetwork.id', required: true, immutable: true },
    { path: 'properties.registrationEnabled', initial: false },
  ],
  put(ctx, body) {
    const network = idOf(body.properties['virtualNetwork']) as string;
    needReferenced(ctx, network, 'properties.virtualNetwork');
    const twin = ctx
      .list(linkType, ctx.id.parent)
      .find(
        (link) =>
          link.id.toLowerCase() !== ctx.id.key &&
          idOf(link.properties['virtualNetwork'])?.toLowerCase() === network.toLowerCase(),
      );
    if (twin) {
      throw new ArmError(
        409,
        'Conflict',
        `A virtual network cannot be linked to the same zone twice: '${network}' is linked by '${twin.name}'.`,
      );
    }
    return succeeded(body, { virtualNetworkLinkState: 'Completed' });
  },
};

export const kinds: readonly Kind[] = [zones, ...recordTypes.map(recordSets), allRecordSets, links];
