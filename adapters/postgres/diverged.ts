/**
 * Rows that only a server that was left has: written on it after the last transaction that its follower has. They go to a file
 * before anything overwrites them. Compared are rows as they are now, by primary key; the file's first line says what that can't tell.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { escapeIdentifier, type Client } from 'pg';
import type { Call } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { serverTarget } from '../places';
import type { AdmissionTarget } from './admission';
import { connected, type ServerTarget } from './connection';
import { readTables, type Table } from './tables';

export interface Sides {
  /** Server that was left. */
  readonly server: string;
  readonly left: AdmissionTarget;
  /** Server that took over. */
  readonly since: string;
  readonly follower: ServerTarget;
}

const batch = 500;
const patience = { statementMs: 120_000 };

/** Folder in which runs leave what they write. */
const runsFolder = ({ environment }: AdapterContext): string =>
  environment['STANDBY_RUNS'] ?? path.join(environment['STANDBY_PROJECT'] ?? process.cwd(), '.standby', 'runs');

/** @param file - relative to the folder of runs. */
export function exportDiverged(context: AdapterContext, server: string, since: string, file: string, call: Call) {
  const sides = { server, left: serverTarget(context, server), since, follower: serverTarget(context, since) };
  return exportRows(sides, path.resolve(runsFolder(context), file), call);
}

/** @returns the file, JSON Lines, for the owner's eyes alone; nothing is left of an attempt that failed. */
export async function exportRows(
  { server, left, since, follower }: Sides,
  place: string,
  { signal, progress }: Call,
): Promise<{ readonly rows: number; readonly file: string }> {
  await fs.promises.mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
  const draft = `${place}.${process.pid}`;
  const output = fs.openSync(draft, 'w', 0o600);
  const write = (line: string) => fs.writeSync(output, `${line}\n`);
  try {
    const xmin = await connected({ ...follower, database: 'postgres' }, signal, (client) => forkOf(client, since));
    write(JSON.stringify(header(server, since, left.identityDatabase, xmin)));
    const rows = await connected(
      left,
      signal,
      (old) => connected(follower, signal, (now) => compare(old, now, xmin, write, progress), patience),
      patience,
    );
    fs.fsyncSync(output);
    await fs.promises.rename(draft, place);
    return { rows, file: place };
  } finally {
    fs.closeSync(output);
    await fs.promises.rm(draft, { force: true });
  }
}

/** @returns the first transaction that the follower may lack, where its promotion wrote it down. */
async function forkOf(client: Client, since: string): Promise<string | undefined> {
  const { rowCount } = await client.query("SELECT WHERE to_regclass('standby_plan.fork') IS NOT NULL");
  if (rowCount === 0) return undefined;
  const { rows } = await client.query<{ first: string }>(
    'SELECT first::text FROM standby_plan.fork WHERE server = $1',
    [since],
  );
  return rows[0]?.first;
}

const header = (server: string, since: string, identityDatabase: string, xmin: string | undefined) => ({
  server,
  since,
  at: new Date().toISOString(),
  cutOff: xmin ? `transaction ${xmin}` : 'unknown',
  limits: [
    xmin
      ? `rows written on ${server} at or after transaction ${xmin} that ${since} lacks or has otherwise; a row that ${since} changed later is among them when ${server} had written it just before`
      : `nobody wrote down what ${since} had when it left ${server}: all rows that it lacks or has otherwise, also those that it deleted or changed itself`,
    `rows that were deleted on ${server} can't be told`,
    `of rows without a primary key, equal ones count as one`,
    `database ${identityDatabase} of the identity provider takes no connection and is not compared`,
  ],
});

async function compare(
  old: Client,
  now: Client,
  xmin: string | undefined,
  write: (line: string) => void,
  progress: Call['progress'],
): Promise<number> {
  await old.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const there = new Map((await readTables(now)).map((table) => [table.name, table]));
  const newer = xmin ? await newerThan(old, xmin) : 'true';
  let total = 0;
  for (const table of await readTables(old)) {
    const count = await compareTable(old, now, table, there.get(table.name), newer, write);
    if (count > 0) progress(`${count} rows of ${table.name}`);
    total += count;
  }
  await old.query('COMMIT');
  return total;
}

/** Row versions carry the last 32 bits of a transaction's number: how long ago it was tells which transaction is meant. */
async function newerThan(client: Client, xmin: string): Promise<string> {
  const { rows } = await client.query<{ distance: string }>(
    'SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::numeric - $1::numeric)::text AS distance',
    [xmin],
  );
  const distance = BigInt(rows[0]?.distance ?? '0');
  return distance < 2n ** 31n ? `age(t.xmin) <= ${distance}` : 'true';
}

async function compareTable(
  old: Client,
  now: Client,
  table: Table,
  follower: Table | undefined,
  newer: string,
  write: (line: string) => void,
): Promise<number> {
  const key = table.key.length
    ? `jsonb_build_array(${table.key.map(({ name }) => `t.${escapeIdentifier(name)}`).join(', ')})`
    : 'NULL::jsonb';
  await old.query(
    `DECLARE rows NO SCROLL CURSOR FOR
     SELECT to_jsonb(t.*)::text AS row, (${key})::text AS key FROM ONLY ${table.name} t WHERE ${newer}`,
  );
  let count = 0;
  for (;;) {
    const { rows } = await old.query<{ row: string; key: string | null }>(`FETCH ${batch} FROM rows`);
    if (rows.length === 0) break;
    const lacking = follower ? await lackingOf(now, table, follower, rows) : rows.map((_, index) => index);
    for (const index of lacking) {
      const found = rows[index];
      if (!found) continue;
      // Numbers stay as the server wrote them.
      write(`{"table":${JSON.stringify(table.name)},"key":${found.key ?? 'null'},"row":${found.row}}`);
      count += 1;
    }
  }
  await old.query('CLOSE rows');
  return count;
}

/** @returns which of the rows the follower lacks, or has with another content in the columns that both have. */
async function lackingOf(
  now: Client,
  table: Table,
  follower: Table,
  rows: readonly { readonly row: string; readonly key: string | null }[],
): Promise<number[]> {
  const more = follower.columns.filter((column) => !table.columns.includes(column));
  const content = `to_jsonb(t.*) - $2::text[]`;
  const same = table.key.length
    ? table.key.map(({ name, type }, at) => `t.${escapeIdentifier(name)} = (o.key ->> ${at})::${type}`).join(' AND ')
    : `md5((${content})::text) = md5((o.row)::text)`;
  const { rows: lacking } = await now.query<{ i: string }>(
    `SELECT o.i FROM (SELECT value -> 'row' AS row, value -> 'key' AS key, ordinality AS i
                      FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY) o
     WHERE NOT EXISTS (SELECT FROM ${follower.name} t WHERE ${same} AND ${content} = o.row)`,
    [`[${rows.map(({ row, key }) => `{"row":${row},"key":${key ?? 'null'}}`).join(',')}]`, more],
  );
  return lacking.map(({ i }) => Number(i) - 1);
}
