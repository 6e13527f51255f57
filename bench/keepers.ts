/** Who takes a backup, reads it over, and brings it back: Standby in its two ways, and the field's tools by themselves. */
import { generateX25519Identity } from 'age-encryption';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Backups, type Outcome } from '../adapters/backup/backups';
import { createPgBackRest, parseVerify, type PgBackRest } from '../adapters/backup/pgbackrest';
import { program } from '../adapters/backup/program';
import { PgBackRestRecovery } from '../adapters/backup/recovery/pgbackrest';
import { identitiesOf } from '../adapters/backup/seal';
import { throwAwayTarget } from '../adapters/backup/throwaway';
import { mediumVault } from '../adapters/backup/vaults/offline';
import type { AdapterContext } from '../adapters/context';
import type { ServerTarget } from '../adapters/postgres/connection';
import type { Verdict } from '../backup/model';
import type { Call } from '../backup/ports';
import { backupSchema } from '../config/backup';
import type { FailoverConfig } from '../config/failover';
import {
  countRows,
  ownFolder,
  port,
  run,
  startServer,
  superuser,
  systemUser,
  targetIn,
  type Source,
} from './databases';

/** Of a measured act: what is to be tidied up after the clock has stopped. */
export type Tidy = () => Promise<void>;

/** A way of keeping all databases of a server. Each act throws where it did not do its work. */
export interface Keeper {
  readonly backup: () => Promise<void>;
  readonly verify: () => Promise<void>;
  /** Until the restored server has counted every row. */
  readonly restore: () => Promise<Tidy>;
}

const processes = 2;
const settings = { hot_standby: 'off', archive_mode: 'off', fsync: 'off', full_page_writes: 'off' };
const remove = (folder: string) => fs.promises.rm(folder, { recursive: true, force: true });

/** Nothing that was restored stays, whatever it says. */
async function counted(
  reach: (database: string) => ServerTarget,
  source: Source,
  tidy: Tidy,
  call: Call,
): Promise<Tidy> {
  try {
    await countRows(reach, source, call);
    return tidy;
  } catch (cause) {
    await tidy();
    throw cause;
  }
}

/** Starts what lies in a folder as a person would, to throw it away: without durability, as Standby does. */
async function startRestored(folder: string, source: Source, call: Call): Promise<Tidy> {
  const server = await startServer(path.join(folder, 'data'), folder, settings, {}, call);
  const tidy = () => server.stop().then(() => remove(folder));
  return counted((database) => targetIn(folder, database), source, tidy, call);
}

const restoredFolder = (folder: string, name: string) => {
  const own = ownFolder(folder, `${name}-restored`);
  ownFolder(own, 'data');
  return own;
};

/** pgBackRest as its user guide sets it up, with the same compression and as many processes; not encrypted. */
export async function plainPgBackRest(folder: string, source: Source, call: Call) {
  const own = ownFolder(folder, 'plain');
  const stanza = 'plain';
  const configuration = path.join(own, 'pgbackrest.conf');
  const lines = [
    ...['[global]', `repo1-path=${own}/repository`, 'repo1-retention-full=100', `lock-path=${own}/lock`],
    ...[
      'log-level-file=off',
      'log-level-console=warn',
      'start-fast=y',
      `process-max=${processes}`,
      'compress-type=zst',
    ],
    ...[`[${stanza}]`, `pg1-path=${source.data}`, `pg1-socket-path=${source.folder}`, `pg1-port=${port}`],
    `pg1-user=${superuser}`,
  ];
  fs.writeFileSync(configuration, `${lines.join('\n')}\n`);
  const where = [`--config=${configuration}`, `--stanza=${stanza}`];
  const tool = (command: string, ...args: string[]) => run('pgbackrest', [command, ...where, ...args], call);
  const keeper: Keeper = {
    backup: async () => void (await tool('backup', '--type=full')),
    verify: async () => {
      const { stdout } = await tool('verify', '--output=text', '--verbose');
      if (!parseVerify(stdout).sound) throw new Error(`plain pgBackRest's repository is not sound: ${stdout.trim()}`);
    },
    restore: async () => {
      const target = restoredFolder(folder, stanza);
      await tool('restore', `--pg1-path=${target}/data`, '--archive-mode=off');
      return startRestored(target, source, call);
    },
  };
  return {
    ...{ keeper, create: () => tool('stanza-create') },
    // Without the passphrase of another's repository, which it would take for its own.
    archive: `env -u PGBACKREST_REPO1_CIPHER_PASS ${program('pgbackrest', process.env)} ${where.join(' ')} archive-push %p`,
  };
}

