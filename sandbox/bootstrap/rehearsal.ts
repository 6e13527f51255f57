/**
 * One start of Keycloak on a throw-away PostgreSQL cluster. It leaves two files that make later starts fast: `classes.jsa`,
 * the classes it loaded as the Java machine maps them, and `schema.sql`, what its migrations made of an empty database.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SandboxError } from '../error';
import { asUser, isRoot, isRunning, logFile, start, stop } from '../process';
import { folders } from '../world';
import { run } from './run';
import type { Context, Progress } from './step';

export interface Rehearsal {
  readonly context: Context;
  readonly java: string;
  readonly options: readonly string[];
  readonly mainClass: string;
  readonly postgresBin: string;
  /** Where the two files go. */
  readonly folder: string;
  readonly progress: Progress;
}

const prefix = 'bootstrap/';
const names = { postgres: `${prefix}postgres`, keycloak: `${prefix}keycloak` };
const host = '127.0.0.1';
/** Ten times what an idle machine takes; another build may be running beside. */
const startMs = 300_000;

/** Rows that say which migrations were made. Every other table stays empty: no realm, no key, no user. */
const migrationTables = ['databasechangelog', 'databasechangeloglock'];

export async function rehearse(rehearsal: Rehearsal): Promise<void> {
  const { progress, folder } = rehearsal;
  // What a killed bootstrap left behind; also the end of what is started here, however this ends.
  const clear = () => stop((record) => record.name.startsWith(prefix));
  await clear();
  const data = path.join(folders.cache, 'rehearsal');
  fs.rmSync(data, { recursive: true, force: true });
  fs.mkdirSync(data, { mode: 0o700 });
  try {
    progress.at('starting a throw-away database');
    const database = await startPostgres(rehearsal, data);
    progress.at('starting Keycloak once');
    await startKeycloak(rehearsal, database);
    progress.at('keeping what it made');
    fs.writeFileSync(path.join(folder, 'schema.sql'), await dumpSchema(rehearsal, database));
    // The Java machine writes the archive when it ends.
    await stop((record) => record.name === names.keycloak, 60_000);
  } finally {
    await clear();
    fs.rmSync(data, { recursive: true, force: true });
  }
}

interface Database {
  readonly port: number;
  readonly password: string;
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

async function startPostgres({ context: { signal }, postgresBin }: Rehearsal, data: string): Promise<Database> {
  const password = randomBytes(18).toString('hex');
  const passwordFile = path.join(data, 'password');
  const cluster = path.join(data, 'cluster');
  fs.writeFileSync(passwordFile, password, { mode: 0o600 });
  if (isRoot) await run('chown', ['-R', 'postgres', data], { signal });
  const options = [
    '-D',
    cluster,
    '-U',
    'keycloak',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--no-sync',
    '--encoding=UTF8',
  ];
  const [command, ...args] = [...asUser('postgres'), path.join(postgresBin, 'initdb'), ...options] as [
    string,
    ...string[],
  ];
  await run(command, args, { signal, cwd: data });
  const port = await freePort();
  await start({
    name: names.postgres,
    command: path.join(postgresBin, 'postgres'),
    args: ['-D', cluster, '-p', String(port), '-h', host, '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
    cwd: data,
    user: 'postgres',
  });
  await until(names.postgres, signal, () => accepts(port));
  return { port, password };
}

async function startKeycloak(
  { context: { signal }, java, options, mainClass, folder }: Rehearsal,
  database: Database,
): Promise<void> {
  const port = await freePort();
  const management = await freePort();
  await start({
    name: names.keycloak,
    command: java,
    args: [
      '-Xlog:cds*=off', // a line for each class that can't be archived
      `-XX:ArchiveClassesAtExit=${path.join(folder, 'classes.jsa')}`,
      ...options,
      mainClass,
      'start',
      '--optimized',
      '--cache=local',
      '--http-enabled=true',
      `--http-host=${host}`,
      `--http-port=${port}`,
      `--http-management-port=${management}`,
      '--hostname-strict=false',
    ],
    env: {
      KC_DB_URL: `jdbc:postgresql://${host}:${database.port}/postgres`,
      KC_DB_USERNAME: 'keycloak',
      KC_DB_PASSWORD: database.password,
    },
    cwd: folder,
  });
  await until(names.keycloak, signal, () => isReady(management));
}

/** Waits for a condition; every process that is waited for is looked at too. */
async function until(name: string, signal: AbortSignal, condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + startMs;
  while (!(await condition())) {
    signal.throwIfAborted();
    const why = !isRunning(name) ? 'ended' : Date.now() > end ? `was not ready within ${startMs / 1000} s` : undefined;
    if (why) {
      const tail = fs.readFileSync(logFile(name), 'utf8').trimEnd().split('\n').slice(-3).join(' | ');
      throw new SandboxError('RehearsalFailed', `${name} ${why}; its last words: ${tail}`);
    }
    await delay(100);
  }
}

const accepts = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = net.connect(port, host, () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const isReady = (port: number) =>
  fetch(`http://${host}:${port}/health/ready`).then(
    (response) => response.ok,
    () => false,
  );

/** @returns plain SQL that any client can run, as any role. */
async function dumpSchema(
  { context: { signal }, postgresBin }: Rehearsal,
  { port, password }: Database,
): Promise<string> {
  const dump = (...args: string[]) =>
    run(
      path.join(postgresBin, 'pg_dump'),
      ['-h', host, '-p', String(port), '-U', 'keycloak', '-d', 'postgres', '--no-owner', '--no-privileges', ...args],
      { signal, env: { PGPASSWORD: password } },
    );
  const schema = await dump('--schema-only');
  const rows = await dump('--data-only', '--inserts', ...migrationTables.map((table) => `--table=public.${table}`));
  // Lines with a backslash are psql's own, not SQL.
  return `${schema}\n${rows}`.replace(/^(\\.*|--.*|)\n/gm, '');
}
