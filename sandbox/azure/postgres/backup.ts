/** Backs a server up all the time: base backups, and its write-ahead log as it is written. */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, start, stop } from '../../process';
import { regionOf } from '../../world';
import { sql } from './cluster';
import { program, run } from './programs';
import type { ServerRecord } from './record';
import { connectionString, localConnection } from './settings';
import { Store, type BaseBackup } from './store';

const slot = 'backup';
const receiverName = (record: ServerRecord) => `postgres-receiver/${record.site}/${record.name}`;

export const localStore = (record: ServerRecord) => Store.of(record, regionOf[record.site]);

/** Makes sure that the log is being received into the store, from the slot's position on. */
export async function ensureReceiver(record: ServerRecord): Promise<void> {
  if (isRunning(receiverName(record))) return;
  const store = localStore(record);
  store.make();
  await sql(
    record,
    `SELECT pg_create_physical_replication_slot($1, true)
     WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`,
    [slot],
  );
  await start({
    name: receiverName(record),
    command: program('pg_receivewal'),
    args: [
      '-d',
      connectionString(localConnection(record)),
      '-D',
      store.walFolder,
      '-S',
      slot,
      '--synchronous',
      '-s',
      '1',
    ],
    env: { LC_ALL: 'C' },
    site: record.site,
    scope: 'data',
    user: 'postgres',
  });
}

export async function stopReceiver(record: ServerRecord): Promise<void> {
  await stop((process) => process.name === receiverName(record));
}

const receiveTimeoutMs = 30_000;

/**
 * Waits until the store has all of the log that the server has written until now.
 * @throws Error after 30 s
 */
async function untilReceived(record: ServerRecord): Promise<void> {
  const [now] = await sql<{ position: string; segment: string }>(
    record,
    'SELECT lsn::text AS position, pg_walfile_name(lsn) AS segment FROM pg_current_wal_flush_lsn() AS lsn',
  );
  const { position = '0/0', segment = '' } = now ?? {};
  const end = Date.now() + receiveTimeoutMs;
  for (;;) {
    const [row] = await sql<{ done: boolean }>(
      record,
      `SELECT coalesce(bool_or(s.flush_lsn >= $1::pg_lsn), false) AS done FROM pg_stat_replication s
       JOIN pg_replication_slots r ON r.active_pid = s.pid WHERE r.slot_name = $2`,
      [position, slot],
    );
    // At the end of a segment the receiver reports late, but by then the segment is there.
    if (row?.done || localStore(record).hasSegment(segment)) return;
    if (Date.now() > end) {
      throw new Error(
        `the backup store of ${record.name} did not receive the log up to ${position} within ${receiveTimeoutMs / 1000} s`,
      );
    }
    await delay(20);
  }
}

/** Makes sure that everything committed until now is in the store. */
export async function flushToStore(record: ServerRecord): Promise<void> {
  // A commit of our own: a restore to a moment is complete once the log has a commit after that moment.
  await sql(record, `SELECT pg_logical_emit_message(true, 'backup', '')`);
  await untilReceived(record);
}

/**
 * Takes a base backup into the store.
 * @param id name that the backup gets @default - one of the vendor's form for automatic ones
 */
export async function takeBase(
  record: ServerRecord,
  type: BaseBackup['type'],
  id = automaticId(),
): Promise<BaseBackup> {
  const store = localStore(record);
  await ensureReceiver(record);
  const folder = store.baseFolder(id);
  const part = `${folder}.incoming`;
  await fs.promises.rm(part, { recursive: true, force: true });
  await run(record.site, program('pg_basebackup'), [
    ...['-d', connectionString(localConnection(record)), '-D', part],
    ...['--wal-method=none', '--checkpoint=fast', '--no-sync'],
  ]);
  const label = fs.readFileSync(path.join(part, 'backup_label'), 'utf8');
  const startSegment = /START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)/.exec(label)?.[1];
  if (!startSegment) throw new Error(`pg_basebackup of ${record.name} did not say what log it needs: ${label}`);
  const completedAt = new Date().toISOString();
  await untilReceived(record);
  await fs.promises.rm(folder, { recursive: true, force: true });
  await fs.promises.rename(part, folder);
  const base = { id, type, completedAt, startSegment };
  store.publish(base);
  return base;
}

const automaticId = () =>
  `backup_${BigInt(Date.now()) * 10_000n + 621_355_968_000_000_000n}_${randomUUID().slice(0, 8)}`;

/** Removes what a killed base backup left. */
export async function removeRemains(store: Store): Promise<void> {
  const folder = path.join(store.folder, 'base');
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  const whole = new Set(store.bases().map((base) => base.id));
  for (const name of names) {
    if (!name.endsWith('.json') && !whole.has(name))
      await fs.promises.rm(path.join(folder, name), { recursive: true, force: true });
  }
}
