/** A server that we run ourselves, with pgBackRest and a repository on the disk. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PgBackRestRecovery } from '../../../adapters/backup/recovery/pgbackrest';
import { selfRunRecovery, selfRunServer, selfRunTool } from '../../../adapters/backup/recovery/selfRun';
import type { TestWorld } from '../../kubernetes/world';
import { TestServer } from '../postgres';

export const call = (limitMs = 120_000) => ({ signal: AbortSignal.timeout(limitMs), progress: () => undefined });

export class SelfRun {
  readonly live: TestServer;
  private readonly folder: string;

  constructor(
    private readonly world: TestWorld,
    name: string,
    index: number,
  ) {
    this.live = new TestServer(world, name, index);
    this.folder = path.join(world.home, `${name}-pgbackrest`);
  }

  /** A server whose log is archived, and its first full backup. */
  async create(): Promise<void> {
    fs.mkdirSync(this.folder, { mode: 0o711 });
    for (const name of ['repository', 'spool', 'lock', 'restores']) fs.mkdirSync(path.join(this.folder, name));
    const superuser = 'azuresu';
    const lines = [
      '[global]',
      ...[`repo1-path=${this.folder}/repository`, 'repo1-retention-full=2', 'log-level-file=off', 'start-fast=y'],
      ...[`spool-path=${this.folder}/spool`, `lock-path=${this.folder}/lock`, 'archive-async=y', 'compress-type=lz4'],
      '[shop]',
      ...[`pg1-path=${this.live['data']}`, `pg1-socket-path=${this.live['folder']}`, `pg1-user=${superuser}`],
    ];
    fs.writeFileSync(this.configuration, `${lines.join('\n')}\n`);
    if (this.world.modules.process.isRoot) execFileSync('chown', ['-R', 'postgres', this.folder]);
    fs.chmodSync(this.world.home, 0o711);
    await this.live.create();
    await this.live.sql(`ALTER SYSTEM SET archive_mode = on`);
    await this.live.sql(`ALTER SYSTEM SET archive_command = '${this.archiveCommand}'`);
    await this.live.sql(`ALTER SYSTEM SET archive_timeout = '5s'`);
    await this.world.modules.process.stop(({ name }) => name === this.live.name);
    await this.live.start();
    await this.tool.run('stanza-create', [], call());
    await this.backup();
  }

  backup = () => this.tool.run('backup', ['--type=full'], call());

  /** Until all that was committed before now is in the archive. */
  async archived(): Promise<void> {
    const [row] = await this.live.sql('SELECT pg_walfile_name(pg_switch_wal()) AS segment');
    for (const end = Date.now() + 120_000; ; await delay(100)) {
      const [said] = await this.live.sql('SELECT last_archived_wal AS segment FROM pg_stat_archiver');
      if (String(said?.['segment']) >= String(row?.['segment'])) return;
      if (Date.now() > end) throw new Error(`${String(row?.['segment'])} is not archived within 120 s`);
    }
  }

  /** The archive takes no more of the log, until it does again. */
  async holdBack(held: boolean): Promise<void> {
    await this.live.sql(
      held
        ? `ALTER SYSTEM SET archive_command = 'false'`
        : `ALTER SYSTEM SET archive_command = '${this.archiveCommand}'`,
    );
    await this.live.sql('SELECT pg_reload_conf()');
  }

  /** As if the newest segment had come into the archive at that moment. */
  pushedAt(at: number): void {
    const archive = path.join(this.folder, 'repository', 'archive', 'shop');
    const segments = fs
      .readdirSync(archive, { recursive: true, encoding: 'utf8' })
      .filter((name) => /[0-9A-F]{24}-[^/]+$/.test(name));
    fs.utimesSync(path.join(archive, segments.sort().at(-1) as string), at / 1_000, at / 1_000);
  }

  get recovery(): PgBackRestRecovery {
    const recovery = selfRunRecovery(this.environment, 'eva@home');
    // The vendor's superuser, as on the test's server.
    return new PgBackRestRecovery({ ...recovery['options'], superuser: 'azuresu' });
  }

  /** What a person exports before `standby restore --from pgbackrest`. */
  get environment(): Readonly<Record<string, string | undefined>> {
    const { host, user, password, database, port } = this.live.target;
    return {
      ...{ PATH: process.env['PATH'], PGBACKREST_CONFIG: this.configuration, PGBACKREST_STANZA: 'shop' },
      ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database },
      PGSSLROOTCERT: this.world.modules.authority.authorityFile,
      STANDBY_RESTORES: path.join(this.folder, 'restores'),
      STANDBY_RUNS: path.join(this.folder, 'runs'),
    };
  }

  get target() {
    return selfRunServer(this.environment);
  }

  get restores(): string {
    return path.join(this.folder, 'restores');
  }

  private get configuration(): string {
    return path.join(this.folder, 'pgbackrest.conf');
  }

  private get archiveCommand(): string {
    return `pgbackrest --config=${this.configuration} --stanza=shop archive-push %p`;
  }

  private get tool() {
    return selfRunTool(this.environment, this.world.modules.process.isRoot ? 'postgres' : (process.env['USER'] ?? ''));
  }
}

/** Waits into the next whole second. @returns one that lies between what was before and what comes after. */
export async function secondBetween(): Promise<number> {
  await delay(1_100);
  const between = Math.floor(Date.now() / 1_000) * 1_000;
  await delay(1_100);
  return between;
}
