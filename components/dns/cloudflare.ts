import { DnsRecord } from '@pulumi/cloudflare/dnsRecord';
import { getZoneOutput } from '@pulumi/cloudflare/getZone';
import type { DnsProvider } from './provider';

/** @returns records in a zone at Cloudflare, found by its name. They are proxied: clients keep the edge's address when they move. */
export function cloudflareZone(zone: string): DnsProvider {
  const zoneId = getZoneOutput({ filter: { name: zone } }).zoneId;
  return {
    addressRecord: (name, { host, address, comment }, opts) =>
      new DnsRecord(name, { zoneId, name: host, type: 'A', content: address, proxied: true, ttl: 1, comment }, opts),
  } satisfies DnsProvider;
}
