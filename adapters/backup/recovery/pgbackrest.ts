/**
 * A server that we run ourselves, as it was at a moment: pgBackRest restores its files into a folder of their own, and PostgreSQL
 * replays the archived log up to that moment, on this machine's loopback. It archives nothing: the archive is the live server's.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { z } from 'zod';
import type { Instant, RecoveryRange } from '../../../backup/model';
import type { Call, Stay, ThrowAwayServer } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { within } from '../../../failover/within';
import { scramVerifier } from '../../postgres/scram';
import type { PgBackRest } from '../pgbackrest';
import { isRoot, program, runProgram } from '../program';
import { hiding, pause, serverExists, throwAwayMs, type Recovery, type Remains } from './recovery';

const address = '127.0.0.1';
const endedEarly = /recovery ended before configured recovery target was reached/;
const logEnd = /redo done at ([0-9A-F]+\/[0-9A-F]+)/;
const recordFile = 'restore.json';

export interface PgBackRestRecoveryOptions {
  readonly tool: Pick<PgBackRest, 'run' | 'secrets'>;
  readonly stanza: string;
  /** Of several repositories the one that the range is read of. @default - 1 */
  readonly repository?: number;
  /** Folder in which each restored server gets its own; the system user can reach it. */
  readonly folder: string;
  readonly systemUser: string;
  /** The source's superuser. @default - postgres */
  readonly superuser?: string;
  /** Login of the source that whoever switches to a restored server uses. */
  readonly login: { readonly user: string; readonly password: string };
  readonly who: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const recordSchema = z.object({
  who: z.string(),
  source: z.string(),
  expiresAt: z.number(),
  stays: z.boolean(),
});

/** What of `info` says how far back and how far on a restore can go. */
const infoSchema = z.array(
  z.object({
    archive: z.array(z.object({ id: z.string(), max: z.string().nullish() })).default([]),
    backup: z
      .array(z.object({ timestamp: z.object({ stop: z.number() }), database: z.object({ 'repo-key': z.number() }) }))
      .default([]),
  }),
);

/** What can be brought back, and the ends of the backups that it begins with. */
interface Held {
  readonly range: RecoveryRange;
  readonly stops: readonly Instant[];
}

interface Place {
  readonly folder: string;
  readonly data: string;
  readonly port: number;
}

export class PgBackRestRecovery implements Recovery {
  readonly kind = 'pgbackrest';

  constructor(private readonly options: PgBackRestRecoveryOptions) {}

  /**
   * From the end of the oldest backup to when the newest segment of the log came into the archive: what the segment holds may have
   * been committed well before, so the recovery point of a server that was restored is what it came to.
   */
  range = async (call: Call): Promise<RecoveryRange> => (await this.held(call)).range;

  private async held(call: Call): Promise<Held> {
    const { tool, stanza, repository = 1 } = this.options;
    const { stdout: told } = await tool.run('info', ['--output=json'], call);
    const { backup, archive } = infoSchema.parse(JSON.parse(told))[0] ?? { backup: [], archive: [] };
    const stops = backup
      .filter((one) => one.database['repo-key'] === repository)
      .map(({ timestamp }) => timestamp.stop * 1_000);
    const newest = archive.at(-1);
    if (stops.length === 0 || !newest?.max) {
      throw new StandbyError('NoBackup', `pgBackRest has no backup of ${stanza} in repository ${repository}`);
    }
    const folder = `archive/${stanza}/${newest.id}/${newest.max.slice(0, 16)}`;
    const args = [`--repo=${repository}`, '--output=json', `--filter=^${newest.max}-`, folder];
    const { stdout } = await tool.run('repo-ls', args, call);
    const files = z.record(z.string(), z.object({ time: z.number().optional() })).parse(JSON.parse(stdout));
    const archived = Object.values(files).map(({ time }) => (time ?? 0) * 1_000);
    // Its clock has whole seconds, and so has ours: a backup is good from the second after it on.
    return { stops, range: { earliest: Math.min(...stops) + 1_000, latest: Math.max(...stops, ...archived) } };
  }

  async restore(at: Instant | 'latest', call: Call, stay?: Stay): Promise<ThrowAwayServer> {
    const { stanza, login } = this.options;
    const { stops, range } = await this.held(call);
    refuseOutside(at, range);
    const name = stay?.name ?? `restore-${randomBytes(4).toString('hex')}`;
    const place = await this.prepare(name, stay);
    const uncut = { ...call, signal: within(60_000) };
    try {
      call.progress(`${name} is restored from ${stanza} to ${at === 'latest' ? 'the end of its log' : iso(at)}`);
      await this.fetch(place, at, call);
      const early = await this.replay(place, stay !== undefined, call);
      const own = stay ? login : await this.makeLogin(place);
      // At the end of the log nobody can tell what was committed after it: what is there ends with its last commit, or its backup.
      const reached = Math.max(
        (await this.lastReplayed(place)) ?? 0,
        ...stops.filter((stop) => at === 'latest' || stop < at),
      );
      const recoveryPoint = at === 'latest' || early ? reached : at;
      if (early)
        call.progress(`the archived log ends before ${iso(at as Instant)}: it is as it was at ${iso(reached)}`);
      const server = { host: address, port: place.port, user: own.user, plain: true, name, recoveryPoint };
      return hiding(server, own.password, () => this.remove(name, uncut));
    } catch (cause) {
      await this.remove(name, uncut).catch(() => undefined);
      throw cause;
    }
  }

