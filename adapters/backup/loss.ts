/**
 * What would be lost by going back to a moment: rows of the live server, in all of its databases, that were written after it. What can't
 * be told is unknown.
 */
import { escapeIdentifier } from 'pg';
import type { Instant } from '../../backup/model';
import { connected, type ServerTarget } from '../postgres/connection';

export type Loss =
  | {
      /**
       * By `database.table`, outside of `public` by `database.schema.table`; tables of which nothing is lost are left out. Rows that were
       * deleted since are in no table: they come back.
       */
      readonly rows: Readonly<Record<string, number>>;
      readonly by: string;
      /** Databases of which nobody can tell, and why. @default - none */
      readonly unread?: Readonly<Record<string, string>>;
    }
  | { readonly unknown: string };

/** Databases of the vendor of a managed server, which its customer can't read and has nothing in. */
const vendors = ['azure_maintenance', 'azure_sys'];

const patience = { statementMs: 600_000, connectMs: 5_000 };

interface Client {
  query<R>(text: string, values?: unknown[]): Promise<{ rows: R[]; rowCount: number | null }>;
}

/** A condition on a row `t` of any database that was written after the moment, and what it goes by. */
interface Measure {
  readonly condition: string;
  readonly by: string;
}

/** A server that was filled from backups: what came that way was written before, whatever transaction brought it. */
interface Filling {
  readonly endedAt: Instant;
  /** Transaction that wrote down that all was there. */
  readonly transaction: string;
}

const readFilling = (live: ServerTarget, signal: AbortSignal): Promise<Filling | undefined> =>
  connected(
    { ...live, database: 'postgres' },
    signal,
    async (client) => {
      const { rowCount } = await client.query("SELECT WHERE to_regclass('standby_plan.imported') IS NOT NULL");
      if (rowCount === 0) return undefined;
      const { rows } = await client.query<{ ended: Date; transaction: string }>(
        'SELECT ended, xmin::text AS transaction FROM standby_plan.imported WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT 1',
      );
      return rows[0] && { endedAt: rows[0].ended.getTime(), transaction: rows[0].transaction };
    },
    patience,
  );

/** The server keeps the time of each commit, since before the moment. */
async function byCommitTimes(client: Client, at: Instant): Promise<Measure | undefined> {
  const { rows: on } = await client.query<{ on: boolean }>(
    "SELECT current_setting('track_commit_timestamp')::boolean AS on",
  );
  if (!on[0]?.on) return undefined;
  const { rows } = await client.query<{ covered: boolean | null }>(
    `SELECT pg_xact_commit_timestamp(oldest_commit_ts_xid) <= to_timestamp($1::float8 / 1000) AS covered FROM pg_control_checkpoint()`,
    [at],
  );
  if (!rows[0]?.covered) return undefined;
  return {
    condition: `pg_xact_commit_timestamp(t.xmin) > to_timestamp(${at / 1_000})`,
    by: "the server's commit times",
  };
}

/** The sentinel's rows carry their time and their transaction: what has a later one than its last row before the moment is later. */
async function bySentinel(client: Client, at: Instant, filling: Filling | undefined): Promise<Measure | undefined> {
  const { rowCount } = await client.query("SELECT WHERE to_regclass('public.sentinel') IS NOT NULL");
  if (rowCount === 0) return undefined;
  const { rows } = await client.query<{ last: string }>(
    `SELECT (CASE WHEN age($2::xid) < age(xmin) THEN $2::xid ELSE xmin END)::text AS last FROM public.sentinel
     WHERE written_at <= to_timestamp($1::float8 / 1000) ORDER BY written_at DESC LIMIT 1`,
    [at, filling?.transaction ?? null],
  );
  return (
    rows[0] && {
      condition: `age(t.xmin) < age('${rows[0].last}'::xid)`,
      by: 'the sentinel, so up to the time between two of its rows more',
    }
  );
}

/** Of one database, as {@link Loss} names them. @throws StandbyError */
const countRows = (target: ServerTarget, condition: string, signal: AbortSignal): Promise<Record<string, number>> =>
  connected(
    target,
    signal,
    async (client) => {
      // One view of it, in which ages don't grow.
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { rows: tables } = await client.query<{ schema: string; name: string }>(
        `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^(pg_|recovered_)'
           AND n.nspname NOT IN ('information_schema', 'standby_plan') ORDER BY 1, 2`,
      );
      const rows: Record<string, number> = {};
      for (const { schema, name } of tables) {
        const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
        const found = await client.query<{ count: string }>(
          `SELECT count(*)::text AS count FROM ONLY ${from} t WHERE ${condition}`,
        );
        const count = Number(found.rows[0]?.count);
        const table = schema === 'public' ? name : `${schema}.${name}`;
        if (count > 0) rows[`${target.database}.${table}`] = count;
      }
      return rows;
    },
    patience,
  );

/**
 * @param until - counts what was written until then alone. @default - until now
 * @returns rows by table that a server as it was at `at` lacks; never a fault: a server that is silent is an unknown.
 */
export async function lossAfter(live: ServerTarget, at: Instant, signal: AbortSignal, until?: Instant): Promise<Loss> {
  try {
    const filling = await readFilling(live, signal);
    if (filling && at < filling.endedAt) {
      const when = new Date(filling.endedAt).toISOString();
      return { unknown: `${live.host} was filled from backups at ${when}, and does not know what was written before` };
    }
    const { measure, later, databases } = await connected(
      live,
      signal,
      async (client) => {
        const measureOf = async (moment: Instant) =>
          (await byCommitTimes(client, moment)) ?? (await bySentinel(client, moment, filling));
        const { rows: found } = await client.query<{ name: string }>(
          'SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> ALL ($1) ORDER BY 1',
          [vendors],
        );
        return {
          measure: await measureOf(at),
          later: until === undefined ? undefined : await measureOf(until),
          databases: found.map(({ name }) => name),
        };
      },
      patience,
    );
    if (!measure) {
      return { unknown: `${live.host} keeps no commit times (track_commit_timestamp) and no sentinel from before` };
    }
    const condition = measure.condition + (later ? ` AND NOT (${later.condition})` : '');
    const rows: Record<string, number> = {};
    const unread: Record<string, string> = {};
    for (const database of databases) {
      await countRows({ ...live, database }, condition, signal).then(
        (found) => Object.assign(rows, found),
        (cause: Error) => {
          signal.throwIfAborted();
          unread[database] = cause.message;
        },
      );
    }
    return { rows, by: measure.by, ...(Object.keys(unread).length > 0 ? { unread } : {}) };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    return { unknown: (cause as Error).message };
  }
}

/** Also where nobody can tell. */
export const isLoss = (loss: Loss): boolean =>
  'unknown' in loss || loss.unread !== undefined || Object.keys(loss.rows).length > 0;

export function describeLoss(loss: Loss, at: Instant): string {
  const since = `committed after ${new Date(at).toISOString()}`;
  if ('unknown' in loss) return `lost: unknown how many rows ${since} (${loss.unknown})`;
  const rows = Object.entries(loss.rows).map(([table, count]) => `${count} of ${table}`);
  const unread = Object.entries(loss.unread ?? {}).map(([database, why]) => `unknown how many of ${database} (${why})`);
  const lost = [...rows, ...unread];
  return lost.length > 0
    ? `lost: rows ${since}: ${lost.join(', ')} (by ${loss.by}; deleted ones come back)`
    : `lost: no row ${since} is seen (by ${loss.by}; deleted ones come back)`;
}
