/**
 * Single tables out of the past: copied from a restored server into a schema beside production's, compared, merged on a person's
 * word. Each of the three is one transaction.
 */
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { escapeIdentifier, type Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { z } from 'zod';
import * as merge from '../../backup/merge';
import type { Call } from '../../backup/ports';
import { StandbyError } from '../../failover/errors';
import { connected, transaction, type ServerTarget } from '../postgres/connection';

/** A table of any size takes its time; whoever waits can stop it. */
const patience = { statementMs: 0, connectMs: 5_000 };
/** Production writes to these tables: it does not wait for us for longer. */
const lockTimeout = '5s';
const batch = 1_000;

const shapes = `
  SELECT n.nspname AS schema, c.relname AS name,
    (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
        'generated', a.attgenerated <> '', 'identity', a.attidentity <> '') ORDER BY a.attnum), '[]')
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT coalesce(json_agg(a.attname ORDER BY k.at), '[]')
      FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, at)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
    (SELECT coalesce(json_agg(json_build_object('name', f.conname, 'columns', ff.names,
        'parent', json_build_object('schema', pn.nspname, 'name', p.relname), 'parentColumns', pf.names)), '[]')
      FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
      CROSS JOIN LATERAL (SELECT json_agg(a.attname ORDER BY k.at) AS names FROM unnest(f.conkey) WITH ORDINALITY k(attnum, at)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) ff
      CROSS JOIN LATERAL (SELECT json_agg(a.attname ORDER BY k.at) AS names FROM unnest(f.confkey) WITH ORDINALITY k(attnum, at)
        JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum) pf
      WHERE f.conrelid = c.oid AND f.contype = 'f') AS "foreignKeys",
    (SELECT coalesce(json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_trigger t
      WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D') AS triggers
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest($1::text[], $2::text[]) w(schema, name) ON w.schema = n.nspname AND w.name = c.relname
  WHERE c.relkind IN ('r', 'p')`;

async function readShapes(client: Client, tables: readonly merge.TableName[]): Promise<merge.TableShape[]> {
  const { rows } = await client.query<merge.TableShape>(shapes, [
    tables.map(({ schema }) => schema),
    tables.map(({ name }) => name),
  ]);
  return rows;
}

/** Types are written with their schemas; rows that a policy hides are an error, not a gap; a fenced server is read all the same. */
const plainly = `SET LOCAL search_path = ''; SET LOCAL row_security = off`;

const noteSchema = z.object({
  format: z.literal(1),
  recoveryPoint: z.number(),
  from: z.string(),
  tables: z.array(z.object({ schema: z.string(), name: z.string() })),
});

/** What must be right before anything is restored for it. @throws StandbyError SchemaExists, TableUnknown, NoPrimaryKey */
export const checkLive = (
  live: ServerTarget,
  schema: string,
  tables: readonly merge.TableName[],
  { signal }: Call,
): Promise<string[]> =>
  connected(
    live,
    signal,
    async (client) => {
      await refuseExisting(client, schema);
      const found = await readShapes(client, tables);
      merge.checkTables(tables, found, `database ${live.database}`);
      return merge.caveats(found);
    },
    patience,
  );

async function refuseExisting(client: Client, schema: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rowCount === 0) return;
  throw new StandbyError(
    'SchemaExists',
    `schema ${schema} exists: choose another name, or drop it when nobody needs it any more (DROP SCHEMA ${schema} CASCADE)`,
  );
}

