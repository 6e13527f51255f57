/**
 * A PostgreSQL server for one restore check: no port, no durability, nobody but us gets to it. It ends with this process however that
 * ends.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Call, ThrowAwayServer } from '../../backup/ports';
import { StandbyError } from '../../failover/errors';
import { connected, type ServerTarget } from '../postgres/connection';
import { isRoot, lastWords, program, runProgram, startProgram } from './program';
import { makeScratch } from './scratch';

type Environment = Readonly<Record<string, string | undefined>>;

const systemUser = 'postgres';
const administrator = 'standby';
const startMs = 60_000;

/** Nothing on it is worth a sync: it is made again from the backup. */
const settings = {
  listen_addresses: '',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  shared_buffers: '256MB',
  maintenance_work_mem: '256MB',
  max_connections: '100',
};

/** @returns a server that runs and is empty. @throws StandbyError ProgramMissing, ThrowAwayFailed */
export async function createThrowAway(environment: Environment, call: Call): Promise<ThrowAwayServer> {
  const folder = await makeScratch('throwaway', environment);
  try {
    return await startIn(folder, environment, call);
  } catch (cause) {
    fs.rmSync(folder, { recursive: true, force: true });
    throw cause;
  }
}

async function startIn(folder: string, environment: Environment, { signal }: Call): Promise<ThrowAwayServer> {
  const password = randomBytes(24).toString('base64url');
  const passwordFile = path.join(folder, 'password');
  const data = path.join(folder, 'data');
  fs.writeFileSync(passwordFile, password, { mode: 0o600 });
  own(folder, passwordFile);
  const options = ['-U', administrator, '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync'];
  await runProgram(
    program('initdb', environment),
    ['-D', data, ...options, '--encoding=UTF8', '--locale=C.UTF-8', '--no-instructions'],
    { signal, user: systemUser, cwd: folder, code: 'ThrowAwayFailed' },
  );
  fs.rmSync(passwordFile);
  const child = startProgram(
    program('postgres', environment),
    [...['-D', data, '-k', folder], ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { user: systemUser, cwd: data },
  );
  let said = '';
  const hear = (text: Buffer) => (said = `${said}${text.toString()}`.slice(-4_000));
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()));
  let removed = false;
  const server: ThrowAwayServer = {
    ...{ host: folder, port: 5432, user: administrator, plain: true },
    // What is printed of a server is not its password.
    get password() {
      return password;
    },
    remove: async () => {
      if (removed) return;
      removed = true;
      child.kill('SIGQUIT');
      await ended;
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  Object.defineProperty(server, 'password', { enumerable: false });
  const end = Date.now() + startMs;
  while (!(await answers(server, signal))) {
    const why =
      child.exitCode !== null || child.signalCode !== null ? 'ended' : Date.now() > end ? 'does not answer' : '';
    if (why === '' && !signal.aborted) {
      await delay(50);
      continue;
    }
    await server.remove();
    signal.throwIfAborted();
    throw new StandbyError('ThrowAwayFailed', `the throw-away server ${why}: ${lastWords(said, [password])}`, {
      exit: 'fault',
    });
  }
  return server;
}

/** @returns how to reach a database of it. */
export const throwAwayTarget = (server: ThrowAwayServer, database: string): ServerTarget => {
  const { host, port, user, password } = server;
  return { host, port, user, password, database, ...(server.plain ? { plain: true } : {}) };
};

const answers = (server: ThrowAwayServer, signal: AbortSignal): Promise<boolean> =>
  connected(throwAwayTarget(server, 'postgres'), signal, async () => true).catch(() => false);

function own(...files: readonly string[]): void {
  if (isRoot) execFileSync('chown', [systemUser, ...files]);
}