export function baseBackup(folder: string, source: Source, call: Call): Keeper {
  const kept = path.join(folder, 'base');
  return {
    backup: async () => {
      await remove(kept);
      const reach = ['-h', source.folder, '-p', `${port}`, '-U', superuser];
      await run('pg_basebackup', [...reach, '-D', kept, '-X', 'stream', '-c', 'fast'], call);
    },
    verify: async () => void (await run('pg_verifybackup', [kept], call)),
    restore: async () => {
      const target = restoredFolder(folder, 'base');
      await run('cp', ['-a', `${kept}/.`, `${target}/data`], call);
      return startRestored(target, source, call);
    },
  };
}

/** Standby on a server of one's own: its pgBackRest, encrypted, and its recovery. */
export function standbyOwnServer(folder: string, source: Source, call: Call): { keeper: Keeper; tool: PgBackRest } {
  const own = ownFolder(folder, 'standby');
  const repository = { kind: 'posix', path: path.join(own, 'repository'), keepDays: 30, passphrase: 'of-this-bench' };
  const stanza = 'standby';
  const cluster = { stanza, dataFolder: source.data, socketFolder: source.folder, port, user: superuser, systemUser };
  const plan = { cluster, repositories: [{ ...repository, kind: 'posix' as const }], folder: own, processes };
  const tool = createPgBackRest(plan, process.env);
  const recovery = new PgBackRestRecovery({
    ...{ tool, stanza, systemUser, folder: path.join(folder, 'recoveries') },
    ...{ superuser, login: { user: superuser, password: 'not-asked-for' }, who: 'bench', environment: process.env },
  });
  const keeper: Keeper = {
    backup: () => tool.backup('full', 1, call),
    verify: () => tool.verify(1, call),
    restore: async () => {
      const server = await recovery.restore('latest', call);
      return counted(
        (database) => throwAwayTarget(server, database),
        source,
        () => server.remove(),
        call,
      );
    },
  };
  return { keeper, tool };
}

export interface Dumps {
  readonly backup: () => Promise<void>;
  /** Restores every database, whatever was restored before. */
  readonly check: () => Promise<void>;
  /** Finds that the same contents were restored before. */
  readonly checkUnchanged: () => Promise<void>;
}

/** What `standby backup run` and `standby backup verify` do, with a folder as the vault. */
export async function standbyDumps(folder: string, source: Source, call: Call): Promise<Dumps> {
  const keys = [await generateX25519Identity(), await generateX25519Identity()];
  const identityFile = path.join(folder, 'identity');
  fs.writeFileSync(identityFile, keys.join('\n'), { mode: 0o600 });
  const configuration = {
    company: 'bench',
    backup: backupSchema.parse({
      recoveryPointMinutes: 1_440,
      recipients: (await identitiesOf(keys)).recipients,
      databases: source.databases.map((name) => ({ name })),
    }),
  } as FailoverConfig;
  const environment = { ...process.env, STANDBY_AGE_IDENTITY_FILE: identityFile };
  const context = { configuration: () => configuration, environment } as unknown as AdapterContext;
  const vault = mediumVault('bench', path.join(folder, 'vault'));
  const backups = new Backups(context, { site: vault, all: [vault] }, source.target);
  const check = async (full: boolean) => {
    const verdicts = done(await backups.verify({ full }, call));
    const wrong = verdicts.find((verdict) => isWrong(verdict, full));
    if (wrong) throw new Error(`${wrong.dataSet}: ${wrong.defect ?? 'it was restored again, or not at all'}`);
  };
  return {
    backup: async () => void done(await backups.run([], call)),
    check: () => check(true),
    checkUnchanged: () => check(false),
  };
}

const isWrong = ({ defect, reused }: Verdict, full: boolean) => defect !== undefined || (reused === undefined) !== full;

function done<T>(outcomes: readonly Outcome<T>[]): T[] {
  return outcomes.map(({ done: result, fault }) => {
    if (result === undefined) throw fault ?? new Error('it was not done');
    return result;
  });
}
