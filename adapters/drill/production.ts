/** Production as a drill must leave it, read before and after. */
import { Resolver } from 'node:dns/promises';
import type { ProductionReading, RowsReading } from '../../failover/drill';
import type { Reading } from '../../failover/model';
import { connected, type ServerTarget } from '../postgres/connection';
import type { Environment } from '../pulumi/command';
import { readStacks } from '../pulumi/readings';
import { newestSentinel } from './copy';

export interface ProductionParts {
  readonly environment: Environment;
  readonly hosts: readonly string[];
  /** Administrator of each server, by name. */
  readonly servers: Readonly<Record<string, ServerTarget>>;
  /** Addresses that a server's firewall lets in. */
  readonly firewall: (server: string, signal: AbortSignal) => Promise<readonly string[]>;
}

export async function reading<T>(act: () => Promise<T>): Promise<Reading<T>> {
  try {
    return { value: await act(), at: Date.now() };
  } catch (cause) {
    return { unknown: (cause as Error).message, at: Date.now() };
  }
}

async function each<T>(
  names: readonly string[],
  act: (name: string) => Promise<T>,
): Promise<Record<string, Reading<T>>> {
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await reading(() => act(name))] as const)),
  );
}

export async function readProduction(parts: ProductionParts, signal: AbortSignal): Promise<ProductionReading> {
  const servers = Object.keys(parts.servers);
  const [stacks, names, marks, firewalls] = await Promise.all([
    readStacks(parts.environment, signal),
    each(resolversOf(parts.environment), (resolver) => addressesOf(parts.hosts, resolver)),
    each(servers, (name) => marksOf(parts.servers[name] as ServerTarget, signal)),
    each(servers, (name) => parts.firewall(name, signal)),
  ]);
  const serials = Object.entries(stacks).map(([stack, found]) => [
    stack,
    'value' in found ? { at: found.at, value: found.value.serial } : found,
  ]);
  return {
    stacks: Object.fromEntries(serials) as ProductionReading['stacks'],
    names,
    servers: marks,
    firewalls,
  };
}

export const resolversOf = (environment: Environment): string[] =>
  (environment['STANDBY_RESOLVERS'] ?? '1.1.1.1,8.8.8.8,9.9.9.9').split(',').map((one) => one.trim());

const resolveMs = 2_000;

/** @returns sorted addresses by host; an empty list for a name that has none. */
export async function addressesOf(hosts: readonly string[], server: string): Promise<Record<string, string[]>> {
  const resolver = new Resolver({ timeout: resolveMs, tries: 1 });
  resolver.setServers([server]);
  const entries = hosts.map(async (host) => {
    try {
      return [host, (await resolver.resolve4(host)).sort()] as const;
    } catch (cause) {
      if (['ENOTFOUND', 'ENODATA'].includes((cause as NodeJS.ErrnoException).code ?? '')) return [host, []] as const;
      throw new Error(`resolver ${server} does not answer for ${host}`, { cause });
    }
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string[]>;
}

/** What of a server stays as it is while nobody changes a role: who may log in, who is admitted, who streams from it. */
const marksOf = (target: ServerTarget, signal: AbortSignal): Promise<string> =>
  connected({ ...target, database: 'postgres' }, signal, async (client) => {
    const { rows } = await client.query<{
      role: string;
      closed: string;
      logins: string;
      slots: string;
      token: boolean;
    }>(
      `SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END AS role,
         current_setting('default_transaction_read_only') AS closed,
         (SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin) AS logins,
         coalesce((SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots WHERE NOT temporary), '')
           AS slots,
         to_regclass('standby_plan.token') IS NOT NULL AS token`,
    );
    const [row] = rows;
    const token = row?.token
      ? (await client.query<{ epoch: number; open: boolean }>('SELECT epoch, open FROM standby_plan.token')).rows[0]
      : undefined;
    const admitted = token ? `epoch ${token.epoch} ${token.open ? 'open' : 'closed'}` : 'no epoch';
    return `${row?.role}, read-only ${row?.closed}, ${admitted}, logins ${row?.logins}, slots ${row?.slots || 'none'}`;
  });

/** Production's newest sentinel row, now or up to a moment. */
export const newestRow = (
  target: ServerTarget,
  until: number | undefined,
  signal: AbortSignal,
): Promise<Reading<RowsReading['newest']>> =>
  reading(() => connected(target, signal, (client) => newestSentinel(client, until)));

/** Rows of production after the copy's newest, up to the one that it should have. */
export const missingRows = (
  target: ServerTarget,
  after: number,
  until: number,
  signal: AbortSignal,
): Promise<Reading<number>> =>
  reading(() =>
    connected(target, signal, async (client) => {
      const { rows } = await client.query<{ count: string }>(
        `SELECT count(*) FROM sentinel WHERE date_trunc('milliseconds', written_at) > to_timestamp($1::float8 / 1000)
           AND date_trunc('milliseconds', written_at) <= to_timestamp($2::float8 / 1000)`,
        [after, until],
      );
      return Number(rows[0]?.count);
    }),
  );
