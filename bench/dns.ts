/** A change of many DNS records at Cloudflare as it is far away: one batch call against a call for each record. */
import type Cloudflare from 'cloudflare';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { CloudflareWorld } from '../tests/cloudflare/service';
import { costHere, inTurns, type Cost } from './measure';
import { cpu, row, wall, type Outcome } from './report';

const records = 200;
const latencyMs = 50;
const rounds = 3;
/** No test uses this one. */
const worldNumber = 247;

type Way = (client: Cloudflare, zone_id: string, ids: readonly string[], content: string) => Promise<number>;

/** The records are known by id (found by one call, which counts). @returns how many calls the change took. */
const ways = {
  async batch(client, zone_id, ids, content) {
    await client.dns.records.batch({ zone_id, patches: ids.map((id) => ({ id, content })) as never });
    return 1;
  },
  async single(client, zone_id, ids, content) {
    for (const id of ids) await client.dns.records.edit(id, { zone_id, content } as never);
    return ids.length;
  },
} satisfies Record<string, Way>;

const list = async (client: Cloudflare, zone_id: string) =>
  (await client.dns.records.list({ zone_id, per_page: 500, name: { startswith: 'bench' } })).result;

async function prepare(client: Cloudflare, zone_id: string): Promise<void> {
  const posts = Array.from({ length: records }, (_, index) => ({
    name: `bench${index}.moodtalk.ch`,
    type: 'A' as const,
    content: '192.0.2.1',
    ttl: 60 as never,
  }));
  await client.dns.records.batch({ zone_id, posts });
}

async function compare(world: CloudflareWorld): Promise<Outcome> {
  const [client, zone_id] = [world.client(), await world.zoneId()];
  await prepare(client, zone_id);
  fs.writeFileSync(path.join(world.world.folders.cloudflare, 'chaos.json'), JSON.stringify({ latencyMs }));

  const calls = { batch: 0, single: 0 };
  let address = 1;
  const change = (way: keyof typeof ways) => async (): Promise<Cost> => {
    const content = `192.0.2.${++address}`;
    const cost = await costHere(async () => {
      const ids = (await list(client, zone_id)).map(({ id }) => id);
      calls[way] = 1 + (await ways[way](client, zone_id, ids, content));
    });
    const moved = (await list(client, zone_id)).filter((record) => record.content === content).length;
    if (moved !== records) throw new Error(`${way}: ${moved} of ${records} records moved`);
    return cost;
  };
  const { batch, single } = await inTurns(rounds, { batch: change('batch'), single: change('single') });
  const peer = 'a call for each record';
  const figure = `${records} records at ${latencyMs} ms`;
  return {
    rows: [
      row(`${figure}, wall`, 's', [peer, wall(single)], wall(batch)),
      row(`${figure}, client's CPU`, 's', [peer, cpu(single)], cpu(batch)),
      row(`${figure}, calls`, 'calls', [peer, [calls.single]], [calls.batch]),
    ],
    notes: [
      '"ours" is the batch call of the API; the failover stack moves its six records by a call each, side by side',
    ],
  };
}

export async function dns(): Promise<Outcome> {
  const world = new CloudflareWorld(worldNumber);
  try {
    await world.start();
    return await compare(world);
  } finally {
    await world.remove();
  }
}
