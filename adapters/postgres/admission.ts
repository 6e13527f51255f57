/**
 * The right to write to a server, epoch by epoch. It is kept in the server itself, in what every replica and backup carries
 * along: which role owns the tables, which one may act as it, which may log in at all. A promoted or restored server so comes up
 * as closed as its source was.
 */
import { escapeIdentifier, type Client } from 'pg';
import { StandbyError } from '../../failover/errors';
import { connected, sqlState, transaction, type ServerTarget } from './connection';
import { schema, takeOver } from './ownership';
import { closeRoles, epochRoles, makeOwner, makeReader, openRole } from './roles';
import { cut } from './sessions';

export { readServer } from './server';
export { tryWrite } from './write';

/**
 * Who acts. A `person` (or the engine, on a person's word) closes for good: what is closed so, an `agent` can't open again. What an
 * agent closed for want of its lease, it may open when it has the lease again.
 */
export interface Hand {
  readonly hand: 'person' | 'agent';
  /** Agent: by the server's clock (milliseconds), when what it knows is too old to open anything. */
  readonly before?: number;
  /** Agent: opens only what was open in this epoch before. */
  readonly again?: boolean;
}
const person: Hand = { hand: 'person' };

/** @returns the server's clock, milliseconds since the epoch. */
export const serverTime = (target: ServerTarget, signal: AbortSignal): Promise<number> =>
  connected({ ...target, database: 'postgres' }, signal, async (client) => {
    const { rows } = await client.query<{ ms: number }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
    );
    return rows[0]?.ms ?? 0;
  });

export interface AdmissionTarget extends ServerTarget {
  readonly company: string;
  /** Database of the identity provider on the same server. */
  readonly identityDatabase: string;
}

/** The administrator's way in; also where the token is kept. */
const home = (target: AdmissionTarget): ServerTarget => ({ ...target, database: 'postgres' });

/**
 * Gives the right to write to an epoch and to no other, and opens the identity provider's database. Idempotent, also after it was
 * cut off at any point; side by side with others the newest epoch wins.
 * @throws StandbyError StaleEpoch when the server has admitted a later one; ServerIsReplica; ImportUnfinished; to an agent also EpochClosed, when a
 * person closed it, and AdmissionLate.
 */
export async function admit(
  target: AdmissionTarget,
  epoch: number,
  signal: AbortSignal,
  by: Hand = person,
): Promise<void> {
  const { company } = target;
  await connected(home(target), signal, async (client) => {
    await begin(client, target);
    // The older ones end before the new one begins: at no moment may both write.
    const older = await exclusively(client, 'wait', async () => {
      await prepare(client, target, epoch, by);
      const roles = (await epochRoles(client, company)).filter((role) => role.epoch < epoch);
      await closeRoles(client, company, roles);
      await client.query(`UPDATE ${schema}.token SET open = false, at = now() WHERE open AND epoch < $1`, [epoch]);
      return roles.map((role) => role.name);
    });
    if (older.length > 0) await cut(client, { roles: older, databases: [] }, signal);
    await connected(target, signal, async (inside) => {
      await begin(inside, target);
      await transaction(inside, () => takeOver(inside, company, [epoch, epoch + 1]));
    });
    await exclusively(client, 'wait', () => open(client, target, epoch, by));
  });
}

/**
 * Takes the right to write from an epoch and from those before it, and ends their sessions. With `whole` the identity provider's
 * database takes no connection either but the vendor's own, unless a later epoch was admitted on this very server. Idempotent.
 * @returns number of sessions ended; to an agent also whether the epoch had never been admitted here, and nothing was done.
 */
