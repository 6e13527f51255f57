/** A replica on its way to be a primary. Azure is told; the server itself says when it is done. */
import type { Client } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { StandbyError } from '../../failover/errors';
import type { Call } from '../../failover/ports';
import { apiVersions, cloudOf } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { serverPlace, serverTarget } from '../places';
import type { AdmissionTarget } from './admission';
import { connected } from './connection';
import { schema } from './ownership';

const pollMs = 15;
const promoteMs = 120_000;
const catchUpMs = 60_000;
/** Azure's own word of how it goes matters only when it is a bad one. */
const followMs = 1_000;

const home = (target: AdmissionTarget) => ({ ...target, database: 'postgres' });

/** Where a replica stood before it left its source: all transactions before `xmin` had ended, and are in it. */
interface Fork {
  readonly xmin: string;
  readonly position: string;
}

/** Leaves its source and takes writes. Returns when the server says that it is a primary. Idempotent. */
export function promote(context: AdapterContext, server: string, how: 'planned' | 'forced', call: Call): Promise<void> {
  return promoteBy(serverTarget(context, server), server, (signal) => order(context, server, how, signal), call);
}

/** @param ordered - gives the order, and throws when it is known to have failed. */
export async function promoteBy(
  target: AdmissionTarget,
  server: string,
  ordered: (signal: AbortSignal) => Promise<void>,
  call: Call,
): Promise<void> {
  const fork = await connected(home(target), call.signal, standing);
  if (!fork) return;
  const failed = new AbortController();
  const signal = AbortSignal.any([call.signal, failed.signal]);
  const watching = ordered(signal).catch((cause: unknown) => failed.abort(cause));
  try {
    await untilPrimary(target, server, signal);
  } finally {
    failed.abort(); // Nobody needs the vendor's word any more.
    await watching;
  }
  await connected(home(target), call.signal, (client) => remember(client, server, fork));
}

/** @returns nothing for a server that is a primary already. */
async function standing(client: Client): Promise<Fork | undefined> {
  const { rows } = await client.query<Fork & { readonly replica: boolean }>(
    `SELECT pg_is_in_recovery() AS replica, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
            pg_last_wal_replay_lsn()::text AS position`,
  );
  const [row] = rows;
  return row?.replica ? { xmin: row.xmin, position: row.position } : undefined;
}

/** Writes down where the server left its source: what its source wrote later can then be told apart. */
async function remember(client: Client, server: string, { xmin, position }: Fork): Promise<void> {
  await client.query('SET default_transaction_read_only = off');
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${schema}.fork
       (server text PRIMARY KEY, first xid8 NOT NULL, position pg_lsn NOT NULL, at timestamptz NOT NULL)`,
  );
  await client.query(
    `INSERT INTO ${schema}.fork VALUES ($1, $2::xid8, $3::pg_lsn, now()) ON CONFLICT (server) DO NOTHING`,
    [server, xmin, position],
  );
}

/** Orders the promotion and follows it until it is over. @throws StandbyError when Azure says that it failed. */
async function order(
  context: AdapterContext,
  server: string,
  how: 'planned' | 'forced',
  signal: AbortSignal,
): Promise<void> {
  const cloud = cloudOf(context);
  const promoteOption = how === 'planned' ? 'Planned' : 'Forced';
  const { answer } = await cloud.ask({
    method: 'PATCH',
    path: serverPlace(context, server).id,
    apiVersion: apiVersions.postgresql,
    body: { properties: { replica: { role: 'None', promoteMode: 'Standalone', promoteOption } } },
    signal,
    withinMs: 15_000,
  });
  const address = answer.headers['azure-asyncoperation'] ?? answer.headers['operation-location'];
  if (typeof address !== 'string') return;
  for (;;) {
    await delay(followMs, undefined, { signal });
    const state = await cloud.follow(address, signal).catch(() => undefined);
    if (state?.['status'] === 'Succeeded') return;
    if (state?.['status'] === 'Failed' || state?.['status'] === 'Canceled') {
      const { code, message } = (state['error'] ?? {}) as { code?: string; message?: string };
      throw new StandbyError('PromotionFailed', `Azure did not promote ${server}: ${code} ${message}`, {
        retryable: true,
      });
    }
  }
}

/** Asks over one connection for as long as it lasts; a server that is promoted may cut it. */
async function untilPrimary(target: AdmissionTarget, server: string, signal: AbortSignal): Promise<void> {
  const end = performance.now() + promoteMs;
  for (;;) {
    try {
      await connected(home(target), signal, async (client) => {
        while (await inRecovery(client)) {
          if (performance.now() > end) throw notPromoted(server);
          await delay(pollMs, undefined, { signal });
        }
      });
      return;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      const passes = cause instanceof StandbyError && cause.retryable && cause.code !== 'PromotionFailed';
      if (!passes || performance.now() > end) throw cause;
      await delay(pollMs, undefined, { signal });
    }
  }
}

const notPromoted = (server: string) =>
  new StandbyError(
    'PromotionFailed',
    `${server} has not become a primary within ${promoteMs / 1000} s: look at its state on Azure`,
    { retryable: true },
  );

async function inRecovery(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ replica: boolean }>('SELECT pg_is_in_recovery() AS replica');
  return rows[0]?.replica ?? true;
}

/**
 * Waits until a replica has replayed up to a position. A primary has what it has.
 * @throws StandbyError NotCaughtUp, retryable, after a minute.
 */
export async function caughtUp(
  target: AdmissionTarget,
  position: string,
  signal: AbortSignal,
): Promise<{ readonly seconds: number }> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  return connected(home(target), signal, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ done: boolean; at: string }>(
        `SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn AS done,
                pg_last_wal_replay_lsn()::text AS at`,
        [position],
      );
      if (rows[0]?.done) return { seconds: seconds() };
      if (seconds() * 1000 > catchUpMs) {
        throw new StandbyError(
          'NotCaughtUp',
          `${target.host} is at ${rows[0]?.at}, and has not replayed ${position} within ${catchUpMs / 1000} s: check that it streams`,
          { retryable: true },
        );
      }
      await delay(pollMs, undefined, { signal });
    }
  });
}
