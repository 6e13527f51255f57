/** A server from a backup store: the newest fitting base backup, and the log replayed on it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isUp, startCluster, stopCluster } from './cluster';
import { dataFolder, own, writeWhole, type ServerRecord } from './record';
import { writeSettings } from './settings';
import { copyTree, type Store } from './store';

/** Parameters that recovery refuses to run with when they are lower than they were on the source. */
export const recoveryFloor = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

/** Quotes a path for the shell that PostgreSQL runs `restore_command` in; `%` is PostgreSQL's own mark there. */
const quote = (file: string) => `'${file.replaceAll("'", `'\\''`).replaceAll('%', '%%')}'`;

/** The log of the store, with what was received of the segment that is not whole yet. */
const restoreCommand = (store: Store) => {
  const wal = quote(store.walFolder);
  return `cp ${wal}/%f %p 2>/dev/null || cp ${wal}/%f.partial %p 2>/dev/null`;
};

/**
 * Fills the server's (cleared) data directory from the store and starts it as a primary.
 * @param target moment to restore to @default - the newest one in the store
 * @throws Error when the store has no base backup for that moment
 */
export async function restoreCluster(record: ServerRecord, store: Store, target?: Date): Promise<void> {
  const base = store.baseFor(target);
  if (!base)
    throw new Error(
      `the backup store of ${path.basename(store.folder)} has no base backup${target ? ` before ${target.toISOString()}` : ''}`,
    );
  const data = dataFolder(record.name);
  await copyTree(store.baseFolder(base.id), data);
  own(data);
  const signal = path.join(data, 'recovery.signal');
  writeWhole(signal, '');
  const end = target
    ? { recovery_target_time: target.toISOString().replace('Z', '+00'), recovery_target_action: 'promote' }
    : {};
  const recovery = { restore_command: restoreCommand(store), ...end };
  try {
    await startCluster(record, recovery);
  } catch (cause) {
    if (!target || !endedEarly(signal, record)) throw cause;
    // Nothing was committed after the moment: the end of the log is that moment.
    await stopCluster(record);
    await startCluster(record, { restore_command: recovery.restore_command });
  }
  writeSettings(record);
}

/** PostgreSQL ends when the log ends before the moment it was told; the order to recover is still there then. */
const endedEarly = (signal: string, record: ServerRecord) => fs.existsSync(signal) && !isUp(record);