export async function fence(
  target: AdmissionTarget,
  epoch: number,
  whole: boolean,
  signal: AbortSignal,
  { hand }: Hand = person,
): Promise<{ readonly cut: number; readonly unknown?: true }> {
  const { company, identityDatabase } = target;
  return connected(home(target), signal, async (client) => {
    await begin(client, target);
    const left = await exclusively(client, 'push', async () => {
      const token = await readToken(client, epoch);
      // What was never admitted here can't write; those before it may be another site's.
      if (hand === 'agent' && token < epoch) return undefined;
      const roles = (await epochRoles(client, company)).filter((role) => role.epoch <= epoch);
      await closeRoles(client, company, roles);
      await client.query(`UPDATE ${schema}.token SET open = false, at = now() WHERE open AND epoch <= $1`, [epoch]);
      if (hand === 'person') await client.query(`UPDATE ${schema}.token SET closed = greatest(closed, $1)`, [epoch]);
      const closes = whole && token <= epoch && (await limitIdentity(client, identityDatabase, 0));
      return { roles: roles.map((role) => role.name), databases: closes ? [identityDatabase] : [] };
    });
    return left ? { cut: await cut(client, left, signal) } : { cut: 0, unknown: true };
  });
}

/** @throws StandbyError ServerIsReplica */
async function begin(client: Client, { host }: AdmissionTarget): Promise<void> {
  const { rows } = await client.query<{ replica: boolean }>('SELECT pg_is_in_recovery() AS replica');
  if (rows[0]?.replica) {
    throw new StandbyError(
      'ServerIsReplica',
      `server ${host} is a replica: epochs are admitted and fenced on its source, or here after its promotion`,
    );
  }
  // A server that the other wall has closed is under the administrator's control all the same.
  await client.query('SET default_transaction_read_only = off');
}

/** Any number, the same for everybody who admits and fences. */
const admissionLock = 7_204_622;

/**
 * One transaction, alone on this server. Who closes does not queue behind who hangs: with `push` a holder that keeps the lock for
 * longer than the lock timeout is ended, and with it what it had not committed.
 */
async function exclusively<T>(client: Client, manner: 'wait' | 'push', act: () => Promise<T>): Promise<T> {
  const attempt = () =>
    transaction(client, async () => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [admissionLock]);
      return act();
    });
  try {
    return await attempt();
  } catch (cause) {
    if (manner === 'wait' || sqlState(cause) !== lockTimeout) throw cause;
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = $1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted`,
      [admissionLock],
    );
    return attempt();
  }
}

const lockTimeout = '55P03';

/** Makes the token where there is none. @returns the epoch in it, locked until the transaction ends. */
async function readToken(client: Client, epoch: number): Promise<number> {
  const { rowCount } = await client.query("SELECT WHERE to_regclass('standby_plan.token') IS NOT NULL");
  if (rowCount === 0) {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE ${schema}.token (epoch int NOT NULL, open boolean NOT NULL, at timestamptz NOT NULL,
       closed int NOT NULL DEFAULT 0)`, // epochs up to this one were closed by a person
    );
    await client.query(`CREATE UNIQUE INDEX ON ${schema}.token ((true))`); // one row
  }
  await client.query(`INSERT INTO ${schema}.token VALUES ($1, false, now()) ON CONFLICT DO NOTHING`, [epoch]);
  const { rows } = await client.query<{ epoch: number }>(`SELECT epoch FROM ${schema}.token FOR UPDATE`);
  return rows[0]?.epoch ?? epoch;
}

/** @throws StandbyError StaleEpoch, EpochClosed, EpochUnknown */
async function refuseStale(client: Client, { host }: AdmissionTarget, epoch: number, by: Hand): Promise<void> {
  const admitted = await readToken(client, epoch);
  if (admitted > epoch) {
    throw new StandbyError(
      'StaleEpoch',
      `server ${host} has admitted epoch ${admitted}; epoch ${epoch} is over: look at \`standby status\` for who is active`,
    );
  }
  if (by.again && admitted < epoch) {
    throw new StandbyError('EpochUnknown', `epoch ${epoch} was never admitted to server ${host}: it stays closed`);
  }
  if (by.hand === 'person') return;
  const { rows } = await client.query<{ closed: number }>(`SELECT closed FROM ${schema}.token`);
  if ((rows[0]?.closed ?? 0) >= epoch) {
    throw new StandbyError(
      'EpochClosed',
      `epoch ${epoch} was closed on server ${host} for a change of role: only \`standby resume\` or \`standby abort\` opens it`,
    );
  }
}