  async remains(): Promise<readonly Remains[]> {
    const { folder } = this.options;
    const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    return names.flatMap((name) => {
      const file = path.join(folder, name, recordFile);
      if (!fs.existsSync(file)) return [];
      return [{ name, ...recordSchema.parse(JSON.parse(fs.readFileSync(file, 'utf8'))) }];
    });
  }

  async remove(name: string, { signal, progress }: Call): Promise<void> {
    const folder = this.folderOf(name);
    if (!fs.existsSync(folder)) return;
    progress(`${name} is removed`);
    const data = path.join(folder, 'data');
    if (fs.existsSync(path.join(data, 'postmaster.pid'))) {
      // 1: nothing runs there any more.
      await this.run('pg_ctl', ['stop', '-D', data, '-m', 'immediate', '-w'], { signal, accept: [0, 1] });
    }
    await fs.promises.rm(folder, { recursive: true, force: true });
  }

  /** @throws StandbyError ServerExists, NameNotAllowed */
  private async prepare(name: string, stay: Stay | undefined): Promise<Place> {
    const { who, stanza, systemUser, folder: root } = this.options;
    const folder = this.folderOf(name);
    if (fs.existsSync(folder)) throw serverExists(name);
    fs.mkdirSync(root, { recursive: true, mode: 0o711 });
    fs.mkdirSync(folder, { mode: 0o700 });
    const record = { who, source: stanza, expiresAt: stay?.expiresAt ?? Date.now() + throwAwayMs, stays: !!stay };
    fs.writeFileSync(path.join(folder, recordFile), JSON.stringify(record), { mode: 0o600 });
    const hosts = stay ? 'all' : throwAwayRole(name);
    // Whoever can enter the folder is the system user, or root.
    const rules = `local all all trust\nhost all ${hosts} ${address}/32 scram-sha-256\n`;
    fs.writeFileSync(path.join(folder, 'pg_hba.conf'), rules, { mode: 0o600 });
    fs.writeFileSync(path.join(folder, 'postgresql.conf'), '', { mode: 0o600 });
    fs.mkdirSync(path.join(folder, 'data'), { mode: 0o700 });
    if (isRoot) await this.run('chown', ['-R', systemUser, folder], { signal: within(10_000), user: 'root' });
    return { folder, data: path.join(folder, 'data'), port: await freePort() };
  }