/** @returns rows copied by table. Nothing is there when it fails. @throws StandbyError SchemaExists, TableUnknown, NoPrimaryKey */
export const copyTables = (
  restored: ServerTarget,
  live: ServerTarget,
  schema: string,
  note: merge.CopyNote,
  { signal, progress }: Call,
): Promise<Readonly<Record<string, number>>> =>
  connected(
    restored,
    signal,
    (source) =>
      connected(
        live,
        signal,
        async (client) => {
          await source.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${plainly}`);
          const tables = await readShapes(source, note.tables);
          merge.checkTables(note.tables, tables, 'the restored database');
          return transaction(client, async () => {
            await client.query(plainly);
            await refuseExisting(client, schema);
            await client.query(`CREATE SCHEMA ${escapeIdentifier(schema)}`);
            await client.query(merge.noteCopy(schema, note));
            const rows: Record<string, number> = {};
            for (const table of tables) {
              await client.query(merge.createCopy(schema, table));
              const input = client.query(copyFrom(merge.copyIn(schema, table)));
              await pipeline(source.query(copyTo(merge.copyOut(table))), input, { signal });
              await client.query(merge.keyCopy(schema, table));
              rows[merge.shown(table)] = input.rowCount;
              progress(`${input.rowCount} rows of ${merge.shown(table)}`);
            }
            return rows;
          });
        },
        patience,
      ),
    patience,
  );

interface Opened {
  readonly note: merge.CopyNote;
  readonly pairs: readonly merge.Pair[];
}

/** @throws StandbyError NoCopy, TableUnknown, NoPrimaryKey, KeyChanged */
async function open(client: Client, schema: string, wanted: readonly merge.TableName[] | undefined): Promise<Opened> {
  const { rows } = await client.query<{ note: string | null }>(
    "SELECT obj_description(oid, 'pg_namespace') AS note FROM pg_namespace WHERE nspname = $1",
    [schema],
  );
  const note = noteSchema.safeParse(parsed(rows[0]?.note ?? ''));
  if (!note.success) {
    throw new StandbyError(
      'NoCopy',
      `there is no copy in schema ${schema}: make one with \`standby restore --tables … --at TIME --into ${schema}\``,
    );
  }
  const tables = wanted ?? note.data.tables;
  const live = await readShapes(client, tables);
  merge.checkTables(tables, live, 'the live database');
  const copies = await readShapes(
    client,
    tables.map(({ name }) => ({ schema, name })),
  );
  const pairs = tables.map((table) => {
    const copy = copies.find(({ name }) => name === table.name);
    if (!copy) throw new StandbyError('TableUnknown', `schema ${schema} has no copy of ${merge.shown(table)}`);
    return merge.pair(copy, live.find((one) => merge.shown(one) === merge.shown(table)) as merge.TableShape);
  });
  return { note: note.data, pairs };
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

export interface DiffResult {
  readonly recoveryPoint: number;
  /** By table. */
  readonly difference: Readonly<Record<string, merge.Difference>>;
  /** By table: another one as soon as any row that differs is another, or is otherwise. */
  readonly digests: Readonly<Record<string, string>>;
  /** What the comparison leaves out, and what to know before a merge. */
  readonly caveats: readonly string[];
}

interface Counted {
  readonly counts: merge.Difference;
  readonly digest: string;
}

async function count(client: Client, both: merge.Pair): Promise<Counted> {
  const { rows } = await client.query<{ kind: merge.Kind; count: string; digest: string }>(merge.countDifference(both));
  const of = (kind: merge.Kind) => rows.find((row) => row.kind === kind);
  const counted = (kind: merge.Kind) => Number(of(kind)?.count ?? 0);
  return {
    counts: { deleted: counted('deleted'), changed: counted('changed'), added: counted('added') },
    digest: merge.kinds.map((kind) => of(kind)?.digest ?? '').join('/'),
  };
}

async function compare(client: Client, { note, pairs }: Opened): Promise<DiffResult> {
  const difference: Record<string, merge.Difference> = {};
  const digests: Record<string, string> = {};
  for (const both of pairs) {
    const { counts, digest } = await count(client, both);
    difference[merge.shown(both.live)] = counts;
    digests[merge.shown(both.live)] = digest;
  }
  return {
    recoveryPoint: note.recoveryPoint,
    ...{ difference, digests },
    caveats: [...pairs.flatMap(({ drift }) => drift), ...merge.caveats(pairs.map(({ live }) => live))],
  };
}

/** Counts, and every row that differs into a file, JSON Lines, for the owner's eyes alone; no file is left of an attempt that failed. */
export const diffTables = (
  live: ServerTarget,
  schema: string,
  wanted: readonly merge.TableName[] | undefined,
  place: string,
  { signal, progress }: Call,
): Promise<DiffResult> =>
  connected(
    live,
    signal,
    async (client) => {
      await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${plainly}`);
      const opened = await open(client, schema, wanted);
      await fs.promises.mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
      const draft = `${place}.${process.pid}`;
      const output = fs.createWriteStream(draft, { mode: 0o600 });
      try {
        for (const both of opened.pairs) {
          await client.query(`DECLARE rows NO SCROLL CURSOR FOR ${merge.rowsOfDifference(both)}`);
          for (;;) {
            const { rows } = await client.query<{ line: string }>(`FETCH ${batch} FROM rows`);
            if (rows.length === 0) break;
            if (!output.write(rows.map(({ line }) => `${line}\n`).join(''))) await once(output, 'drain', { signal });
          }
          await client.query('CLOSE rows');
          progress(`${merge.shown(both.live)} is compared`);
        }
        await new Promise<void>((resolve, reject) => output.once('error', reject).end(resolve));
        await fs.promises.rename(draft, place);
        return await compare(client, opened);
      } finally {
        output.destroy();
        await fs.promises.rm(draft, { force: true });
      }
    },
    patience,
  );

export interface MergeOptions {
  /** Of some tables; all that were copied by default. */
  readonly tables?: readonly merge.TableName[];
  /** What the person said yes to: another difference is refused, be it in one value of one row. */
  readonly expected: Pick<DiffResult, 'difference' | 'digests'>;
  /** Puts back what changed rows were, over what they are. */
  readonly overwrite: boolean;
}

/**
 * Inserts what was deleted since, and overwrites what was changed since only where that is asked for; what was added stays. The
 * tables take no write meanwhile.
 * @returns rows written by table. @throws StandbyError ChangedSince, ParentMissing: nothing was written.
 */
export const mergeTables = (
  live: ServerTarget,
  schema: string,
  { tables, expected, overwrite }: MergeOptions,
  { signal, progress }: Call,
): Promise<Readonly<Record<string, { readonly inserted: number; readonly overwritten: number }>>> =>
  connected(
    live,
    signal,
    (client) =>
      transaction(client, async () => {
        await client.query(`${plainly}; SET LOCAL lock_timeout = '${lockTimeout}'`);
        const opened = await open(client, schema, tables);
        const pairs = merge.inOrder(opened.pairs);
        const names = pairs.map((both) => merge.fullName(both.live));
        await client.query(`LOCK TABLE ${names.join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
        const found = await compare(client, opened);
        refuseOther(expected.difference, found.difference);
        refuseOtherRows(expected.digests, found.digests);
        for (const both of pairs) await refuseOrphans(client, both, pairs, overwrite);
        const written: Record<string, { inserted: number; overwritten: number }> = {};
        for (const both of pairs) {
          const inserted = (await client.query(merge.insertDeleted(both))).rowCount ?? 0;
          const update = overwrite ? merge.overwriteChanged(both) : undefined;
          const overwritten = update ? ((await client.query(update)).rowCount ?? 0) : 0;
          written[merge.shown(both.live)] = { inserted, overwritten };
          progress(`${merge.shown(both.live)}: ${inserted} inserted, ${overwritten} overwritten`);
        }
        refuseOther(wanted(found.difference, overwrite), (await compare(client, opened)).difference);
        return written;
      }),
    patience,
  );

/** What is left to differ after a merge: a trigger may have seen to something else. */
const wanted = (before: DiffResult['difference'], overwrite: boolean): DiffResult['difference'] =>
  Object.fromEntries(
    Object.entries(before).map(([table, { changed, added }]) => [
      table,
      { deleted: 0, changed: overwrite ? 0 : changed, added },
    ]),
  );

function refuseOther(expected: DiffResult['difference'], found: DiffResult['difference']): void {
  for (const [table, now] of Object.entries(found)) {
    const then = expected[table];
    if (then && merge.kinds.every((kind) => then[kind] === now[kind])) continue;
    const text = (one: merge.Difference | undefined) =>
      one ? merge.kinds.map((kind) => `${one[kind]} ${kind}`).join(', ') : 'nothing';
    throw new StandbyError(
      'ChangedSince',
      `${table} has ${text(now)}, not ${text(then)} as it was said: nothing was merged; compare again with --diff`,
      { retryable: true },
    );
  }
}

function refuseOtherRows(expected: DiffResult['digests'], found: DiffResult['digests']): void {
  const table = Object.keys(found).find((name) => expected[name] !== found[name]);
  if (table === undefined) return;
  throw new StandbyError(
    'ChangedSince',
    `${table} has as many rows that differ as it was said, but they are not the ones that were shown: nothing was merged; compare again with --diff`,
    { retryable: true },
  );
}

async function refuseOrphans(
  client: Client,
  both: merge.Pair,
  all: readonly merge.Pair[],
  overwrite: boolean,
): Promise<void> {
  for (const { key, sql } of merge.countOrphans(both, all, overwrite)) {
    const { rows } = await client.query<{ count: string }>(sql);
    if (Number(rows[0]?.count) === 0) continue;
    throw new StandbyError(
      'ParentMissing',
      `${rows[0]?.count} rows of ${merge.shown(both.live)} refer to rows of ${merge.shown(key.parent)} that are gone: restore ${merge.shown(key.parent)} as well; nothing was merged`,
    );
  }
}
