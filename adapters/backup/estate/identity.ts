/**
 * Data set `identity`: the identity provider's database, with the keys that it signs with, and the realm as its own export where
 * that program is at hand. Who restores it keeps every session's and every application's trust.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Client } from 'pg';
import { z } from 'zod';
import { mendable, type Difference, type EstateFile, type EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { connected, type ServerTarget } from '../../postgres/connection';
import { libpqEnvironment } from '../dump';
import { program, runProgram } from '../program';
import { bytesOf, inFolder, jsonFile, readJsonFile } from './files';

type Environment = AdapterContext['environment'];

const dumpFile = 'keycloak.dump';
const realmFile = 'realm.json';
const factsFile = 'facts.json';
/** Longest dump: the transaction that holds its moment still lasts as long. */
const dumpMs = 600_000;

const factsSchema = z.object({ keys: z.array(z.string()), rows: z.record(z.string(), z.number()) });
type Facts = z.infer<typeof factsSchema>;

export interface IdentityPlace {
  readonly environment: Environment;
  /** The identity provider's own database, on the server that it works on. */
  readonly target: ServerTarget;
  readonly realm: string;
}

export const identitySet = (place: IdentityPlace): EstateSet => ({
  dataSet: 'identity',
  tool: 'pg_dump',
  collect: (call) => collect(place, call),
  compare: (files, call) => compare(place, files, call),
  restore: (files, call) => restore(place, files, call),
});

/** Runs one of PostgreSQL's programs on the database; the password is in its environment alone. */
async function onDatabase(
  { environment, target }: IdentityPlace,
  name: string,
  folder: string,
  args: readonly string[],
  { signal }: Call,
): Promise<void> {
  const env = await libpqEnvironment(target, environment, folder);
  await runProgram(program(name, environment), args, { signal, env, code: 'IdentityUnread' });
}

const collect = (place: IdentityPlace, call: Call): Promise<readonly EstateFile[]> =>
  inFolder('identity', place.environment, async (folder) => {
    const { database } = place.target;
    call.progress(`database ${database}`);
    const file = path.join(folder, dumpFile);
    // What is counted and what is dumped are one moment.
    const facts = await inSnapshot(place, call.signal, async (client, snapshot) => {
      const found = await factsIn(client);
      if (found.keys.length === 0) throw noKeys(database);
      const options = ['--format=custom', '--no-owner', '--no-privileges', `--snapshot=${snapshot}`, `--file=${file}`];
      await onDatabase(place, 'pg_dump', folder, options, call);
      return found;
    });
    const realm = await realmExport(place, folder, call);
    return [
      { name: dumpFile, bytes: fs.readFileSync(file) },
      jsonFile(factsFile, facts),
      ...(realm ? [{ name: realmFile, bytes: realm }] : []),
    ];
  });

const noKeys = (database: string) =>
  new StandbyError('NoSigningKeys', `database ${database} has no signing keys: it is no identity provider's`);

/** By KEYCLOAK_HOME's own program; nothing where there is none: the database has it all. */
async function realmExport({ environment, target, realm }: IdentityPlace, folder: string, call: Call) {
  const home = environment['KEYCLOAK_HOME'];
  if (!home) return undefined;
  call.progress(`realm ${realm}`);
  const file = path.join(folder, realmFile);
  const { PGSSLROOTCERT: root = '' } = await libpqEnvironment(target, environment, folder);
  const { host, port, database, user, password } = target;
  const env = {
    ...{ KC_DB: 'postgres', KC_DB_USERNAME: user, KC_DB_PASSWORD: password },
    KC_DB_URL: `jdbc:postgresql://${host}:${port}/${database}?sslmode=verify-full&sslrootcert=${root}`,
    ...(environment['JAVA_HOME'] ? { JAVA_HOME: environment['JAVA_HOME'] } : {}),
  };
  const command = path.join(home, 'bin', 'kc.sh');
  const args = ['export', '--optimized', '--file', file, '--realm', realm, '--users', 'same_file'];
  await runProgram(command, args, { signal: call.signal, env, code: 'RealmUnread' });
  return fs.readFileSync(file);
}

