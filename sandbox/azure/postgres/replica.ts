/** A server that follows another one, and its promotion. */
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { replicationPassFile, sql, startCluster } from './cluster';
import { program, run } from './programs';
import { dataFolder, writeWhole, type ServerRecord } from './record';
import { connectionString, remoteConnection, writeSettings } from './settings';

export const slotPrefix = 'replica_';
export const slotOf = (replica: Pick<ServerRecord, 'incarnation'>) => `${slotPrefix}${replica.incarnation}`;

/** Settings with which a server follows its source. */
export const followSettings = (replica: ServerRecord, source: ServerRecord) => ({
  primary_conninfo: connectionString({
    ...remoteConnection(source, replicationPassFile),
    application_name: replica.name,
  }),
  primary_slot_name: slotOf(replica),
});

/** The source's name for a replication connection, as a program of the replica's site sees it: through the network. */
const sourceConnection = (source: ServerRecord, extra: Readonly<Record<string, string>> = {}) =>
  connectionString({ ...remoteConnection(source, replicationPassFile), ...extra });

/** The source did not answer over the network. */
export class SourceUnreachable extends Error {
  constructor(source: ServerRecord, cause: unknown) {
    super(`the source server ${source.name} can't be reached: ${(cause as Error).message}`, { cause });
    this.name = 'SourceUnreachable';
  }
}

/** One command of the replication protocol to the source, sent from the replica's site. */
async function ask(replica: ServerRecord, source: ServerRecord, command: string): Promise<string> {
  const connection = sourceConnection(source, { replication: 'true' });
  try {
    return await run(replica.site, program('psql'), ['-XAtq', '-d', connection, '-c', command], { timeoutMs: 8_000 });
  } catch (cause) {
    throw new SourceUnreachable(source, cause);
  }
}

/**
 * Copies the source into the replica's (cleared) data directory and starts it: read-only, streaming.
 * @throws SourceUnreachable
 */
export async function createReplica(replica: ServerRecord, source: ServerRecord): Promise<void> {
  await dropSlot(replica, source);
  await ask(replica, source, `CREATE_REPLICATION_SLOT ${slotOf(replica)} PHYSICAL (RESERVE_WAL)`);
  await run(replica.site, program('pg_basebackup'), [
    ...['-d', sourceConnection(source), '-D', dataFolder(replica.name), '-S', slotOf(replica)],
    ...['--wal-method=stream', '--checkpoint=fast', '--no-sync', '--no-manifest'],
  ]);
  writeWhole(path.join(dataFolder(replica.name), 'standby.signal'), '');
  await startCluster(replica, followSettings(replica, source));
}

/** Gives up the log that the source keeps for a replica; nothing happens when there is none. */
export async function dropSlot(replica: ServerRecord, source: ServerRecord): Promise<void> {
  const names = await ask(replica, source, `READ_REPLICATION_SLOT ${slotOf(replica)}`);
  if (names.startsWith('physical')) await ask(replica, source, `DROP_REPLICATION_SLOT ${slotOf(replica)} WAIT`);
}

const catchUpMs = 30_000;

/**
 * Waits until the replica has replayed all that the source had committed when it was asked.
 * @throws SourceUnreachable; Error when the replica does not catch up within 30 s
 */
async function catchUp(replica: ServerRecord, source: ServerRecord): Promise<void> {
  const position = (await ask(replica, source, 'IDENTIFY_SYSTEM')).split('|')[2];
  if (!position) throw new Error(`the source server ${source.name} did not say how far its log is`);
  const end = Date.now() + catchUpMs;
  for (;;) {
    const [row] = await sql<{ done: boolean; at: string }>(
      replica,
      'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done, pg_last_wal_replay_lsn()::text AS at',
      [position],
    );
    if (row?.done) return;
    if (Date.now() > end) {
      throw new Error(
        `the replica ${replica.name} is at ${row?.at}, its source at ${position}, after ${catchUpMs / 1000} s`,
      );
    }
    await delay(20);
  }
}

/**
 * Makes a replica a primary of its own. `planned` loses nothing of what the source has committed until now; `forced` takes what
 * was received.
 */
export async function promote(
  replica: ServerRecord,
  source: ServerRecord | undefined,
  option: 'planned' | 'forced',
): Promise<void> {
  if (option === 'planned' && source) await catchUp(replica, source);
  const [row] = await sql<{ done: boolean }>(replica, 'SELECT NOT pg_is_in_recovery() OR pg_promote(true, 60) AS done');
  if (!row?.done) throw new Error(`PostgreSQL did not promote ${replica.name} within 60 s; its log says why`);
  writeSettings({ ...replica, role: 'primary' });
}

/** How well a replica follows: the vendor's words. */
export async function replicationState(replica: ServerRecord): Promise<'Active' | 'Catchup' | 'Broken'> {
  const [row] = await sql<{ status: string | null; behind: string | null }>(
    replica,
    `SELECT (SELECT status FROM pg_stat_wal_receiver) AS status,
            pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text AS behind`,
  );
  if (row?.status !== 'streaming') return 'Broken';
  return Number(row.behind ?? 0) > 16 * 1024 * 1024 ? 'Catchup' : 'Active';
}
