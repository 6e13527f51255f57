/**
 * A server that we run ourselves: pgBackRest archives its WAL and backs it up to two repositories. A managed server has no such access;
 * there Azure's own point-in-time restore takes this place.
 *
 * pgBackRest rewrites a few objects of a repository (`archive.info`, `backup.info`), so a repository lies in a container of its own
 * with versions kept and locked one by one, not in one whose policy forbids every overwrite.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import type { Call } from '../../backup/ports';
import { StandbyError } from '../../failover/errors';
import { program, runProgram, type Ended } from './program';

/** Behind this storage's name may stand another address: a private endpoint. */
interface Reached {
  /** Folder in the container or bucket, with a slash at its beginning. */
  readonly path: string;
  readonly host?: string;
  readonly port?: number;
  readonly caFile?: string;
  /** `path` where the storage has no name of its own for each account or bucket. @default - host */
  readonly uriStyle?: 'host' | 'path';
  /** Full backups are kept for so long, with all that stands on them. */
  readonly keepDays: number;
}

export type Repository =
  | (Reached & {
      readonly kind: 'azure';
      readonly account: string;
      readonly container: string;
      readonly endpoint?: string;
      /** Accounts that refuse shared keys take `sas`. */
      readonly keyType: 'shared' | 'sas';
      readonly key: string;
      readonly passphrase: string;
    })
  | (Reached & {
      readonly kind: 's3';
      readonly endpoint: string;
      readonly region: string;
      readonly bucket: string;
      readonly key: string;
      readonly secret: string;
      readonly passphrase: string;
    })
  /** A disk that is mounted here. */
  | (Pick<Reached, 'path' | 'keepDays'> & { readonly kind: 'posix'; readonly passphrase: string });

export interface Cluster {
  readonly stanza: string;
  /** PGDATA. */
  readonly dataFolder: string;
  readonly socketFolder: string;
  readonly port: number;
  readonly user: string;
  /** Owner of PGDATA: the programs run as this user. */
  readonly systemUser: string;
}

export interface PgBackRestPlan {
  readonly cluster: Cluster;
  /** Numbered from 1, in this order. */
  readonly repositories: readonly Repository[];
  /** For the configuration, the spool, locks: the system user's own. */
  readonly folder: string;
  /** @default - 2 */
  readonly processes?: number;
}

/** A segment is closed after this, however little is in it: with its transfer it stays under the 60 seconds that are promised. */
const archiveTimeoutSeconds = 30;

const azureLines = (repository: Extract<Repository, { kind: 'azure' }>) => ({
  type: 'azure',
  'azure-account': repository.account,
  'azure-container': repository.container,
  'azure-endpoint': repository.endpoint,
  'azure-key-type': repository.keyType,
  'azure-uri-style': repository.uriStyle,
});
const s3Lines = (repository: Extract<Repository, { kind: 's3' }>) => ({
  type: 's3',
  's3-endpoint': repository.endpoint,
  's3-region': repository.region,
  's3-bucket': repository.bucket,
  's3-uri-style': repository.uriStyle,
});

const storageLines = (repository: Exclude<Repository, { kind: 'posix' }>) => ({
  ...(repository.kind === 'azure' ? azureLines(repository) : s3Lines(repository)),
  'storage-host': repository.host,
  'storage-port': repository.port,
  'storage-ca-file': repository.caFile,
});

function repositoryLines(repository: Repository, number: number): string[] {
  const settings: Record<string, string | number | undefined> = {
    ...(repository.kind === 'posix' ? {} : storageLines(repository)),
    path: repository.path,
    'cipher-type': 'aes-256-cbc',
    bundle: 'y',
    'retention-full-type': 'time',
    'retention-full': repository.keepDays,
  };
  return Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`repo${number}-${name}=${value}`],
  );
}

/** @returns the configuration file. Nothing in it is secret. */
export function renderConfiguration({ cluster, repositories, folder, processes = 2 }: PgBackRestPlan): string {
  const lines = [
    '[global]',
    ...repositories.flatMap((repository, index) => repositoryLines(repository, index + 1)),
    'archive-async=y',
    `spool-path=${path.join(folder, 'spool')}`,
    `lock-path=${path.join(folder, 'lock')}`,
    'log-level-file=off',
    'log-level-console=warn',
    'start-fast=y',
    `process-max=${processes}`,
    'compress-type=zst',
    '',
    `[${cluster.stanza}]`,
    `pg1-path=${cluster.dataFolder}`,
    `pg1-socket-path=${cluster.socketFolder}`,
    `pg1-port=${cluster.port}`,
    `pg1-user=${cluster.user}`,
    '',
  ];
  return lines.join('\n');
}

