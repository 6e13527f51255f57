/** Logical backups: each database by itself, with what it said of itself in the same snapshot. */
import { createHash } from 'node:crypto';
import * as dns from 'node:dns/promises';
import * as fs from 'node:fs/promises';
import * as net from 'node:net';
import * as path from 'node:path';
import * as tls from 'node:tls';
import type { DatabaseFacts, Instant, Manifest, Part } from '../../backup/model';
import type { Call } from '../../backup/ports';
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';
import { serverPlaces, serverTarget } from '../places';
import { connected, fillingOptions, type ServerTarget } from '../postgres/connection';
import { readFacts } from './facts';
import { program, runProgram } from './program';
import { makeScratch } from './scratch';
import { keepBackup, type Keeping, type PlainPart } from './store';

type Environment = AdapterContext['environment'];

/** A dump of a large database holds its snapshot for hours. */
const longest = { statementMs: 12 * 3_600_000, connectMs: 10_000 };

/** @returns the administrator's way to a database of the server that has the business. @throws StandbyError NoServerInUse */
export function databaseInUse(context: AdapterContext, database: string): ServerTarget {
  const server = serverPlaces(context).find((place) => place.database);
  if (!server) throw new StandbyError('NoServerInUse', 'no server of this plan has the business: see `standby status`');
  return { ...serverTarget(context, server.name), database };
}

/** What libpq is told by its environment: never by argv, which everybody on the machine can read. */
export async function libpqEnvironment(
  { host, port, user, password, database, ca, plain, filling }: ServerTarget,
  environment: Environment,
  folder: string,
): Promise<Record<string, string>> {
  const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
  const options = filling ? { PGOPTIONS: fillingOptions } : {};
  const common = { ...login, ...options, PGAPPNAME: 'standby', PGCONNECT_TIMEOUT: '10' };
  if (plain) return { ...common, PGSSLMODE: 'disable' };
  // The same authorities that this process trusts.
  const extra = environment['NODE_EXTRA_CA_CERTS'];
  const trusted = ca ?? [...tls.rootCertificates, ...(extra ? [await fs.readFile(extra, 'utf8')] : [])].join('\n');
  const file = path.join(folder, 'authorities.pem');
  await fs.writeFile(file, trusted, { mode: 0o600 });
  // The same resolver too: the name is still what the certificate must say.
  const address = net.isIP(host) ? host : (await dns.lookup(host)).address;
  return { ...common, PGHOSTADDR: address, PGSSLMODE: 'verify-full', PGSSLROOTCERT: file };
}

export interface DumpOptions {
  readonly company: string;
  readonly target: ServerTarget;
  readonly keeping: Keeping;
  /** pg_dump's connections besides the one that holds the snapshot. */
  readonly jobs: number;
}

/** Takes a database and keeps it. @throws StandbyError DumpFailed, DatabaseUnreachable, and what a vault refuses */
export async function backUpDatabase(options: DumpOptions, call: Call): Promise<Manifest> {
  const { company, target, keeping, jobs } = options;
  const { environment } = keeping;
  const scratch = await makeScratch('dump', environment);
  const folder = path.join(scratch, 'dump');
  const startedAt = keeping.now();
  try {
    const { facts, recoveryPoint } = await dump(target, folder, { environment, scratch, jobs }, call);
    const files = (await fs.readdir(folder)).sort();
    const parts = files.map((name): PlainPart => ({ name, content: { file: path.join(folder, name) } }));
    const definitions = await definitionsOf(folder, environment, call);
    const taken = {
      ...{ company, dataSet: `database/${target.database}` as const, tool: await versionOf(environment, call) },
      ...{ startedAt, recoveryPoint, parts, facts },
      content: (sealed: readonly Part[]) => contentOf(definitions, sealed),
    };
    return await keepBackup(taken, keeping, call);
  } finally {
    await fs.rm(scratch, { recursive: true, force: true });
  }
}

interface Dumped {
  readonly facts: DatabaseFacts;
  readonly recoveryPoint: Instant;
}

async function dump(
  target: ServerTarget,
  folder: string,
  { environment, scratch, jobs }: { environment: Environment; scratch: string; jobs: number },
  call: Call,
): Promise<Dumped> {
  const env = await libpqEnvironment(target, environment, scratch);
  return connected(
    target,
    call.signal,
    async (client) => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      // The time of the transaction is before its snapshot: what was committed by then is in it.
      const { rows } = await client.query<{ at: Date; snapshot: string }>(
        "SELECT date_trunc('milliseconds', now()) AS at, pg_export_snapshot() AS snapshot",
      );
      const { at, snapshot } = rows[0]!;
      // Half the work of gzip's usual 6, for a twentieth more bytes.
      const how = ['--format=directory', '--compress=1', `--jobs=${jobs}`, '--no-sync'];
      const args = [...how, `--snapshot=${snapshot}`, `--file=${folder}`];
      const stop = new AbortController();
      const dumping = runProgram(program('pg_dump', environment), args, {
        ...{ env, code: 'DumpFailed', onLine: call.progress },
        signal: AbortSignal.any([call.signal, stop.signal]),
      });
      try {
        // pg_dump shares the snapshot for as long as this transaction goes on.
        const [facts] = await Promise.all([readFacts(client, { roles: true }), dumping]);
        await client.query('COMMIT');
        return { facts, recoveryPoint: at.getTime() };
      } finally {
        stop.abort();
        await dumping.catch(() => undefined);
      }
    },
    longest,
  );
}

const versionOf = async (environment: Environment, { signal }: Call) => {
  const { stdout } = await runProgram(program('pg_dump', environment), ['--version'], { signal });
  return `pg_dump ${/\d+(\.\d+)*/.exec(stdout)?.[0] ?? 'of unknown version'}`;
};

interface Definitions {
  /** All that is no row, as SQL. */
  readonly sql: string;
  /** Table by file of its rows. */
  readonly tables: ReadonlyMap<string, string>;
}

async function definitionsOf(folder: string, environment: Environment, { signal }: Call): Promise<Definitions> {
  const restore = async (...args: string[]) =>
    (await runProgram(program('pg_restore', environment), [...args, folder], { signal, code: 'DumpFailed' })).stdout;
  const list = (await restore('--list')).split('\n');
  const entries = list.flatMap((line) => {
    const [, number, table] = /^(\d+); \d+ \d+ TABLE DATA (.+) \S+$/.exec(line) ?? [];
    return number === undefined ? [] : [[`${number}.dat.gz`, table!] as const];
  });
  const chosen = `${folder}.list`;
  await fs.writeFile(chosen, list.filter((line) => / SEQUENCE SET /.test(line)).join('\n'));
  const definitions = await restore('--section=pre-data', '--section=post-data', '--file=-');
  const sequences = await restore(`--use-list=${chosen}`, '--file=-');
  // Lines for psql, with a random word in them.
  const sql = `${definitions}\n${sequences}`.replace(/^\\(un)?restrict .*$/gm, '');
  return { sql, tables: new Map(entries) };
}

/** The table of contents has the time of the dump in it; what it stands for has not. */
function contentOf({ sql, tables }: Definitions, parts: readonly Part[]): string {
  const rows = parts
    .filter(({ name }) => name !== 'toc.dat')
    .map(({ name, plainSha256 }) => `${tables.get(name) ?? name} ${plainSha256}`)
    .sort();
  return createHash('sha256')
    .update(`${sql}\n${rows.join('\n')}`)
    .digest('hex');
}
