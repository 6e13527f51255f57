import { BlobServiceClient, StorageSharedKeyCredential, type StoragePipelineOptions } from '@azure/storage-blob';
import { expect } from 'chai';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as os from 'node:os';
import * as path from 'node:path';
import { Client } from 'pg';
import {
  createPgBackRest,
  parseVerify,
  renderConfiguration,
  type PgBackRest,
  type PgBackRestPlan,
} from '../../../adapters/backup/pgbackrest';
import { isRoot, program, startProgram } from '../../../adapters/backup/program';
import { readArchive } from '../../../adapters/postgres/archive';
import type { ArchiveReading } from '../../../failover/model';
import { TestWorld, until } from '../../kubernetes/world';
import { accepts, call, freePort, Gateway, outcome } from './gateway';

const account = 'devstoreaccount1';
const accountKey = Buffer.from('a key of this test, of thirty-two bytes and more').toString('base64');
const passphrases = ['the-passphrase-of-one', 'the-passphrase-of-two'] as const;

describe('pgBackRest of a server that we run ourselves', function () {
  this.timeout(240_000);
  const world = new TestWorld(233);
  const gateway = new Gateway();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-own-'));
  const data = path.join(folder, 'data');
  let plan: PgBackRestPlan;
  let tool: PgBackRest;
  let server: ChildProcess | undefined;
  let azurite: ChildProcess | undefined;

  before(async function () {
    if (spawnSync('pgbackrest', ['version']).error) this.skip();
    fs.chmodSync(folder, 0o755);
    await world.modules.authority.createAuthority();
    const certificate = await certificateFiles();
    const [port] = await Promise.all([startAzurite(certificate), gateway.start(certificate)]);
    plan = planOf(port);
    await makeBucket();
    owned(() => fs.mkdirSync(plan.folder));
    tool = createPgBackRest(plan, process.env);
    run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '--no-instructions', '--data-checksums']);
    await startServer();
  });
  after(async () => {
    for (const child of [server, azurite]) {
      if (!child || child.exitCode !== null) continue;
      child.kill('SIGINT');
      await once(child, 'exit');
    }
    await gateway.remove();
    fs.rmSync(world.home, { recursive: true, force: true });
    fs.rmSync(folder, { recursive: true, force: true });
  });

  const owned = (make: () => void) => {
    make();
    if (isRoot) execFileSync('chown', ['-R', 'postgres', folder]);
  };

  async function certificateFiles() {
    const { cert, key } = await world.modules.authority.issue(['localhost']);
    const files = { cert: path.join(folder, 'tls.crt'), key: path.join(folder, 'tls.key') };
    fs.writeFileSync(files.cert, cert);
    fs.writeFileSync(files.key, key);
    fs.copyFileSync(world.modules.authority.authorityFile, path.join(folder, 'ca.crt'));
    return files;
  }

  async function startAzurite(certificate: { readonly cert: string; readonly key: string }): Promise<number> {
    const port = await freePort();
    const main = require.resolve('azurite/dist/src/blob/main.js');
    const quiet = ['--silent', '--disableTelemetry', '--skipApiVersionCheck', '--inMemoryPersistence'];
    azurite = spawn(
      process.execPath,
      [
        main,
        '--blobHost',
        '127.0.0.1',
        '--blobPort',
        `${port}`,
        '--cert',
        certificate.cert,
        '--key',
        certificate.key,
        ...quiet,
      ],
      { cwd: folder, stdio: 'ignore', env: { AZURITE_ACCOUNTS: `${account}:${accountKey}` } },
    );
    await until('Azurite answers', () => accepts(port), 60_000);
    const trusting = { ca: fs.readFileSync(path.join(folder, 'ca.crt'), 'utf8') };
    const service = new BlobServiceClient(
      `https://localhost:${port}/${account}`,
      new StorageSharedKeyCredential(account, accountKey),
      { tlsOptions: trusting } as StoragePipelineOptions,
    );
    await service.createContainer('wal');
    return port;
  }

  /** With the authority of this test, which the process does not know. */
  async function makeBucket(): Promise<void> {
    const agent = new https.Agent({ ca: fs.readFileSync(path.join(folder, 'ca.crt')) });
    const { NodeHttpHandler } = await import('@smithy/node-http-handler');
    const { client } = gateway;
    client.config.requestHandler = new NodeHttpHandler({ httpsAgent: agent });
    const { CreateBucketCommand } = await import('@aws-sdk/client-s3');
    await client.send(new CreateBucketCommand({ Bucket: 'wal' }));
  }

  const planOf = (port: number): PgBackRestPlan => {
    const common = {
      path: '/shop',
      caFile: path.join(folder, 'ca.crt'),
      host: 'localhost',
      uriStyle: 'path',
      keepDays: 35,
    } as const;
    const { STANDBY_OFFSITE_KEY_ID: key, STANDBY_OFFSITE_SECRET: secret } = gateway.environment;
    return {
      cluster: {
        stanza: 'shop',
        dataFolder: data,
        socketFolder: folder,
        port: 5432,
        user: 'postgres',
        systemUser: 'postgres',
      },
      folder: path.join(folder, 'pgbackrest'),
      repositories: [
        {
          ...common,
          kind: 'azure',
          port,
          account,
          container: 'wal',
          keyType: 'shared',
          key: accountKey,
          passphrase: passphrases[0],
        },
        {
          ...common,
          kind: 's3',
          port: gateway.port,
          endpoint: 'localhost',
          region: 'eu-central-1',
          bucket: 'wal',
          key,
          secret,
          passphrase: passphrases[1],
        },
      ],
    };
  };

  const run = (name: string, args: readonly string[]) => {
    const user = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--'] : [];
    const [file, ...rest] = [...user, program(name, process.env), ...args] as [string, ...string[]];
    execFileSync(file, rest, { stdio: 'pipe', cwd: '/' });
  };

  async function startServer(more: Readonly<Record<string, string>> = {}): Promise<void> {
    const settings = {
      ...tool.serverSettings,
      listen_addresses: '',
      unix_socket_directories: folder,
      fsync: 'off',
      ...more,
    };
    const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
    server = startProgram(program('postgres', process.env), args, { user: 'postgres', env: tool.secrets, cwd: folder });
    server.stderr!.resume();
    await until('the server answers', () => sql('SELECT 1').then(Boolean, () => undefined), 60_000);
  }

  async function sql(text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ host: folder, user: 'postgres', database: 'postgres' });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }
  async function lag(): Promise<ArchiveReading | undefined> {
    const client = new Client({ host: folder, user: 'postgres', database: 'postgres' });
    await client.connect();
    return readArchive(client).finally(() => client.end());
  }

  it('has no secret in its configuration, nor on the command line of the archive', () => {
    const shown = `${renderConfiguration(plan)}\n${Object.values(tool.serverSettings).join('\n')}`;
    for (const secret of Object.values(tool.secrets)) expect(shown).to.not.contain(secret);
    expect(fs.readFileSync(tool.configurationFile, 'utf8')).to.contain('repo2-cipher-type=aes-256-cbc');
    expect(Object.keys(tool.secrets)).to.include.members([
      'PGBACKREST_REPO1_AZURE_KEY',
      'PGBACKREST_REPO1_CIPHER_PASS',
      'PGBACKREST_REPO2_S3_KEY_SECRET',
    ]);
  });

  it('archives into both repositories and backs up, in full and what has changed', async () => {
    expect(await lag()).to.equal(undefined);
    await tool.createStanza(call());
    await tool.check(call());
    await sql('CREATE TABLE things AS SELECT generate_series(1, 1000) AS id');
    for (const repository of [1, 2]) await tool.backup('full', repository, call());
    await sql('INSERT INTO things SELECT generate_series(1, 10)');
    await tool.backup('incr', 1, call());
    const { status, backup } = await tool.info(call());
    expect(status.code).to.equal(0);
    expect(backup.map(({ type, database }) => [type, database['repo-key']])).to.have.deep.members([
      ['full', 1],
      ['full', 2],
      ['incr', 1],
    ]);
    for (const repository of [1, 2]) await tool.verify(repository, call());
  });

  it('says how far the archive is behind, and that it fails', async () => {
    // The last file that went there is the label of a backup, which says nothing of the segments.
    await sql('INSERT INTO things SELECT generate_series(1, 1000)');
    expect((await lag())?.pendingBytes).to.be.above(0);
    const hasArchived = async () =>
      ((await lag().catch(() => undefined))?.pendingBytes ?? Infinity) < 16 * 2 ** 20 || undefined;
    await sql('SELECT pg_switch_wal()');
    await until('all is archived', hasArchived, 60_000);
    const before = await lag();
    expect(before?.failing).to.equal(false);
    expect(before?.lagSeconds).to.be.below(60);
    server!.kill('SIGINT');
    await once(server!, 'exit');
    await startServer({ archive_command: 'false' });
    await sql('INSERT INTO things VALUES (1); SELECT pg_switch_wal()');
    const isBehind = async () => {
      const found = await lag().catch(() => undefined);
      return found?.failing && found.pendingBytes > 0 ? true : undefined;
    };
    await until('it fails, with something to archive', isBehind, 60_000);
  });

  it('sees a damage that pgBackRest ends with 0 for', async () => {
    const files = path.join(gateway.folder, 'files', 'wal', 'shop');
    const [victim] = fs
      .readdirSync(files, { recursive: true, encoding: 'utf8' })
      .filter((name) => /[0-9A-F]{24}-/.test(name))
      .map((name) => path.join(files, name));
    const content = fs.readFileSync(victim!);
    content[content.length >> 1]! ^= 1;
    fs.writeFileSync(victim!, content);
    const { code } = await tool.run('verify', ['--repo=2', '--output=text'], call());
    expect(code).to.equal(0);
    expect(await outcome(tool.verify(2, call()))).to.equal('BackupCorrupt');
    await tool.verify(1, call());
  });

  it('calls nothing sound that does not say so', () => {
    expect(parseVerify('').sound).to.equal(false);
    expect(parseVerify('stanza: shop\nstatus: ok\n').sound).to.equal(true);
    expect(parseVerify('stanza: shop\nstatus: error\n').sound).to.equal(false);
  });
});
