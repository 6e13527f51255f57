/** What a database says of itself: the same questions to the source in the backup's snapshot and to what was restored. */
import { createHash } from 'node:crypto';
import { escapeIdentifier, type Client } from 'pg';
import type { DatabaseFacts } from '../../backup/model';

/** Tables that a dump holds: not the system's, not an extension's. */
const own = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;

/** In an order that no dump changes; numbers of columns are left out, as a restored table has no dropped ones. */
const definitions = `
  SELECT format('%s %I.%I', c.relkind, n.nspname, c.relname) AS of,
    (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
        pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT string_agg(format('%I %s %s', k.conname, k.convalidated, pg_get_constraintdef(k.oid)), ', ' ORDER BY k.conname)
      FROM pg_constraint k WHERE k.conrelid = c.oid) AS constraints,
    (SELECT string_agg(pg_get_indexdef(i.indexrelid), ', ' ORDER BY i.indexrelid::regclass::text)
      FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
    pg_get_viewdef(c.oid) AS view
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND ${own}
  ORDER BY 1`;

/**
 * Reads within the transaction that the connection is in.
 * @param roles - also the names of the server's roles.
 */
export async function readFacts(client: Client, { roles }: { readonly roles: boolean }): Promise<DatabaseFacts> {
  // Definitions name schemas only where the path does not lead to them.
  await client.query("SET LOCAL search_path = ''");
  const [server] = (
    await client.query<{ database: string; system: string; version: string; sentinel: boolean }>(
      `SELECT current_database() AS database, (SELECT system_identifier::text FROM pg_control_system()) AS system,
         current_setting('server_version') AS version, to_regclass('public.sentinel') IS NOT NULL AS sentinel`,
    )
  ).rows;
  const { rows: shapes } = await client.query(definitions);
  const schema = createHash('sha256').update(JSON.stringify(shapes)).digest('hex');
  const { database, system, version, sentinel } = server!;
  const newest = sentinel ? await sentinelOf(client) : undefined;
  return {
    ...{ database, system, version: version.split(' ')[0]!, rows: await countRows(client), schema },
    ...(newest === undefined ? {} : { sentinel: newest }),
    ...(roles ? { roles: await roleNames(client) } : {}),
  };
}

async function countRows(client: Client): Promise<Record<string, number>> {
  // A partition that goes in its time is no loss: what counts is whether its table has rows.
  const { rows: tables } = await client.query<{ schema: string; name: string; whole: string }>(
    `SELECT n.nspname AS schema, c.relname AS name, format('%s.%s', s.nspname, t.relname) AS whole
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_class t ON t.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace s ON s.oid = t.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${own} ORDER BY 1, 2`,
  );
  const counts: Record<string, number> = {};
  for (const { schema, name, whole } of tables) {
    const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${from}`);
    counts[whole] = (counts[whole] ?? 0) + Number(rows[0]?.count);
  }
  return counts;
}

async function sentinelOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ seq: string | null }>('SELECT max(seq)::text AS seq FROM public.sentinel');
  const seq = rows[0]?.seq;
  return seq ? Number(seq) : undefined;
}

async function roleNames(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}
