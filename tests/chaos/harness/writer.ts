/**
 * Tries to write, all the time, on every production server at once, from a place of one site and with every login that the site
 * was ever given. CHAOS_WRITER has its orders (JSON); what may change while it runs is read anew from a file. Each accepted write
 * is one line of its log.
 */
import * as fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { epochPassword, epochRole } from '../../../config/credentials';
import type { Accepted } from './checker';
import type { WriterOrders, WriterTargets } from './writers';

const everyMs = 25;
const againMs = 120;
const patienceMs = 1_000;
const lookEveryMs = 100;

const orders = JSON.parse(process.env['CHAOS_WRITER'] ?? '{}') as WriterOrders;
const ca = fs.readFileSync(process.env['NODE_EXTRA_CA_CERTS'] ?? '', 'utf8');
const log = fs.openSync(orders.log, 'a');
const begun = new Set<string>();

function targets(): WriterTargets {
  try {
    return JSON.parse(fs.readFileSync(orders.targets, 'utf8')) as WriterTargets;
  } catch {
    return { servers: [], epochs: {} }; // not written yet
  }
}

/** The session is kept for as long as the server keeps it: a fence must end it. */
async function insist(server: { readonly name: string; readonly fqdn: string }, epoch: number): Promise<never> {
  for (;;) {
    const client = new Client({
      host: server.fqdn,
      port: orders.port,
      database: orders.database,
      user: epochRole(orders.company, epoch),
      password: epochPassword(orders.password, epoch),
      ssl: { ca, servername: server.fqdn },
      connectionTimeoutMillis: patienceMs,
      query_timeout: patienceMs,
      application_name: `chaos ${orders.site}`,
    });
    const ended = new Promise<void>((resolve) => client.on('end', resolve).on('error', () => resolve()));
    try {
      await client.connect();
      for (let over = false; !over;) {
        over = !(await write(client, server.name, epoch));
        await Promise.race([delay(everyMs), ended.then(() => (over = true))]);
      }
    } catch {
      // Refused, silent or cut off: that is what is looked for.
    }
    void client.end().catch(() => undefined);
    await delay(againMs * (0.5 + Math.random()));
  }
}

/** @returns whether the session can still be used. */
async function write(client: Client, server: string, epoch: number): Promise<boolean> {
  try {
    const { rows } = await client.query<{ at: number }>(
      `INSERT INTO public.chaos_writes (site, epoch) VALUES ($1, $2)
       RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at`,
      [orders.site, epoch],
    );
    const accepted: Accepted = { site: orders.site, server, epoch, at: rows[0]?.at ?? NaN, after: Date.now() };
    fs.writeSync(log, JSON.stringify(accepted) + '\n');
    return true;
  } catch (cause) {
    const { code, severity } = cause as { code?: string; severity?: string };
    if (code === '42P01') {
      await client
        .query('CREATE TABLE IF NOT EXISTS public.chaos_writes (id bigserial, site text, epoch int)')
        .catch(() => undefined);
    }
    return severity === 'ERROR'; // the server's refusal; anything else ends the session
  }
}

async function main(): Promise<void> {
  console.log(JSON.stringify({ ready: true }));
  for (;;) {
    const { servers, epochs } = targets();
    for (const server of servers) {
      for (const epoch of epochs[orders.site] ?? []) {
        const key = `${server.name} ${epoch}`;
        if (begun.has(key)) continue;
        begun.add(key);
        void insist(server, epoch);
      }
    }
    await delay(lookEveryMs);
  }
}

void main();