/** Digests of the private keys, never the keys; rows of the tables that somebody would miss. */
const keysQuery = `SELECT encode(sha256(convert_to(value, 'UTF8')), 'hex') AS key FROM component_config
  WHERE name IN ('privateKey', 'secret') ORDER BY 1`;
const counted = ['realm', 'client', 'user_entity', 'credential', 'keycloak_role', 'component_config'] as const;

const inSnapshot = <T>(
  { target }: IdentityPlace,
  signal: AbortSignal,
  act: (client: Client, snapshot: string) => Promise<T>,
): Promise<T> =>
  connected(
    target,
    signal,
    async (client) => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { rows } = await client.query<{ snapshot: string }>('SELECT pg_export_snapshot() AS snapshot');
      const result = await act(client, rows[0]?.snapshot ?? '');
      await client.query('COMMIT');
      return result;
    },
    { statementMs: dumpMs },
  );

async function factsIn(client: Client): Promise<Facts> {
  const { rows: keys } = await client.query<{ key: string }>(keysQuery);
  const counts: [string, number][] = [];
  for (const table of counted) {
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) AS count FROM ${table}`);
    counts.push([table, Number(rows[0]?.count)]);
  }
  return { keys: keys.map(({ key }) => key), rows: Object.fromEntries(counts) };
}

const isEmpty = ({ target }: IdentityPlace, signal: AbortSignal): Promise<boolean> =>
  connected(target, signal, async (client) => {
    const { rows } = await client.query(`SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1`);
    return rows.length === 0;
  });

async function compare(
  place: IdentityPlace,
  files: readonly EstateFile[],
  { signal }: Call,
): Promise<readonly Difference[]> {
  const kept = readJsonFile(files, factsFile, (value) => factsSchema.parse(value));
  const { database } = place.target;
  if (await isEmpty(place, signal)) return [{ what: `database ${database}`, how: 'missing', detail: 'it is empty' }];
  const now = await inSnapshot(place, signal, factsIn);
  const lost = kept.keys.filter((key) => !now.keys.includes(key));
  return [
    ...(lost.length > 0
      ? [
          {
            what: 'signing keys',
            how: 'different' as const,
            detail: `${lost.length} of ${kept.keys.length} are not there`,
          },
        ]
      : []),
    ...Object.entries(kept.rows)
      .filter(([table, count]) => now.rows[table] !== count)
      .map(([table, count]): Difference => {
        const there = now.rows[table] ?? 0;
        // People come in all the time: who came after the backup is no fault of it.
        const how = there > count ? 'extra' : 'different';
        return { what: `rows of ${table}`, how, detail: `${there} there, ${count} in the backup` };
      }),
  ];
}

/** Into an empty database alone. */
async function restore(place: IdentityPlace, files: readonly EstateFile[], call: Call): Promise<readonly string[]> {
  const { database, host } = place.target;
  if (mendable(await compare(place, files, call)).length === 0) return [];
  if (!(await isEmpty(place, call.signal))) {
    throw new StandbyError(
      'DatabaseNotEmpty',
      `database ${database} on ${host} is not empty: the identity provider is restored into an empty one alone; take it as files (--into FOLDER)`,
    );
  }
  await inFolder('identity', place.environment, async (folder) => {
    const file = path.join(folder, dumpFile);
    fs.writeFileSync(file, bytesOf(files, dumpFile), { mode: 0o600 });
    const options = ['--no-owner', '--no-privileges', '--exit-on-error', '--single-transaction'];
    await onDatabase(place, 'pg_restore', folder, [...options, `--dbname=${database}`, file], call);
  });
  const [wrong] = mendable(await compare(place, files, call));
  if (!wrong) return [`database ${database} restored, with its signing keys`];
  throw new StandbyError('RestoreFailed', `${wrong.what} is ${wrong.how} after the restore (${wrong.detail})`, {
    exit: 'person',
  });
}
