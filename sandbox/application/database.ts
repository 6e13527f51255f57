/** The application's way to PostgreSQL: a pool that gives up quickly, and faults that a client can understand. */
import { Pool, type QueryResult, type QueryResultRow } from 'pg';
import { Fault } from './http';

const patienceMs = 2_000;
const mostConnections = 8;
/** Any number, the same in all instances: who holds this lock makes the tables. */
const schemaLock = 7_204_621;

/** SQLSTATE classes and codes that say "not now", and not "wrong". A login that may only read does so until it is admitted. */
const readOnly = ['25006', '42501'];
const unavailable = /^(08|53|57P|58|28|3D|40001)/;

/** @returns the fault that a client is told for a failure of the database. */
export function faultOf(cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const { code = '', message = String(cause) } = cause as { code?: string; message?: string };
  if (readOnly.includes(code)) return new Fault(503, 'DatabaseReadOnly', 'the database accepts no writes', { cause });
  // Without an SQLSTATE it never got as far as the server.
  if (!/^[0-9A-Z]{5}$/.test(code) || unavailable.test(code)) {
    return new Fault(503, 'DatabaseUnavailable', `the database can't be used: ${code || message}`, { cause });
  }
  return new Fault(500, 'DatabaseError', `the database refuses (${code})`, { cause });
}

export type Tables = Readonly<Record<string, string>>;

export class Database {
  private readonly pool = new Pool({
    connectionTimeoutMillis: patienceMs,
    query_timeout: patienceMs,
    statement_timeout: patienceMs,
    idleTimeoutMillis: 30_000,
    max: mostConnections,
    keepAlive: true,
    application_name: 'moodtalk',
  });
  private prepared: Promise<void> | undefined;

  /** @param tables the tables that are needed, each with the statement that makes it */
  constructor(private readonly tables: Tables = {}) {
    // A connection that breaks while nobody uses it is replaced at the next query.
    this.pool.on('error', (error) => console.log(`database: lost an idle connection (${error.message})`));
  }

  /** One statement, in a transaction of its own: when it resolves it is committed. @throws Fault */
  async query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<Row>> {
    try {
      await this.prepare();
      return await this.pool.query<Row>(text, [...values]);
    } catch (cause) {
      throw faultOf(cause);
    }
  }

  /** @throws Fault when the database does not answer. */
  async check(): Promise<void> {
    await this.query('SELECT 1');
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  /** Sees to the tables once per process; a failure (read-only, unreachable) is tried again at the next query. */
  private prepare(): Promise<void> {
    this.prepared ??= this.seeToTables().catch((cause: unknown) => {
      this.prepared = undefined;
      throw cause;
    });
    return this.prepared;
  }

  /** Only what is missing is made: who finds everything needs no right to make anything. */
  private async seeToTables(): Promise<void> {
    const names = Object.keys(this.tables);
    if (names.length === 0) return;
    const { rows } = await this.pool.query<{ name: string }>(
      'SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL',
      [names],
    );
    if (rows.length > 0) await this.makeTables(rows.map(({ name }) => this.tables[name] ?? ''));
  }

  private async makeTables(statements: readonly string[]): Promise<void> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      // Two instances that create the same table at once would fail each other.
      await client.query('SELECT pg_advisory_xact_lock($1)', [schemaLock]);
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
      client.release();
    } catch (cause) {
      client.release(cause as Error);
      throw cause;
    }
  }
}