/** What the programs are told by their environment alone. The server needs it too: it runs `archive_command`. */
export const secretsOf = (repositories: readonly Repository[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    repositories.flatMap((repository, index): [string, string][] => {
      const name = (rest: string) => `PGBACKREST_REPO${index + 1}_${rest}`;
      const login: Record<string, string> =
        repository.kind === 'azure'
          ? { AZURE_KEY: repository.key }
          : repository.kind === 's3'
            ? { S3_KEY: repository.key, S3_KEY_SECRET: repository.secret }
            : {};
      const told = Object.entries({ ...login, CIPHER_PASS: repository.passphrase });
      return told.map(([what, value]) => [name(what), value]);
    }),
  );

const infoSchema = z.array(
  z.object({
    name: z.string(),
    status: z.object({ code: z.int(), message: z.string() }),
    archive: z
      .array(z.object({ id: z.string(), min: z.string().nullish(), max: z.string().nullish() }))
      .optional()
      .default([]),
    backup: z
      .array(
        z.object({
          label: z.string(),
          type: z.enum(['full', 'diff', 'incr']),
          error: z.boolean().nullish(),
          timestamp: z.object({ start: z.number(), stop: z.number() }),
          database: z.object({ id: z.number(), 'repo-key': z.number() }),
          info: z.object({ size: z.number(), repository: z.object({ delta: z.number() }) }),
        }),
      )
      .default([]),
  }),
);
export type Info = z.infer<typeof infoSchema>[number];

/** What `verify` says, whose exit code is 0 also for a corrupt repository. Sound only where it says `ok`. */
export function parseVerify(output: string): { readonly sound: boolean; readonly errors: readonly string[] } {
  const statuses = [...output.matchAll(/^status: (\w+)/gm)].map(([, status]) => status);
  const errors = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(missing|checksum invalid|size invalid|other): [1-9]/.test(line) || /\bERROR:/.test(line));
  return { sound: statuses.length > 0 && statuses.every((status) => status === 'ok') && errors.length === 0, errors };
}

export interface PgBackRest {
  readonly configurationFile: string;
  /** What the server's own configuration must say. */
  readonly serverSettings: Readonly<Record<string, string>>;
  /** For the server's process, and every program. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Any command of pgBackRest, with configuration, stanza and secrets. @throws StandbyError PgBackRestFailed */
  run(command: string, args: readonly string[], call: Call): Promise<Ended>;
  createStanza(call: Call): Promise<void>;
  /** Proves that the archive works: a segment is switched and awaited. */
  check(call: Call): Promise<void>;
  /** Into one repository; the WAL goes into all. */
  backup(type: 'full' | 'incr', repository: number, call: Call): Promise<void>;
  /** @throws StandbyError BackupCorrupt with what it found. */
  verify(repository: number, call: Call): Promise<void>;
  info(call: Call): Promise<Info>;
}

/** Writes the configuration file, and nothing else. */
export function createPgBackRest(
  plan: PgBackRestPlan,
  environment: Readonly<Record<string, string | undefined>>,
): PgBackRest {
  const { cluster, folder, repositories } = plan;
  const configurationFile = path.join(folder, 'pgbackrest.conf');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(configurationFile, renderConfiguration(plan));
  const executable = program('pgbackrest', environment);
  const secrets = secretsOf(repositories);
  const where = [`--config=${configurationFile}`, `--stanza=${cluster.stanza}`];
  const run: PgBackRest['run'] = (command, args, { signal, progress }) =>
    runProgram(executable, [command, ...where, ...args], {
      ...{ signal, env: secrets, user: cluster.systemUser, cwd: '/', code: 'PgBackRestFailed' },
      onLine: progress,
    });
  const info = async (call: Call): Promise<Info> => {
    const { stdout } = await run('info', ['--output=json'], call);
    const [found] = infoSchema.parse(JSON.parse(stdout));
    if (found) return found;
    throw new StandbyError('NoBackup', `pgBackRest knows no backups of ${cluster.stanza}`);
  };
  return {
    ...{ configurationFile, secrets, run, info },
    serverSettings: {
      wal_level: 'replica',
      archive_mode: 'on',
      archive_command: `${executable} ${where.join(' ')} archive-push %p`,
      archive_timeout: `${archiveTimeoutSeconds}s`,
    },
    createStanza: async (call) => void (await run('stanza-create', [], call)),
    check: async (call) => void (await run('check', [], call)),
    backup: async (type, repository, call) =>
      void (await run('backup', [`--type=${type}`, `--repo=${repository}`], call)),
    verify: async (repository, call) => {
      const { stdout } = await run('verify', [`--repo=${repository}`, '--output=text', '--verbose'], call);
      const { sound, errors } = parseVerify(stdout);
      if (sound) return;
      const what = errors.slice(0, 3).join('; ') || 'it says neither ok nor what is wrong';
      throw new StandbyError('BackupCorrupt', `repository ${repository} of ${cluster.stanza} is not sound: ${what}`, {
        exit: 'safe',
      });
    },
  };
}