  private folderOf(name: string): string {
    const { folder } = this.options;
    if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) return path.join(folder, name);
    throw new StandbyError(
      'NameNotAllowed',
      `"${name}" is no name of a server: lower-case letters, digits and hyphens`,
      {
        exit: 'usage',
      },
    );
  }

  private async fetch({ folder, data }: Place, at: Instant | 'latest', call: Call): Promise<void> {
    const target =
      at === 'latest' ? [] : [`--target=${iso(at).replace('T', ' ').replace('Z', '+00')}`, '--target-action=promote'];
    const args = [
      `--pg1-path=${data}`,
      `--type=${at === 'latest' ? 'default' : 'time'}`,
      ...target,
      '--archive-mode=off',
      `--tablespace-map-all=${path.join(folder, 'tablespaces')}`,
      `--lock-path=${path.join(folder, 'lock')}`,
    ];
    await this.options.tool.run('restore', args, call);
  }

  /** @returns whether the log ended before the moment that was asked for. */
  private async replay(place: Place, stays: boolean, { signal }: Call): Promise<boolean> {
    const settings = await this.settings(place, stays, signal);
    try {
      await this.start(place, settings, signal);
      return false;
    } catch (cause) {
      if (signal.aborted || !endedEarly.test((cause as Error).message)) throw cause;
      // To the same end again: what has come into the archive since may be later than what was asked for.
      const [, end = ''] = logEnd.exec(logOf(place)) ?? [];
      await this.start(place, { ...settings, recovery_target_time: '', recovery_target_lsn: end }, signal);
      return true;
    }
  }

  /** Returns when it has come to its moment and takes writes. @throws StandbyError RestoreFailed when it ends before. */
  private async start(place: Place, settings: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const { data, folder } = place;
    const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${shellQuoted(value)}`);
    // What replays the log reads it by pgBackRest; the live server's spool and locks are not touched.
    const own = { PGBACKREST_ARCHIVE_ASYNC: 'n', PGBACKREST_LOCK_PATH: path.join(folder, 'lock') };
    const lost = () => notReplayed(logOf(place));
    const started = await this.run(
      'pg_ctl',
      ['start', '-D', data, '-w', '-t', '300', '-l', logFile(place), '-o', options.join(' ')],
      {
        ...{ signal, env: { ...this.options.tool.secrets, ...own }, accept: [0, 1] },
      },
    );
    if (started.code === 1) throw lost();
    while (!(await this.isOpen(place))) {
      const { code } = await this.run('pg_ctl', ['status', '-D', data], { signal, accept: [0, 3] });
      if (code === 3) throw lost();
      await pause(100, signal);
    }
  }

  private isOpen = (place: Place): Promise<boolean> =>
    this.inside(place, (client) => client.query('SELECT 1')).then(
      () => true,
      (cause: { code?: string }) => {
        // No socket yet, nobody at it, not ready yet.
        if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', '57P03'].includes(cause.code ?? '')) return false;
        throw cause;
      },
    );

  /** Nothing of the source's own configuration but what recovery insists on. */
  private async settings(
    { data, folder, port }: Place,
    stays: boolean,
    signal: AbortSignal,
  ): Promise<Record<string, string>> {
    const { stdout } = await this.run('pg_controldata', [data], { signal });
    const floor = [...stdout.matchAll(/^(max_\w+) setting: +(\d+)$/gm)].map(([, name, value]) => [
      name === 'max_prepared_xacts'
        ? 'max_prepared_transactions'
        : name === 'max_locks_per_xact'
          ? 'max_locks_per_transaction'
          : name,
      value,
    ]);
    return {
      ...(Object.fromEntries(floor) as Record<string, string>),
      config_file: path.join(folder, 'postgresql.conf'),
      hba_file: path.join(folder, 'pg_hba.conf'),
      ...{ listen_addresses: address, port: String(port), unix_socket_directories: folder },
      ...{ archive_mode: 'off', ssl: 'off', logging_collector: 'off', primary_conninfo: '' },
      // Nobody gets in before it has come to the end: that it has started means that it has been promoted.
      hot_standby: 'off',
      // What is thrown away can be restored again.
      ...(stays ? {} : { fsync: 'off', full_page_writes: 'off' }),
    };
  }

  private async makeLogin(place: Place): Promise<{ readonly user: string; readonly password: string }> {
    const user = throwAwayRole(path.basename(place.folder));
    const password = randomBytes(24).toString('base64url');
    const verifier = escapeLiteral(await scramVerifier(password));
    await this.inside(place, (client) =>
      client.query(`SET default_transaction_read_only = off;
        CREATE ROLE ${escapeIdentifier(user)} SUPERUSER LOGIN PASSWORD ${verifier};
        ALTER ROLE ${escapeIdentifier(user)} SET default_transaction_read_only = off`),
    );
    return { user, password };
  }

  /** To the microsecond: a loss that is counted from it does not count what is there. */
  private lastReplayed = (place: Place): Promise<Instant | undefined> =>
    this.inside(place, async (client) => {
      const { rows } = await client.query<{ at: number | null }>(
        'SELECT (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::float8 AS at',
      );
      return rows[0]?.at ?? undefined;
    });

  private async inside<T>({ folder, port }: Place, act: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({ host: folder, port, user: this.options.superuser ?? 'postgres', database: 'postgres' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await act(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private run(name: string, args: readonly string[], options: Parameters<typeof runProgram>[2]) {
    const { environment, systemUser } = this.options;
    return runProgram(program(name, environment), args, { user: systemUser, code: 'RestoreFailed', ...options });
  }
}

/** @throws StandbyError OutsideRange */
function refuseOutside(at: Instant | 'latest', { earliest, latest }: RecoveryRange): void {
  if (at === 'latest' || (at >= earliest && at <= latest)) return;
  throw new StandbyError(
    'OutsideRange',
    `${iso(at)} can't be restored: the backups reach from ${iso(earliest)} to ${iso(latest)}`,
  );
}

const iso = (at: Instant) => new Date(at).toISOString();
const throwAwayRole = (name: string) => `standby_${name.replaceAll('-', '_')}`;
/** `pg_ctl` hands the options to a shell. */
const shellQuoted = (value: string) => `'${value.replaceAll("'", `'\\''`)}'`;

const logFile = ({ folder }: Place): string => path.join(folder, 'postgres.log');
const logOf = (place: Place): string => (fs.existsSync(logFile(place)) ? fs.readFileSync(logFile(place), 'utf8') : '');

/** The newest thing that the server's log says is wrong; that somebody asked too early whether it is open is not. */
function notReplayed(log: string): StandbyError {
  const fatal = [...log.matchAll(/(?:FATAL|PANIC): +(?!the database system is )(\S.*)$/gm)].at(-1)?.[1];
  return new StandbyError(
    'RestoreFailed',
    `the restored server did not come to its moment: ${fatal ?? 'its log does not say why'}`,
    { exit: 'fault' },
  );
}

async function freePort(): Promise<number> {
  const probe = net.createServer();
  await new Promise<void>((resolve, reject) => probe.once('error', reject).listen(0, address, resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
