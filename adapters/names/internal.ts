/** The sites' private zones: what their reverse proxies and people find by internal names. */
import { apps, sites, type Site } from '../../config/fields';
import type { Call } from '../../failover/ports';
import { apiVersions, cloudOf } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { identityPlace, serverPlace } from '../places';

/** Seconds, as the program sets it: what it finds must not differ from what it wants. */
const timeToLive = 10;

interface RecordSet {
  readonly name: string;
  readonly type: string;
  readonly properties: {
    readonly ttl?: number;
    readonly aRecords?: readonly { readonly ipv4Address: string }[];
    readonly cnameRecord?: { readonly cname: string };
  };
}

type Wanted = Pick<RecordSet, 'name' | 'properties'> & { readonly kind: 'A' | 'CNAME' };

/** @returns what both zones say once the site has the business and works on the server. */
function wanted(context: AdapterContext, to: Site, server: string): Wanted[] {
  const { ingressAddress } = context.landscape.sites[to].network;
  const place = serverPlace(context, server);
  const alias = (name: string, cname: string): Wanted => ({
    name,
    kind: 'CNAME',
    properties: { ttl: timeToLive, cnameRecord: { cname } },
  });
  // A replica has no identity provider of its own before it is promoted.
  const identity = place.streaming ? identityPlace(context, place.site) : place.identityFqdn;
  return [
    ...apps.map((app): Wanted => ({
      name: app,
      kind: 'A',
      properties: { ttl: timeToLive, aRecords: [{ ipv4Address: ingressAddress }] },
    })),
    alias('db', place.fqdn),
    alias('idp', identity),
  ];
}

const contentOf = ({ properties: { ttl, aRecords, cnameRecord } }: Pick<RecordSet, 'properties'>) =>
  [ttl, ...(aRecords ?? []).map(({ ipv4Address }) => ipv4Address), cnameRecord?.cname].join(' ');

/** Sets what is different in both zones, side by side. @returns number of records changed. */
export async function rerouteInternal(context: AdapterContext, to: Site, server: string, call: Call): Promise<number> {
  const records = wanted(context, to, server);
  const changed = await Promise.all(sites.map((site) => rerouteZone(context, site, records, call.signal)));
  return changed.reduce((sum, count) => sum + count, 0);
}

async function rerouteZone(
  context: AdapterContext,
  site: Site,
  records: readonly Wanted[],
  signal: AbortSignal,
): Promise<number> {
  const cloud = cloudOf(context);
  const { internalZone, globalResourceGroup, resourceGroup } = context.landscape.sites[site];
  const subscription = resourceGroup.id.split('/')[2];
  const zone = `/subscriptions/${subscription}/resourceGroups/${globalResourceGroup}/providers/Microsoft.Network/privateDnsZones/${internalZone}`;
  const apiVersion = apiVersions.privateDns;
  const { body } = await cloud.ask<{ readonly value: readonly RecordSet[] }>({
    path: `${zone}/ALL`,
    apiVersion,
    signal,
  });
  const now = new Map(
    body.value.map((record) => [`${record.type.split('/').at(-1)}/${record.name}`, contentOf(record)]),
  );
  const different = records.filter((record) => now.get(`${record.kind}/${record.name}`) !== contentOf(record));
  await Promise.all(
    different.map(({ kind, name, properties }) =>
      cloud.ask({ method: 'PUT', path: `${zone}/${kind}/${name}`, apiVersion, body: { properties }, signal }),
    ),
  );
  return different.length;
}
