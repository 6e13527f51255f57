/** The copied server: what is in it, and what is taken off before anything runs on it. */
import type { Client } from 'pg';
import { escapeIdentifier } from 'pg';
import { drillEpoch, type DrillOutput } from '../../config/drill';
import { apps, hostNames, type Hosts } from '../../config/fields';
import type { RowsReading } from '../../failover/drill';
import { admit, type AdmissionTarget } from '../postgres/admission';
import { connected, transaction, type ServerTarget } from '../postgres/connection';

/** A table that counts all it has may be long about it. */
const patience = { statementMs: 120_000, connectMs: 5_000 };

export const copyTarget = ({ server }: DrillOutput, company: string): AdmissionTarget => ({
  company,
  host: server.fqdn,
  port: server.port,
  user: server.user,
  password: server.password,
  database: server.database,
  identityDatabase: server.identityDatabase,
});

/** Rows by table of the applications' database, and the newest sentinel row. */
export const readRows = (target: ServerTarget, signal: AbortSignal): Promise<RowsReading> =>
  connected(
    target,
    signal,
    async (client) => {
      const names = await client.query<{ schema: string; name: string }>(
        `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_|^information_schema$|^standby_plan$'
         ORDER BY 1, 2`,
      );
      const tables: Record<string, number> = {};
      for (const { schema, name } of names.rows) {
        const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
        const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${from}`);
        tables[schema === 'public' ? name : `${schema}.${name}`] = Number(rows[0]?.count);
      }
      const newest = await newestSentinel(client);
      return { tables, ...(newest ? { newest } : {}) };
    },
    patience,
  );

/** @param until - looks at no later row. @returns undefined where there is no sentinel. */
export async function newestSentinel(client: Client, until?: number): Promise<RowsReading['newest']> {
  const { rowCount } = await client.query("SELECT WHERE to_regclass('sentinel') IS NOT NULL");
  if (rowCount === 0) return undefined;
  const { rows } = await client.query<{ at: Date; seq: string }>(
    `SELECT written_at AS at, seq FROM sentinel WHERE $1::float8 IS NULL OR written_at <= to_timestamp($1::float8 / 1000)
     ORDER BY written_at DESC LIMIT 1`,
    [until ?? null],
  );
  const [row] = rows;
  return row && { at: row.at.getTime(), seq: Number(row.seq) };
}

/**
 * Shuts every login of production on the copy, opens the drill's own, and takes off what could reach the world: mail, directories
 * that would be written to, production's hosts and client secrets. Nothing runs on the copy yet.
 */
export async function isolate(
  drill: DrillOutput,
  company: string,
  production: Hosts,
  signal: AbortSignal,
): Promise<void> {
  const target = copyTarget(drill, company);
  await admit(target, drillEpoch, signal);
  await connected(
    { ...target, database: target.identityDatabase },
    signal,
    async (client) => {
      await client.query('SET default_transaction_read_only = off');
      const { rowCount } = await client.query("SELECT WHERE to_regclass('realm_smtp_config') IS NOT NULL");
      // Without tables the identity provider makes them, from a realm file that is the drill's own.
      if (rowCount === 0) return;
      await transaction(client, async () => {
        await cutOff(client);
        await rename(client, production, drill.hosts);
        for (const app of apps) {
          await client.query(
            'UPDATE client SET secret = $1 WHERE client_id = $2 AND realm_id = (SELECT id FROM realm WHERE name = $3)',
            [drill.clients[app], app, drill.identity.realm],
          );
        }
      });
    },
    patience,
  );
}

/** The identity provider keeps these in its database; a copy of it would go on writing to whoever they name. */
async function cutOff(client: Client): Promise<void> {
  await client.query('DELETE FROM realm_smtp_config');
  await client.query("DELETE FROM realm_events_listeners WHERE value = 'email'");
  await client.query(
    `UPDATE component_config SET value = 'false' WHERE name = 'enabled' AND component_id IN
       (SELECT id FROM component WHERE provider_type = 'org.keycloak.storage.UserStorageProvider')`,
  );
}

/** Where the clients' addresses are kept. */
const addresses = [
  ['redirect_uris', 'value'],
  ['web_origins', 'value'],
  ['client', 'root_url'],
  ['client', 'base_url'],
  ['client_attributes', 'value'],
] as const;

async function rename(client: Client, from: Hosts, to: Hosts): Promise<void> {
  for (const name of hostNames) {
    for (const [table, column] of addresses) {
      await client.query(
        `UPDATE ${table} SET ${column} = replace(${column}, $1, $2) WHERE position($1 IN ${column}) > 0`,
        [`://${from[name]}`, `://${to[name]}`],
      );
    }
  }
}
