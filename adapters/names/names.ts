/** Names that lead people: the public zone's in one call, the internal zones' side by side. */
import { z } from 'zod';
import { StandbyError } from '../../failover/errors';
import type { Facts } from '../../failover/model';
import type { Call, Names } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { cloudflare, recordsOf, zoneId, type PublicRecord } from './cloudflare';
import { rerouteInternal } from './internal';

/** What `lookup` finds and `reroute` works with. */
const foundSchema = z.object({
  zoneId: z.string().min(1),
  /** Records of the zone, of any kind. */
  total: z.number(),
  /** By host: the id of its record, and where it led. */
  records: z.record(z.string(), z.object({ id: z.string().min(1), content: z.string() })),
  /** A person's word that more records may move than is usual. */
  manyNames: z.boolean().default(false),
});

/** Above this share of a zone with so many records, a person must have said so. */
const usualShare = 0.5;
const fewRecords = 10;

export function createNames(context: AdapterContext): Names {
  return {
    lookup: (call) => lookup(context, call),
    async reroute(to, found, call) {
      const { ingressAddress } = context.landscape.sites[to].network;
      return { changed: await reroute(context, ingressAddress, found, call) };
    },
    async rerouteInternal(to, server, call) {
      return { changed: await rerouteInternal(context, to, server, call) };
    },
  };
}

/** @throws StandbyError NoSuchRecord when a host has no address record of its own. */
async function lookup(context: AdapterContext, { signal }: Call): Promise<Facts> {
  const { zone, hosts } = context.configuration();
  const id = await zoneId(context, zone, signal);
  const all = await recordsOf(context, id, signal);
  const records = Object.values(hosts).map((host) => [host, recordOf(all, host)] as const);
  return { zoneId: id, total: all.length, records: Object.fromEntries(records) };
}

function recordOf(all: readonly PublicRecord[], host: string): { readonly id: string; readonly content: string } {
  const found = all.filter(({ name, type }) => name === host && type === 'A');
  const [first] = found;
  if (first && found.length === 1) return { id: first.id, content: first.content };
  throw new StandbyError(
    'NoSuchRecord',
    `host ${host} has ${found.length} address records at Cloudflare, needed is one: run \`pulumi up --stack failover\` first`,
  );
}

/** Moves what leads elsewhere; nothing of a record but its content. @throws StandbyError ManyNames */
async function reroute(context: AdapterContext, address: string, facts: Facts, { signal }: Call): Promise<number> {
  const found = foundSchema.safeParse(facts);
  if (!found.success) {
    throw new StandbyError('NamesNotLookedUp', 'the records of the public zone were not looked up: make a new plan');
  }
  const { zoneId: id, total, records, manyNames } = found.data;
  const now = new Map((await recordsOf(context, id, signal)).map((record) => [record.id, record.content]));
  const moving = Object.entries(records).filter(([, record]) => now.get(record.id) !== address);
  if (moving.length === 0) return 0;
  if (!manyNames && total >= fewRecords && moving.length / total > usualShare) {
    throw new StandbyError(
      'ManyNames',
      `${moving.length} of ${total} records of the zone would move, usual are ${usualShare * 100} % at most: say --many-names if that is meant`,
    );
  }
  const patches = moving.map(([, record]) => ({ id: record.id, content: address }));
  await cloudflare(context, { method: 'POST', path: `/zones/${id}/dns_records/batch`, body: { patches }, signal });
  return moving.length;
}
