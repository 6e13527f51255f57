/** A connection to a server that may be silent: opened, used and given up within stated times. */
import { Client, DatabaseError } from 'pg';
import { StandbyError } from '../../failover/errors';
import { until } from '../patience';

export interface ServerTarget {
  readonly host: string;
  /** Where the host was when its name could be looked up; whose certificate it is stays the host's. @default - it is looked up */
  readonly address?: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Database of the applications. */
  readonly database: string;
  /** Certificate authority, PEM. @default - those that the process trusts (`NODE_EXTRA_CA_CERTS`) */
  readonly ca?: string;
  /** Not encrypted: a server of this process's own, on this machine's loopback and nowhere else. @default - false */
  readonly plain?: boolean;
  /** Writes although the server is read-only by default: whoever fills it before it is opened. @default - false */
  readonly filling?: boolean;
}

/** What a session says that writes to a closed server. */
export const fillingOptions = '-c default_transaction_read_only=off';

const loopback = /^(127\.(\d+\.){2}\d+|::1|\/.*)$/;

/** Seconds in which somebody at three in the morning gives up: nothing here waits longer for one answer. */
const connectMs = 2_000;
const statementMs = 2_000;

export interface Patience {
  /** Longest time of one statement; 0 is no limit, for what streams rows while it goes on. @default - 2 s */
  readonly statementMs?: number;
  /** Longest time of connecting. @default - 2 s */
  readonly connectMs?: number;
}

/**
 * Runs `act` on a new connection: encrypted, the certificate and its name verified. The connection is gone when this returns.
 * @throws StandbyError DatabaseUnreachable, retryable, when there is no answer; DatabaseRefused with what the server said, the
 * server's own error as its cause.
 */
export async function connected<T>(
  target: ServerTarget,
  signal: AbortSignal,
  act: (client: Client) => Promise<T>,
  patience: Patience = {},
): Promise<T> {
  signal.throwIfAborted();
  const client = makeClient(target, patience);
  const cut = () => client.connection.stream.destroy();
  signal.addEventListener('abort', cut, { once: true });
  try {
    await client.connect();
    return await act(client);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof StandbyError) throw cause;
    throw sqlState(cause) === undefined ? unreachable(target, cause) : refused(target, cause as Error);
  } finally {
    signal.removeEventListener('abort', cut);
    void client.end().catch(() => undefined);
    // A server that went silent never says goodbye.
    setTimeout(cut, 200).unref();
  }
}

function makeClient(target: ServerTarget, patience: Patience): Client {
  const { host, address, port, user, password, database, ca, plain, filling } = target;
  const named = { ...(ca ? { ca } : {}), ...(address === undefined ? {} : { servername: host }) };
  const statement = patience.statementMs ?? statementMs;
  const client = new Client({
    ...{ host: address ?? host, port, user, password, database, ...(filling ? { options: fillingOptions } : {}) },
    ssl: plain && loopback.test(host) ? false : Object.keys(named).length > 0 ? named : true,
    connectionTimeoutMillis: patience.connectMs ?? connectMs,
    statement_timeout: statement,
    // The server says it first, as long as it says anything.
    ...(statement > 0 ? { query_timeout: statement + 1_000 } : {}),
    lock_timeout: statement > 0 ? Math.min(1_000, statement) : 1_000,
    idle_in_transaction_session_timeout: statement,
    application_name: applicationName,
  });
  client.on('error', () => undefined); // The query that it fails tells it.
  return client;
}

/** By this name the sessions of operators and agents are known. */
export const applicationName = 'standby';

/** Runs statements as one transaction. */
export async function transaction<T>(client: Client, act: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await act();
    await client.query('COMMIT');
    return result;
  } catch (cause) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw cause;
  }
}

/** @returns the SQLSTATE of what a server said; undefined for a fault that no server told. */
export function sqlState(cause: unknown): string | undefined {
  const said = cause instanceof StandbyError ? cause.cause : cause;
  return said instanceof DatabaseError ? said.code : undefined;
}

/** A firewall takes its time: Azure says up to five minutes. */
const firewallMs = 300_000;
const notLetIn = '28000';

/**
 * Waits until a server that was just made, or just told to, lets this machine in.
 * @throws StandbyError what it says, when it refuses for another reason; DatabaseClosed when the time is over.
 */
export const untilAdmitted = (target: ServerTarget, signal: AbortSignal, limitMs = firewallMs): Promise<true> =>
  until(
    { signal, everyMs: 250, limitMs },
    () =>
      connected(target, signal, (client) => client.query('SELECT 1')).then(
        () => true as const,
        (cause: unknown) => {
          if (sqlState(cause) === notLetIn) return undefined;
          throw cause;
        },
      ),
    () =>
      new StandbyError(
        'DatabaseClosed',
        `server ${target.host}:${target.port} has not let this machine in for ${limitMs / 60_000} min: check the addresses in its firewall rules`,
        { retryable: true },
      ),
  );

/** Connection, resources, locks, conflicts, shutting down: what passes. */
const passing = /^(08|40|53|55P03|57P0|XX000)/;

const refused = ({ host, port }: ServerTarget, cause: Error) =>
  new StandbyError('DatabaseRefused', `server ${host}:${port} refuses (${sqlState(cause)}): ${cause.message}`, {
    retryable: passing.test(sqlState(cause) ?? ''),
    cause,
  });

const unreachable = ({ host, port }: ServerTarget, cause: unknown) => {
  const { code, message } = cause as { code?: string; message?: string };
  return new StandbyError(
    'DatabaseUnreachable',
    `server ${host}:${port} gives no answer (${code ?? message ?? 'connection lost'}): check that it runs and admits this machine's address`,
    { retryable: true, cause },
  );
};
