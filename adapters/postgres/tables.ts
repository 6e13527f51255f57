/** The applications' tables, as a server's catalogue has them. */
import type { Client } from 'pg';

export interface Table {
  /** With its schema, quoted where it must be. */
  readonly name: string;
  readonly columns: readonly string[];
  /** Columns of the primary key; empty when there is none. */
  readonly key: readonly { readonly name: string; readonly type: string }[];
}

/** Every table that holds rows, partitions one by one; not the plan's own. */
const question = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name,
    (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY k.at)
      FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, at)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = c.oid AND i.indisprimary), '[]') AS key
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', 'standby_plan')
  ORDER BY name`;

export async function readTables(client: Client): Promise<Table[]> {
  return (await client.query<Table>(question)).rows;
}
