/** What both ways of recovery have in common: what they leave behind can be found and removed, also by another process. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Instant } from '../../../backup/model';
import type { Call, RecoverySource, ThrowAwayServer } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import type { ServerTarget } from '../../postgres/connection';

/** A server that a restore made and that is still there. */
export interface Remains {
  readonly name: string;
  readonly who: string;
  readonly source: string;
  /** 0 when it can't be read. */
  readonly expiresAt: Instant;
  /** A person asked for it to stay. */
  readonly stays: boolean;
}

export interface Recovery extends RecoverySource {
  remains(call: Call): Promise<readonly Remains[]>;
  /** Removes one of them with all that belongs to it. Idempotent. */
  remove(name: string, call: Call): Promise<void>;
}

/** What nobody asked to stay is gone after this, if not before. A restore of terabytes, and what is asked of it, takes hours. */
export const throwAwayMs = 24 * 3_600_000;

/** Also where somebody was killed in the middle: nobody's restore takes longer, nobody looks at one for longer. */
export const isOver = ({ expiresAt, stays }: Remains, now: Instant): boolean => !stays || expiresAt <= now;

/**
 * Removes what nobody asked to stay and is past its end, beside whoever still restores. On a server that was to stay somebody may work,
 * so one that is past its end is told, and left to a person; so is one whose end can't be read.
 */
export async function removeExpired(
  recovery: Pick<Recovery, 'remains' | 'remove'>,
  now: Instant,
  call: Call,
): Promise<void> {
  for (const { name, who, expiresAt, stays } of await recovery.remains(call)) {
    if (expiresAt === 0 || expiresAt > now) continue;
    const what = `the time of ${name}, restored by ${who}, is over`;
    call.progress(stays ? `${what}: standby restore --cleanup removes it` : `${what}: it is removed`);
    if (!stays) await recovery.remove(name, call);
  }
}

export const throwAwayName = (company: string): string => `psql-${company}-restore-${randomBytes(4).toString('hex')}`;

export const serverExists = (name: string): StandbyError =>
  new StandbyError('ServerExists', `server ${name} exists: a restore makes a new server, never over one that is there`);

/** @returns how to reach one of its databases. */
export const targetOf = (server: ThrowAwayServer, database: string): ServerTarget => ({
  ...{ host: server.host, port: server.port, user: server.user, password: server.password, database },
  ...(server.plain ? { plain: true } : {}),
});

/** @returns the server; its password is read from it, and seen in no text that is made of it. */
export function hiding(
  server: Omit<ThrowAwayServer, 'password' | 'remove'>,
  password: string,
  remove: () => Promise<void>,
): ThrowAwayServer {
  return Object.defineProperties({ ...server, remove } as ThrowAwayServer, {
    password: { value: password, enumerable: false },
  });
}

/** @throws the signal's reason. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => {
    throw signal.reason;
  });
