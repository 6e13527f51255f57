/**
 * An operator's machine and the applications of both sites, as one process at its place in the world: it reads orders from its
 * standard input, one JSON a line, and answers in the same way. Each site's writer tries to write all the time.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { AdapterContext } from '../../adapters/context';
import { admit, type AdmissionTarget } from '../../adapters/postgres/admission';
import { createLeases } from '../../adapters/store/leases';
import { epochPassword, epochRole } from '../../config/credentials';
import { sites, type Site } from '../../config/fields';

export interface OperatorSettings {
  readonly context: Pick<AdapterContext, 'landscape'> & { readonly company: string };
  readonly servers: Readonly<Record<Site, AdmissionTarget>>;
}
export type Order =
  | { readonly do: 'take' | 'admit'; readonly to: Site; readonly epoch: number }
  | { readonly do: 'read' }
  | { readonly do: 'agent'; readonly site: Site }
  | { readonly do: 'write'; readonly epochs: Readonly<Record<Site, number>> };
/** A writer's word: from this moment (or from before it) to that one the site accepted a write. */
export interface Written {
  readonly site: Site;
  readonly from: number;
  readonly to: number;
}

const settings = JSON.parse(process.env['OPERATOR_SETTINGS'] ?? '{}') as OperatorSettings;
const { company, landscape } = settings.context;
const context = {
  configuration: () => ({ company, writerLease: 'on' }),
  landscape,
  environment: process.env,
} as unknown as AdapterContext;
const leases = createLeases(context);
const say = (word: object) => process.stdout.write(`${JSON.stringify(word)}\n`);
const epochs: Record<Site, number> = { prod: 1, intg: 1 };

async function carryOut(order: Order): Promise<unknown> {
  const call = { signal: AbortSignal.timeout(60_000), progress: () => undefined };
  switch (order.do) {
    case 'take':
      return leases.take(order.to, order.epoch, call);
    case 'admit':
      return admit(settings.servers[order.to], order.epoch, call.signal);
    case 'read':
      return leases.read(call);
    case 'agent':
      return leases.agent(order.site, call);
    case 'write':
      return Object.assign(epochs, order.epochs);
  }
}

/** As an application of the epoch: one connection, opened anew when it is cut. */
async function keepWriting(site: Site): Promise<void> {
  const { host, port, database, password } = settings.servers[site];
  for (;;) {
    const epoch = epochs[site];
    const user = epochRole(company, epoch);
    const client = new Client({
      ...{ host, port, database, user, password: epochPassword(password, epoch), ssl: true },
      connectionTimeoutMillis: 3_000,
      query_timeout: 3_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('CREATE TABLE IF NOT EXISTS written (at timestamptz)');
      while (epochs[site] === epoch) {
        const from = Date.now();
        await client.query('INSERT INTO written VALUES (now())');
        say({ written: { site, from, to: Date.now() } });
        await delay(20);
      }
    } catch {
      await delay(50);
    } finally {
      void client.end().catch(() => undefined);
    }
  }
}

for (const site of sites) void keepWriting(site);
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, ...order } = JSON.parse(line) as Order & { readonly id: number };
  carryOut(order).then(
    (answer) => say({ id, answer: answer ?? null }),
    (cause: Error & { code?: string }) => say({ id, fault: `${cause.code ?? ''} ${cause.message}` }),
  );
});
say({ ready: true });
