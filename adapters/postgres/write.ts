/** A write as the applications do it: the only proof that a server takes one, or doesn't. */
import { randomUUID } from 'node:crypto';
import { epochPassword, epochRole } from '../../config/credentials';
import { StandbyError } from '../../failover/errors';
import type { AdmissionTarget } from './admission';
import { connected, sqlState, transaction } from './connection';
import { schema } from './ownership';
import { epochRoles } from './roles';

export interface WriteAnswer {
  readonly accepted: boolean;
  /** What the server said. */
  readonly answer: string;
}

/** Not there: the probe's table on a server that has admitted nobody yet. */
const missing = new Set(['42P01', '3F000']);
/** Login refused. */
const refusedLogin = /^28/;
/** Written so by a server that starts, stops or is full: no statement about anybody's rights. */
const noStatement = /^(53|57P0|08)/;

/**
 * Tries to write as the applications of an epoch do: logs in, writes a row, commits, reads it back.
 * @returns what the server said, when it is an answer to the question.
 * @throws StandbyError DatabaseUnreachable or NoProof, when it is none.
 */
export async function tryWrite(target: AdmissionTarget, epoch: number, signal: AbortSignal): Promise<WriteAnswer> {
  const user = epochRole(target.company, epoch);
  try {
    return await connected({ ...target, user, password: epochPassword(target.password, epoch) }, signal, (client) =>
      write(client, epoch),
    );
  } catch (cause) {
    const state = sqlState(cause);
    if (state === undefined || noStatement.test(state)) throw cause;
    // A wrong password or address would look like a fence: the server itself must say that the role is closed.
    if (refusedLogin.test(state)) await closedFor(target, epoch, signal);
    return { accepted: false, answer: ((cause as Error).cause as Error).message };
  }
}

type Inside = Parameters<Parameters<typeof connected>[2]>[0];

async function write(client: Inside, epoch: number): Promise<WriteAnswer> {
  const word = randomUUID();
  try {
    await client.query(
      `INSERT INTO ${schema}.probe (epoch, word, at) VALUES ($1, $2, now())
       ON CONFLICT (epoch) DO UPDATE SET word = excluded.word, at = excluded.at`,
      [epoch, word],
    );
  } catch (cause) {
    if (!missing.has(sqlState(cause) ?? '')) throw cause;
    await makeTable(client);
    return { accepted: true, answer: 'made a table' };
  }
  const { rows } = await client.query<{ word: string }>(`SELECT word FROM ${schema}.probe WHERE epoch = $1`, [epoch]);
  if (rows[0]?.word !== word)
    return { accepted: false, answer: 'the row that was written is not the row that is read' };
  return { accepted: true, answer: 'wrote a row and read it back' };
}

/** Makes a table and takes it back. */
async function makeTable(client: Inside): Promise<void> {
  const takenBack = new Error('taken back');
  await transaction(client, async () => {
    await client.query('CREATE TABLE standby_probe (n int)');
    await client.query('INSERT INTO standby_probe VALUES (1)');
    throw takenBack;
  }).catch((cause: unknown) => {
    if (cause !== takenBack) throw cause;
  });
}

/** @throws StandbyError NoProof when the server's catalogue says that the epoch could log in and write. */
async function closedFor(target: AdmissionTarget, epoch: number, signal: AbortSignal): Promise<void> {
  const { company, host } = target;
  const roles = await connected({ ...target, database: 'postgres' }, signal, (client) => epochRoles(client, company));
  const role = roles.find((one) => one.epoch === epoch);
  if (!role?.login) return;
  throw new StandbyError(
    'NoProof',
    `server ${host} refuses the login of ${role.name} though the role may log in: its password or the firewall is not as expected`,
    { exit: 'person' },
  );
}