/** @throws StandbyError ImportUnfinished while an import has not put in all that it was begun for. */
async function refuseUnfilled(client: Client, { host }: AdmissionTarget): Promise<void> {
  const { rowCount } = await client.query(`SELECT WHERE to_regclass('${schema}.imported') IS NOT NULL`);
  if (rowCount === 0) return;
  const { rows } = await client.query<{ name: string }>(
    `SELECT data_set AS name FROM ${schema}.imported WHERE ended IS NULL ORDER BY 1`,
  );
  if (rows.length === 0) return;
  const missing = rows.map(({ name }) => name).join(', ');
  throw new StandbyError(
    'ImportUnfinished',
    `server ${host} does not have all of ${missing} yet: nobody is let in before \`standby resume\` has imported it`,
    { exit: 'resumable' },
  );
}

async function prepare(client: Client, target: AdmissionTarget, epoch: number, by: Hand): Promise<void> {
  await refuseUnfilled(client, target);
  await refuseStale(client, target, epoch, by);
  await makeOwner(client, target.company);
  // The next epoch's reader is made now, so that it is on every replica and backup before it is needed.
  for (const one of [epoch, epoch + 1]) await makeReader(client, target.company, one, target.password);
}

async function open(client: Client, target: AdmissionTarget, epoch: number, by: Hand): Promise<void> {
  const { company, host, identityDatabase } = target;
  await refuseStale(client, target, epoch, by);
  const older = (await epochRoles(client, company)).filter((role) => role.epoch < epoch && (role.login || role.member));
  if (older.length > 0) {
    throw new StandbyError(
      'AdmissionContended',
      `somebody opened ${older.map((role) => role.name).join(', ')} on server ${host} while epoch ${epoch} was admitted: try again`,
      { retryable: true },
    );
  }
  await openRole(client, company, epoch);
  await limitIdentity(client, identityDatabase, -1);
  await client.query(`UPDATE ${schema}.token SET epoch = $1, open = true, at = now(), closed = least(closed, $1 - 1)`, [
    epoch,
  ]);
  if (by.before !== undefined) await refuseLate(client, host, by.before);
}

/** Whoever asked may have slept since; if it sleeps on before the commit, the server ends its transaction. */
async function refuseLate(client: Client, host: string, before: number): Promise<void> {
  const { rows } = await client.query<{ late: boolean }>(
    'SELECT extract(epoch FROM clock_timestamp()) * 1000 > $1::float8 AS late',
    [before],
  );
  if (rows[0]?.late) {
    throw new StandbyError('AdmissionLate', `server ${host} was asked to open on old knowledge: nothing was opened`, {
      retryable: true,
    });
  }
}

/** @param limit - connections that the identity provider's database takes: 0 none, -1 as many as come. @returns whether there is one. */
async function limitIdentity(client: Client, database: string, limit: 0 | -1): Promise<boolean> {
  const { rows } = await client.query<{ connections: number; settings: string[] | null }>(
    `SELECT d.datconnlimit AS connections, s.setconfig AS settings FROM pg_database d
     LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0 WHERE d.datname = $1`,
    [database],
  );
  const [found] = rows;
  if (!found) return false;
  const name = escapeIdentifier(database);
  if (found.connections !== limit) await client.query(`ALTER DATABASE ${name} CONNECTION LIMIT ${limit}`);
  if (limit === -1 && found.settings?.some((setting) => setting.startsWith('default_transaction_read_only='))) {
    await client.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
  }
  return true;
}
