/** A PostgreSQL server with rows that no compression makes smaller, and servers that were restored from it. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { once } from 'node:events';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRoot, program, runProgram, startProgram, type Ended } from '../adapters/backup/program';
import { inParallel } from '../adapters/backup/parallel';
import { connected, type ServerTarget } from '../adapters/postgres/connection';
import type { Call } from '../backup/ports';

export const superuser = 'postgres';
/** PostgreSQL refuses root. */
export const systemUser = isRoot ? 'postgres' : os.userInfo().username;
export const port = 5432;

const gigabyte = 2 ** 30;
const rowBytes = 1_000;
/** So that tools which work on several tables at once can. */
const tables = ['alpha', 'beta', 'gamma', 'delta'] as const;
const patience = { statementMs: 3_600_000 };

/** A folder of the system user's own. */
export function ownFolder(...names: readonly string[]): string {
  const folder = path.join(...names);
  fs.mkdirSync(folder, { mode: 0o700 });
  if (isRoot) execFileSync('chown', [systemUser, folder]);
  return folder;
}

/** A program of PostgreSQL's, pgBackRest's or the system's, as the system user. */
export const run = (name: string, args: readonly string[], { signal }: Call): Promise<Ended> =>
  runProgram(program(name, process.env), args, { signal, user: systemUser });

/** How a server is reached by its socket, as the superuser. */
export const targetIn = (socketFolder: string, database: string): ServerTarget => ({
  ...{ host: socketFolder, port, user: superuser, password: 'not-asked-for', database, plain: true },
});

export interface Running {
  stop(): Promise<void>;
}

/** @param socketFolder - nobody reaches the server otherwise. Resolves when it answers. */
export async function startServer(
  data: string,
  socketFolder: string,
  settings: Readonly<Record<string, string>>,
  secrets: Readonly<Record<string, string>>,
  { signal }: Call,
): Promise<Running> {
  const all = { listen_addresses: '', unix_socket_directories: socketFolder, ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const options = { user: systemUser, cwd: data, env: secrets };
  const child = startProgram(program('postgres', process.env), ['-D', data, ...args], options);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  const ended = once(child, 'close');
  const stop = async () => {
    child.kill('SIGINT');
    await ended;
  };
  const answers = () =>
    connected(targetIn(socketFolder, 'postgres'), signal, async () => true).catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      return false;
    });
  try {
    while (!(await answers())) {
      if (child.exitCode !== null)
        throw new Error(`the server ended: ${said.trim().split('\n').slice(-2).join(' | ')}`);
      await delay(20, undefined, { signal });
    }
    return { stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/** Every row of every table: what a restored server is asked before it counts as restored. */
export async function countRows(reach: (database: string) => ServerTarget, source: Source, call: Call): Promise<void> {
  for (const database of source.databases) {
    const count = tables.map((table) => `(SELECT count(*) FROM ${table})`).join(' + ');
    const rows = await connected(
      reach(database),
      call.signal,
      async (client) => Number((await client.query<{ rows: string }>(`SELECT ${count} AS rows`)).rows[0]?.rows),
      patience,
    );
    const wanted = source.rowsOfTable * tables.length;
    if (rows !== wanted) throw new Error(`${database}: ${rows} of ${wanted} rows were restored`);
  }
}

export class Source {
  readonly databases: readonly string[];
  readonly rowsOfTable: number;
  readonly folder: string;
  readonly data: string;
  private server: Running | undefined;

  /** @param gigabytes - of rows, over all databases. */
  constructor(folder: string, databases: number, gigabytes: number) {
    this.databases = Array.from({ length: databases }, (_, index) => `bench_${index + 1}`);
    this.rowsOfTable = Math.max(1, Math.round((gigabytes * gigabyte) / rowBytes / databases / tables.length));
    this.folder = folder;
    this.data = path.join(folder, 'data');
  }

  target = (database: string): ServerTarget => targetIn(this.folder, database);

  async create(call: Call): Promise<void> {
    const options = ['-U', superuser, '-A', 'trust', '--no-sync', '--data-checksums', '--no-instructions'];
    await run('initdb', ['-D', this.data, '--encoding=UTF8', '--locale=C.UTF-8', ...options], call);
    // Rows are written once, not to the log as well.
    await this.start({ wal_level: 'minimal', max_wal_senders: '0', fsync: 'off' }, {}, call);
    await inParallel(this.databases, 2, (database) => this.fill(database, call));
    await this.stop();
  }

  async start(settings: Readonly<Record<string, string>>, secrets: Record<string, string>, call: Call): Promise<void> {
    this.server = await startServer(this.data, this.folder, { autovacuum: 'off', ...settings }, secrets, call);
  }

  async stop(): Promise<void> {
    await this.server?.stop();
    this.server = undefined;
  }

  private async fill(database: string, call: Call): Promise<void> {
    const sql = (text: string, into: string) =>
      connected(this.target(into), call.signal, (client) => client.query(text), patience);
    await sql(`CREATE DATABASE ${database} TEMPLATE template0`, 'postgres');
    await sql('CREATE EXTENSION pgcrypto', database);
    await inParallel(tables, this.databases.length > 1 ? 1 : 2, async (table) => {
      const rows = `SELECT id, gen_random_bytes(${rowBytes}) AS payload FROM generate_series(1, ${this.rowsOfTable}) id`;
      await sql(`CREATE TABLE ${table} AS ${rows}`, database);
      await sql(`ALTER TABLE ${table} ADD PRIMARY KEY (id)`, database);
      // Or the first who reads writes what reading finds out.
      await sql(`VACUUM (FREEZE, ANALYZE) ${table}`, database);
    });
    await sql('DROP EXTENSION pgcrypto', database);
  }
}
