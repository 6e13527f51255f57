import { DnsRecord } from '@pulumi/cloudflare/dnsRecord';
import { getZone } from '@pulumi/cloudflare/getZone';
import * as pulumi from '@pulumi/pulumi';
import type { DnsProvider } from './provider';

const mayEdit = '#dns_records:edit';

/**
 * Asked before anything is made: a token that can't move the names must not be found out when one site already stands still.
 * @returns records in a zone at Cloudflare, found by its name. They are proxied: clients keep the edge's address when they move.
 * @throws RunError when the token does not see the zone, or the zone's answer says that it may not edit its records.
 */
export async function cloudflareZone(zone: string): Promise<DnsProvider> {
  const { zoneId, permissions } = await readZone(zone);
  // Where the vendor does not say what the token may do, only the change itself can tell.
  if (permissions?.length && !permissions.includes(mayEdit)) {
    throw new pulumi.RunError(
      `CLOUDFLARE_API_TOKEN may ${permissions.join(', ')} in zone ${zone}; needed is ${mayEdit}: give the token "DNS Write" on this zone`,
    );
  }
  return {
    addressRecord: (name, { host, address, comment }, opts) =>
      new DnsRecord(name, { zoneId, name: host, type: 'A', content: address, proxied: true, ttl: 1, comment }, opts),
  } satisfies DnsProvider;
}

async function readZone(zone: string): Promise<{ zoneId: string; permissions?: readonly string[] }> {
  try {
    const { zoneId = '', permissions } = await getZone({ filter: { name: zone } });
    return { zoneId, permissions };
  } catch (cause) {
    const said = (cause as Error).message.split('\n')[0];
    throw new pulumi.RunError(
      `zone ${zone} can't be read at Cloudflare: ${said}; check CLOUDFLARE_API_TOKEN ("Zone Read" on it)`,
    );
  }
}
