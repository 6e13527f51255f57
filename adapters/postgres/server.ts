/** What a server says of itself. */
import type { Client } from 'pg';
import { epochRole } from '../../config/credentials';
import type { ServerReading } from '../../failover/model';
import type { AdmissionTarget } from './admission';
import { readArchive } from './archive';
import { connected, type Patience } from './connection';

interface Row {
  readonly replica: boolean;
  readonly closed: boolean;
  readonly position: string | null;
  readonly streaming: boolean;
  /** It has replayed all that it received and all that its source said it had. */
  readonly level: boolean;
  /** Seconds since the last transaction that it replayed was committed. */
  readonly age: number | null;
  /** Seconds since its source said anything. */
  readonly unheard: number | null;
  readonly sessions: number;
  readonly token: boolean;
}

/** Works on primaries and replicas; the server's own default is read before a session could change it. */
const question = `
  SELECT r.replica,
    current_setting('default_transaction_read_only')::bool AS closed,
    CASE WHEN r.replica THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS position,
    coalesce(w.status = 'streaming', false) AS streaming,
    coalesce(greatest(pg_last_wal_receive_lsn(), w.latest_end_lsn) <= pg_last_wal_replay_lsn(), false) AS level,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS age,
    extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 AS unheard,
    (SELECT count(*)::int FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND (starts_with(usename, $1) OR datname = $2)) AS sessions,
    to_regclass('standby_plan.token') IS NOT NULL AS token
  FROM (SELECT pg_is_in_recovery() AS replica) r LEFT JOIN pg_stat_wal_receiver w ON true`;

/** Reads a server's role, position, token and sessions over one connection. */
export async function readServer(
  target: AdmissionTarget,
  signal: AbortSignal,
  patience: Patience = {},
): Promise<ServerReading> {
  return connected({ ...target, database: 'postgres' }, signal, (client) => read(client, target), patience);
}

async function read(client: Client, { company, identityDatabase }: AdmissionTarget): Promise<ServerReading> {
  const prefix = epochRole(company, 0).slice(0, -1);
  const { rows } = await client.query<Row>(question, [prefix, identityDatabase]);
  const row = rows[0] as Row;
  const token = row.token ? await readToken(client) : undefined;
  const archive = row.replica ? undefined : await readArchive(client);
  return {
    role: row.replica ? 'replica' : 'primary',
    writable: !row.replica && !row.closed,
    ...(token ? { token } : {}),
    position: row.position ?? '0/0',
    ...(row.replica ? following(row) : {}),
    ...(archive ? { archive } : {}),
    sessions: row.sessions,
  };
}

async function readToken(client: Client): Promise<{ epoch: number; open: boolean } | undefined> {
  return (await client.query<{ epoch: number; open: boolean }>('SELECT epoch, open FROM standby_plan.token')).rows[0];
}

/** A replica that is level with what it received is up to date only while it receives; of a source that is silent it can't know. */
function following({
  streaming,
  level,
  age,
  unheard,
}: Row): Pick<ServerReading, 'streaming' | 'lagSeconds' | 'mayLackSeconds'> {
  const current = level && streaming;
  const lag = current ? 0 : age;
  const lack = current ? (unheard ?? age) : age;
  return {
    streaming,
    ...(lag === null ? {} : { lagSeconds: lag }),
    ...(lack === null ? {} : { mayLackSeconds: lack }),
  };
}
