/** One PostgreSQL cluster as a process of its site: made, started, stopped, asked. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { issue } from '../../authority';
import { freeze, isRunning, running, start, stop } from '../../process';
import { folders, ports } from '../../world';
import { program, run } from './programs';
import {
  dataFolder,
  makeFolder,
  processName,
  serverFolder,
  socketFolder,
  writeWhole,
  type ServerRecord,
} from './record';
import { scramVerifier } from './scram';
import { certificateFile, configFile, keyFile, replicationRole, superuser, writeSettings } from './settings';

/** PostgreSQL's default of 16 MiB would be copied to the paired region every few seconds, though mostly empty. */
const walSegmentMegabytes = 4;
export const walSegmentBytes = walSegmentMegabytes * 1024 * 1024;

/** Makes an empty data directory. */
export async function initialize(record: ServerRecord): Promise<void> {
  await run(record.site, program('initdb'), [
    ...['-D', dataFolder(record.name), '-U', superuser, '-A', 'peer', '-E', 'UTF8', '--locale=C.UTF-8'],
    ...['--data-checksums', '--no-sync', '--no-instructions', `--wal-segsize=${walSegmentMegabytes}`],
  ]);
}

/** Takes away what is in the server's folder but its record. */
export async function clear(record: ServerRecord): Promise<void> {
  await fs.promises.rm(dataFolder(record.name), { recursive: true, force: true });
  makeFolder(serverFolder(record.name));
}

async function writeCertificate(record: ServerRecord): Promise<void> {
  if (fs.existsSync(certificateFile(record))) return;
  const { cert, key } = await issue([record.fqdn, record.address]);
  writeWhole(keyFile(record), key);
  writeWhole(certificateFile(record), cert);
}

export const isUp = (record: ServerRecord) => isRunning(processName(record));

/**
 * Starts the server if it does not run, and waits until it answers: as a primary, a server that takes writes.
 * @param recovery settings of a restore or a replica
 * @throws Error with the end of its log
 */
export async function startCluster(
  record: ServerRecord,
  recovery: Readonly<Record<string, string>> = {},
): Promise<void> {
  if (!isUp(record)) {
    await writeCertificate(record);
    makeFolder(socketFolder(record.name));
    writeSettings(record, recovery);
    await start({
      name: processName(record),
      command: program('postgres'),
      args: ['-c', `config_file=${configFile(record)}`],
      env: { LC_ALL: 'C' },
      site: record.site,
      scope: 'data',
      user: 'postgres',
    });
  }
  await untilOpen(record);
}

const openTimeoutMs = 120_000;

async function untilOpen(record: ServerRecord): Promise<void> {
  const end = Date.now() + openTimeoutMs;
  for (let reason = 'not asked yet'; ; await delay(20)) {
    if (!isUp(record)) throw new Error(`server ${record.name} ended while it started: ${reason}`);
    if (Date.now() > end)
      throw new Error(`server ${record.name} did not open within ${openTimeoutMs / 1000} s: ${reason}`);
    try {
      const [row] = await sql<{ recovering: boolean }>(record, 'SELECT pg_is_in_recovery() AS recovering');
      if (record.role === 'replica' || row?.recovering === false) return;
      reason = 'still in recovery';
    } catch (cause) {
      reason = (cause as Error).message;
    }
  }
}

/** Ends the server in good order (sessions are cut), or kills it when that takes longer than `graceMs`. */
export async function stopCluster(record: ServerRecord, graceMs = 12_000): Promise<void> {
  const name = processName(record);
  const pid = running().find((process) => process.name === name)?.pid;
  if (pid !== undefined) {
    process.kill(pid, 'SIGINT');
    freeze((process) => process.name === name, false);
    const end = Date.now() + graceMs;
    while (isRunning(name) && Date.now() < end) await delay(20);
  }
  await stop((process) => process.name === name, 0);
}

/** Runs one statement over the local socket as the service's superuser. */
export async function sql<Row extends object>(
  record: ServerRecord,
  text: string,
  values: readonly unknown[] = [],
  database = 'postgres',
): Promise<Row[]> {
  const client = new Client({
    host: socketFolder(record.name),
    port: ports.postgres,
    user: superuser,
    database,
    connectionTimeoutMillis: 5_000,
    query_timeout: 60_000,
    application_name: 'azure',
  });
  client.on('error', () => undefined); // The server going away is told by the query that fails.
  try {
    await client.connect();
    // A server that was made read-only stays under the service's control.
    await client.query('SET default_transaction_read_only = off');
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Makes the roles that every server of the vendor has, and the person's administrator, who is no superuser. */
export async function createRoles(record: ServerRecord, password: string): Promise<void> {
  const admin = escapeIdentifier(record.administratorLogin);
  await sql(
    record,
    `CREATE ROLE azure_pg_admin;
     GRANT pg_monitor, pg_read_all_settings, pg_read_all_stats, pg_stat_scan_tables, pg_signal_backend, pg_checkpoint,
       pg_read_all_data TO azure_pg_admin WITH ADMIN OPTION;
     CREATE ROLE ${admin} LOGIN CREATEDB CREATEROLE IN ROLE azure_pg_admin PASSWORD ${escapeLiteral(scramVerifier(password))};
     CREATE ROLE ${replicationRole} LOGIN REPLICATION PASSWORD ${escapeLiteral(scramVerifier(replicationPassword()))};
     ALTER DATABASE postgres OWNER TO azure_pg_admin;`,
  );
}

export async function setPassword(record: ServerRecord, password: string): Promise<void> {
  const verifier = escapeLiteral(scramVerifier(password));
  await sql(record, `ALTER ROLE ${escapeIdentifier(record.administratorLogin)} PASSWORD ${verifier}`);
}

/** File with the replication role's password, in libpq's format. The vendor's own account: the same on every server. */
export const replicationPassFile = path.join(folders.azure, 'postgres', 'replication.pass');

function replicationPassword(): string {
  if (!fs.existsSync(replicationPassFile)) {
    makeFolder(path.dirname(replicationPassFile));
    writeWhole(replicationPassFile, `*:*:*:*:${randomBytes(24).toString('hex')}\n`);
  }
  return fs.readFileSync(replicationPassFile, 'utf8').trim().split(':')[4] as string;
}
