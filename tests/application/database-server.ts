/** A throw-away PostgreSQL server with TLS, on one of the world's database addresses. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Client } from 'pg';
import { program } from '../../sandbox/azure/postgres/programs';
import { until, type TestWorld } from '../kubernetes/world';

const processName = 'postgres';

export class DatabaseServer {
  readonly name = 'psql-test.postgres.database.azure.com';
  readonly password = 'a-password-of-this-test';
  private readonly folder: string;

  constructor(private readonly world: TestWorld) {
    this.folder = path.join(world.home, 'postgres');
  }

  get address(): string {
    return this.world.plan.database(0);
  }

  /** @param admitted the one address that may connect */
  async create(admitted: string): Promise<void> {
    const { isRoot, asUser } = this.world.modules.process;
    fs.mkdirSync(this.folder, { mode: 0o700 });
    if (isRoot) execFileSync('chown', ['postgres', this.folder]);
    const options = ['-D', this.folder, '-U', 'postgres', '-A', 'trust', '--no-sync', '--no-instructions'];
    const [command = '', ...args] = [...asUser('postgres'), program('initdb'), ...options];
    execFileSync(command, args, { stdio: 'ignore' });
    const { cert, key } = await this.world.modules.authority.issue([this.name]);
    fs.writeFileSync(path.join(this.folder, 'server.crt'), cert);
    fs.writeFileSync(path.join(this.folder, 'server.key'), key, { mode: 0o600 });
    if (isRoot)
      execFileSync('chown', ['postgres', path.join(this.folder, 'server.crt'), path.join(this.folder, 'server.key')]);
    fs.writeFileSync(
      path.join(this.folder, 'pg_hba.conf'),
      `local all all trust\nhostssl all all ${admitted}/32 scram-sha-256\n`,
    );
    await this.start();
    await this.sql(`ALTER USER postgres PASSWORD '${this.password}'`);
  }

  async start(): Promise<void> {
    const settings = {
      listen_addresses: this.address,
      unix_socket_directories: this.folder,
      ssl: 'on',
      fsync: 'off',
      max_connections: '40',
    };
    await this.world.modules.process.start({
      name: processName,
      command: program('postgres'),
      args: ['-D', this.folder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      env: {},
      user: 'postgres',
      site: 'prod',
      scope: 'data',
    });
    await until('PostgreSQL answers', () => this.sql('SELECT 1').then(Boolean, () => undefined), 20_000);
  }

  async kill(): Promise<void> {
    await this.world.modules.process.stop((record) => record.name === processName, 0);
    fs.rmSync(path.join(this.folder, 'postmaster.pid'), { force: true });
  }

  /** As the superuser, over the local socket. */
  async sql(text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ host: this.folder, user: 'postgres', database: 'postgres' });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  async setReadOnly(readOnly: boolean): Promise<void> {
    await this.sql(`ALTER SYSTEM SET default_transaction_read_only = ${readOnly ? 'on' : 'off'}`);
    await this.sql('SELECT pg_reload_conf()');
  }
}
