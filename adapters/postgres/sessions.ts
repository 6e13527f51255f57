/** Who is connected, and an end to it. */
import type { Client } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { StandbyError } from '../../failover/errors';

export interface Cut {
  readonly roles: readonly string[];
  /** Databases that nobody may stay in but the vendor. */
  readonly databases: readonly string[];
}

const limitMs = 5_000;
const pollMs = 10;

/**
 * Our own session goes on; parallel workers end with their leader. In the databases, what a customer may not end stays: a superuser's
 * sessions, which are the vendor's own, and what belongs to no role, as autovacuum. One of them among the others would fail them all.
 */
const cutSessions = `
  SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid <> pg_backend_pid() AND (usename = ANY ($1) OR datname = ANY ($2) AND usesysid IN (
    SELECT oid FROM pg_roles WHERE NOT rolsuper OR current_setting('is_superuser')::bool))`;

/**
 * A session that passed its login before the roles were closed is not in the list of sessions until it has started, but it
 * holds a lock on its database while it starts.
 */
const starting = `
  SELECT FROM pg_locks l WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass
    AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
    AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND a.usename IS NOT NULL)
  LIMIT 1`;

/**
 * Ends sessions until none is left; a superuser's in the databases only where we are one too. What they had begun is rolled back.
 * @returns number of sessions ended.
 * @throws StandbyError SessionsRemain, retryable, when some have not ended within 5 s.
 */
export async function cut(client: Client, { roles, databases }: Cut, signal: AbortSignal): Promise<number> {
  const ended = new Set<number>();
  for (const end = Date.now() + limitMs; ; await delay(pollMs, undefined, { signal })) {
    // Asked first: who has started by then is in the list that is read after it.
    const { rowCount: coming } = await client.query(starting);
    const { rows } = await client.query<{ pid: number }>(cutSessions, [roles, databases]);
    for (const { pid } of rows) ended.add(pid);
    if (rows.length === 0 && coming === 0) return ended.size;
    if (Date.now() > end) {
      throw new StandbyError(
        'SessionsRemain',
        `${rows.length} sessions of ${[...roles, ...databases].join(', ')} did not end within ${limitMs / 1000} s: try again, or restart the server`,
        { retryable: true },
      );
    }
  }
}
