/** How far a primary's archived log is behind, by the server's own word. */
import type { Client } from 'pg';
import type { ArchiveReading } from '../../failover/model';

interface Row {
  readonly behind: number | null;
  readonly failing: boolean;
  readonly pending: string;
}

/**
 * The last file may also be a label of a backup, named after an earlier segment, or a history, which names none: then more is taken to
 * be missing than is.
 */
const question = `
  SELECT extract(epoch FROM clock_timestamp() - a.last_archived_time)::float8 AS behind,
    coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL) AS failing,
    pg_current_wal_lsn() - '0/0'::pg_lsn - coalesce(w.segments, 0) * s.size AS pending
  FROM pg_stat_archiver a
  CROSS JOIN (SELECT setting::numeric AS size FROM pg_settings WHERE name = 'wal_segment_size') s
  CROSS JOIN LATERAL (SELECT CASE WHEN a.last_archived_wal ~ '^[0-9A-F]{24}' THEN
      ('x' || substr(a.last_archived_wal, 9, 8))::bit(32)::bigint::numeric * (4294967296 / s.size)
        + ('x' || substr(a.last_archived_wal, 17, 8))::bit(32)::bigint + 1 END AS segments) w`;

/** Asks a primary. @returns undefined where it never tried: it archives nothing, or something else takes its log. */
export async function readArchive(client: Client): Promise<ArchiveReading | undefined> {
  const { rows } = await client.query<Row>(question);
  const row = rows[0];
  if (!row || (row.behind === null && !row.failing)) return undefined;
  const pendingBytes = Math.max(0, Number(row.pending));
  const lagSeconds = pendingBytes === 0 ? 0 : row.behind;
  return { ...(lagSeconds === null ? {} : { lagSeconds }), failing: row.failing, pendingBytes };
}
