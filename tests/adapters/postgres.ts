/** Throw-away PostgreSQL servers with TLS, whose administrator is what the vendor gives a customer: no superuser. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Client } from 'pg';
import type { AdmissionTarget } from '../../adapters/postgres/admission';
import { epochPassword, epochRole } from '../../config/credentials';
import { program } from '../../sandbox/azure/postgres/programs';
import { until, type TestWorld } from '../kubernetes/world';

export const company = 'acme';

export class TestServer {
  private readonly folder: string;
  private readonly address: string;

  constructor(
    private readonly world: TestWorld,
    readonly name: string,
    index: number,
  ) {
    this.folder = path.join(world.home, name);
    this.address = world.plan.database(index);
  }

  /** Nobody here can look it up. */
  get publicName(): string {
    return `${this.name}.postgres.database.azure.com`;
  }

  get target(): AdmissionTarget {
    const ca = fs.readFileSync(this.world.modules.authority.authorityFile, 'utf8');
    return {
      ...{ host: this.address, port: 5432, user: 'drpadmin', password: 'a-password-of-this-test', database: 'shop' },
      ...{ company, identityDatabase: 'keycloak', ca },
    };
  }

  /**
   * An empty server with the databases of the applications and of the identity provider.
   * @param admitted - whom its firewall lets in, CIDR.
   */
  async create(admitted = '127.0.0.0/8'): Promise<void> {
    this.makeFolder();
    this.run('initdb', ['-D', this.data, '-U', 'azuresu', '-A', 'trust', '--no-sync', '--no-instructions']);
    fs.writeFileSync(
      path.join(this.data, 'pg_hba.conf'),
      `local all all trust\nlocal replication all trust\nhostssl all all ${admitted} scram-sha-256\n`,
    );
    await this.start();
    const { user, password, database, identityDatabase } = this.target;
    await this.sql(`CREATE ROLE azure_pg_admin`);
    await this.sql(`GRANT pg_monitor, pg_signal_backend, pg_read_all_data TO azure_pg_admin WITH ADMIN OPTION`);
    await this.sql(`CREATE ROLE ${user} LOGIN CREATEDB CREATEROLE IN ROLE azure_pg_admin PASSWORD '${password}'`);
    await this.sql(`ALTER DATABASE postgres OWNER TO azure_pg_admin`);
    await this.sql(`CREATE DATABASE ${database} OWNER azure_pg_admin`);
    await this.sql(`CREATE DATABASE ${identityDatabase} OWNER azure_pg_admin`);
  }

  /** A replica that streams from another server. */
  async follow(source: TestServer): Promise<void> {
    this.makeFolder();
    this.run('pg_basebackup', [
      '-h',
      source.folder,
      '-U',
      'azuresu',
      '-D',
      this.data,
      '-R',
      '-X',
      'stream',
      '-c',
      'fast',
    ]);
    await this.start();
  }

  promote = () => this.sql('SELECT pg_promote(true, 20)');

  async start(): Promise<void> {
    await this.writeCertificate();
    const settings = {
      ...{ listen_addresses: this.address, unix_socket_directories: this.folder, ssl: 'on', fsync: 'off' },
      ...{ ssl_cert_file: `${this.folder}/server.crt`, ssl_key_file: `${this.folder}/server.key` },
      wal_retrieve_retry_interval: '200ms',
    };
    await this.world.modules.process.start({
      name: this.name,
      command: program('postgres'),
      args: ['-D', this.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      env: {},
      user: 'postgres',
      site: 'prod',
      scope: 'data',
    });
    await until(`${this.name} answers`, () => this.sql('SELECT 1').then(Boolean, () => undefined), 120_000);
  }

  /** As the superuser, over the local socket. */
  async sql(text: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = await this.vendor(database);
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** A session as the vendor itself has it, which no customer can end. */
  async vendor(database: string): Promise<Client> {
    const client = new Client({ host: this.folder, user: 'azuresu', database });
    await client.connect();
    return client;
  }

  /** A session as the applications of an epoch have it; as the administrator without one. */
  async session(epoch?: number, database = this.target.database): Promise<Client> {
    const { host, port, user, password, ca } = this.target;
    const login = epoch
      ? { user: epochRole(company, epoch), password: epochPassword(password, epoch) }
      : { user, password };
    const client = new Client({ host, port, database, ...login, ...(ca ? { ssl: { ca } } : {}) });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  private get data(): string {
    return path.join(this.folder, 'data');
  }

  private makeFolder(): void {
    fs.mkdirSync(this.folder, { mode: 0o700 });
    if (this.world.modules.process.isRoot) execFileSync('chown', ['postgres', this.folder]);
  }

  private run(command: string, args: readonly string[]): void {
    const [first = '', ...rest] = [...this.world.modules.process.asUser('postgres'), program(command), ...args];
    execFileSync(first, rest, { stdio: 'pipe' });
  }

  private async writeCertificate(): Promise<void> {
    const { cert, key } = await this.world.modules.authority.issue([this.address, this.publicName]);
    fs.writeFileSync(path.join(this.folder, 'server.crt'), cert);
    fs.writeFileSync(path.join(this.folder, 'server.key'), key, { mode: 0o600 });
    const files = ['server.crt', 'server.key'].map((file) => path.join(this.folder, file));
    if (this.world.modules.process.isRoot) execFileSync('chown', ['postgres', ...files]);
  }
}

/** @returns the SQLSTATE with which a statement is refused, or what became of it instead. */
export const refusal = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'accepted',
    (cause: { code?: string; message?: string }) => cause.code ?? cause.message ?? 'nothing said',
  );
