import { PostgreSQLManagementFlexibleServerClient, type Server } from '@azure/arm-postgresql-flexible';
import { ResourceManagementClient } from '@azure/arm-resources';
import { expect } from 'chai';
import { Resolver } from 'node:dns/promises';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { address, refusal, Service, subscription } from '../azure/service';
import { administrator, otherSite, outsider, query, refusedBy, type Options, type Target } from './client';

const group = 'rg-db';
const name = 'psql-sea-prod';
const poll = { updateIntervalInMs: 50 };

const body: Server = {
  location: 'westeurope',
  sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
  version: '15',
  administratorLogin: administrator.login,
  administratorLoginPassword: administrator.password,
  storage: { storageSizeGB: 32, autoGrow: 'Enabled' },
  backup: { backupRetentionDays: 35, geoRedundantBackup: 'Enabled' },
};

async function until(what: string, condition: () => unknown, limitMs = 20_000): Promise<void> {
  for (const end = Date.now() + limitMs; !(await condition()); await delay(50)) {
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
  }
}

describe('azure: PostgreSQL flexible servers', function () {
  this.timeout(30_000);
  const service = new Service();
  let client: PostgreSQLManagementFlexibleServerClient;
  const targets = new Map<string, Target>();

  const create = (server: string, content: Server) =>
    client.servers.beginCreateOrUpdateAndWait(group, server, content, poll);
  const ask = (server: string, text: string, options?: Options) =>
    query(service, targets.get(server) as Target, text, options);
  const numbers = async (server: string) =>
    (await ask(server, 'SELECT n FROM sentinel ORDER BY n', { database: 'sea' })).map((row) => Number(row['n']));
  const write = (n: number) => ask(name, `INSERT INTO sentinel (n) VALUES (${n})`, { database: 'sea' });
  const allow = (server: string, from: string) =>
    client.firewallRules.beginCreateOrUpdateAndWait(
      group,
      server,
      `from-${from.replaceAll('.', '-')}`,
      { startIpAddress: from, endIpAddress: from },
      poll,
    );

  /** Finds a server's address as everybody does: by name. */
  async function locate(server: string): Promise<Target> {
    const { fullyQualifiedDomainName: fqdn = '' } = await client.servers.get(group, server);
    const resolver = new Resolver();
    resolver.setServers([`${address(30, 16)}:5353`]);
    const [found = ''] = await resolver.resolve4(fqdn);
    targets.set(server, { fqdn, address: found });
    return { fqdn, address: found };
  }

  /** When the copy of the server's backups in the paired region was last brought up to date. */
  function replicatedAt(server: string): number {
    const region = path.join(service.state, 'postgres', 'backups', 'northeurope');
    const store = fs.existsSync(region)
      ? fs.readdirSync(region).find((each) => each.startsWith(`${server}-`))
      : undefined;
    const file = store && path.join(region, store, 'store.json');
    return file && fs.existsSync(file)
      ? Date.parse((JSON.parse(fs.readFileSync(file, 'utf8')) as { replicatedAt: string }).replicatedAt)
      : 0;
  }

  /** Its process; undefined between the end of one and the start of the next. */
  function processOf(server: string): number | undefined {
    const record = path.join(service.home, 'run', 'pids', `postgres~prod~${server}.json`);
    try {
      return (JSON.parse(fs.readFileSync(record, 'utf8')) as { pid: number }).pid;
    } catch {
      return undefined; // or half-written
    }
  }

  before(async () => {
    await service.start();
    client = new PostgreSQLManagementFlexibleServerClient(service.credential, subscription, service.options);
    const resources = new ResourceManagementClient(service.credential, subscription, service.options);
    await resources.resourceGroups.createOrUpdate(group, { location: 'northeurope' });
  });
  after(() => service.stop());

  it('refuses what the vendor refuses, before anything is made', async () => {
    const cases: readonly (readonly [Partial<Server>, string])[] = [
      [{ backup: { backupRetentionDays: 6 } }, '400 InvalidParameterValue'],
      [{ backup: { backupRetentionDays: 36 } }, '400 InvalidParameterValue'],
      [{ administratorLogin: 'azure_superuser' }, '400 InvalidParameterValue'],
      [{ administratorLoginPassword: 'password' }, '400 PasswordTooWeak'],
      [{ version: '14' }, '400 InvalidParameterValue'],
      [{ sku: { name: 'Standard_D2ds_v5', tier: 'Burstable' } }, '400 InvalidParameterValue'],
      [{ storage: { storageSizeGB: 33 } }, '400 InvalidParameterValue'],
      [{ highAvailability: { mode: 'ZoneRedundant' } }, '400 FeatureNotSupported'],
      [
        {
          createMode: 'Replica',
          sourceServerResourceId: `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-none`,
        },
        '404 ResourceNotFound',
      ],
    ];
    for (const [change, expected] of cases) {
      expect(await refusal(create('psql-refused', { ...body, ...change })), JSON.stringify(change)).to.equal(expected);
    }
    expect(await refusal(client.servers.get(group, 'psql-refused'))).to.equal('404 ResourceNotFound');
  });

  it('makes a server that answers at its name, shows no password, and keeps what can be set only once', async () => {
    const made = await create(name, body);
    expect(made).to.include({
      state: 'Ready',
      fullyQualifiedDomainName: `${name}.postgres.database.azure.com`,
      replicationRole: 'None',
    });
    expect(
      JSON.stringify(
        await service.request(
          'GET',
          `/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${name}?api-version=2025-08-01`,
        ),
      ),
    ).not.to.contain(administrator.password);
    expect((await locate(name)).address).to.equal(address(10, 10));
    for (const change of [
      { backup: { geoRedundantBackup: 'Disabled' } },
      { administratorLogin: 'other' },
    ] as Partial<Server>[]) {
      expect(await refusal(create(name, { ...body, ...change }))).to.equal('400 PropertyChangeNotAllowed');
    }
    expect((await create(name, { ...body, tags: { plan: 'drp' } })).tags).to.deep.equal({ plan: 'drp' });
    await until('first backup', async () => (await client.servers.get(group, name)).backup?.earliestRestoreDate);
  });

  it('lets in who is named by a firewall rule, over TLS, and nobody else', async () => {
    expect(await refusedBy(ask(name, 'SELECT 1'))).to.contain(`no pg_hba.conf entry for host "${outsider}"`);
    await allow(name, outsider);
    expect(await ask(name, 'SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user')).to.deep.equal([
      { rolsuper: false, rolcreatedb: true },
    ]);
    expect(await refusedBy(ask(name, 'SELECT 1', { from: otherSite }))).to.contain(
      `no pg_hba.conf entry for host "${otherSite}"`,
    );
    expect(await refusedBy(ask(name, 'SELECT 1', { tls: false }))).to.contain('no encryption');
    expect(await refusedBy(ask(name, 'SELECT 1', { password: 'wrong' }))).to.contain('password authentication failed');
    await allow(name, otherSite);
    await ask(name, 'SELECT 1', { from: otherSite });
    await client.firewallRules.beginDeleteAndWait(group, name, `from-${otherSite.replaceAll('.', '-')}`, poll);
    expect(await refusedBy(ask(name, 'SELECT 1', { from: otherSite }))).to.contain('no pg_hba.conf entry');
    const backwards = client.firewallRules.beginCreateOrUpdateAndWait(group, name, 'bad', {
      startIpAddress: '10.0.0.9',
      endIpAddress: '10.0.0.1',
    });
    expect(await refusal(backwards)).to.equal('400 InvalidParameterValue');
  });

  it('makes databases that the administrator owns', async () => {
    expect(await refusal(client.databases.get(group, name, 'sea'))).to.equal('404 ResourceNotFound');
    await client.databases.beginCreateAndWait(group, name, 'sea', { charset: 'UTF8', collation: 'en_US.utf8' }, poll);
    expect(await client.databases.get(group, name, 'sea')).to.include({ charset: 'UTF8', collation: 'en_US.utf8' });
    await ask(name, 'CREATE TABLE sentinel (n integer PRIMARY KEY)', { database: 'sea' });
    const all: (string | undefined)[] = [];
    for await (const each of client.databases.listByServer(group, name)) all.push(each.name);
    expect(all).to.have.members(['postgres', 'sea']);
  });

  it('does one thing at a time to a server, and refuses the rest', async () => {
    const postgres = processOf(name) ?? NaN;
    process.kill(postgres, 'SIGSTOP'); // what begins now does not end
    const rule = { startIpAddress: otherSite, endIpAddress: otherSite };
    try {
      const slow = await client.firewallRules.beginCreateOrUpdate(group, name, 'slow', rule, poll);
      expect(await refusal(allow(name, otherSite))).to.equal('409 ServerIsBusy');
      process.kill(postgres, 'SIGCONT');
      await slow.pollUntilDone();
    } finally {
      process.kill(postgres, 'SIGCONT');
    }
    await client.firewallRules.beginDeleteAndWait(group, name, 'slow', poll);
  });

  it('sets parameters: dynamic ones at once, static ones with a restart, the vendor’s own never', async () => {
    const set = (parameter: string, value: string) =>
      client.configurations.beginPutAndWait(group, name, parameter, { value, source: 'user-override' }, poll);
    expect(await set('default_transaction_read_only', 'on')).to.include({
      value: 'on',
      isDynamicConfig: true,
      isConfigPendingRestart: false,
    });
    expect(await refusedBy(write(1))).to.contain('read-only transaction');
    await set('default_transaction_read_only', 'off');
    await write(1);
    expect(await set('max_connections', '120')).to.include({ value: '120', isConfigPendingRestart: true });
    await client.servers.beginRestartAndWait(group, name, poll);
    expect(await client.configurations.get(group, name, 'max_connections')).to.include({
      value: '120',
      isConfigPendingRestart: false,
    });
    expect(await refusal(set('listen_addresses', '*'))).to.equal('400 ConfigurationReadOnly');
    expect(await refusal(set('log_min_duration_statement', 'soon'))).to.equal('400 InvalidParameterValue');
    expect(await refusal(set('no_such', '1'))).to.equal('404 ConfigurationNotFound');
  });

  it('grows its storage, and never takes less', async () => {
    const grown = await client.servers.beginUpdateAndWait(group, name, { storage: { storageSizeGB: 64 } }, poll);
    expect(grown.storage?.storageSizeGB).to.equal(64);
    expect(await refusal(create(name, body))).to.equal('400 InvalidParameterValue');
    const { storage: _storage, ...rest } = body;
    expect((await create(name, rest)).storage?.storageSizeGB).to.equal(64);
  });

  it('restores to a moment between two writes, in the source’s region only', async () => {
    await write(2);
    await delay(1_000);
    const moment = new Date();
    await delay(1_000);
    await write(3);
    const { id: sourceServerResourceId = '' } = await client.servers.get(group, name);
    const restore: Server = {
      location: 'westeurope',
      createMode: 'PointInTimeRestore',
      sourceServerResourceId,
      pointInTimeUTC: moment,
    };
    expect(await refusal(create('psql-sea-past', { ...restore, location: 'northeurope' }))).to.equal(
      '404 SourceServerNotFound',
    );
    expect(await refusal(create('psql-sea-past', { ...restore, pointInTimeUTC: new Date(0) }))).to.equal(
      '400 InvalidRestorePointInTime',
    );
    expect(await create('psql-sea-past', restore)).to.include({
      state: 'Ready',
      administratorLogin: administrator.login,
    });
    await locate('psql-sea-past');
    expect(await refusedBy(numbers('psql-sea-past'))).to.contain('no pg_hba.conf entry');
    await allow('psql-sea-past', outsider);
    expect(await numbers('psql-sea-past')).to.deep.equal([1, 2]);
    // Nothing was committed after this moment: the end of the log is it.
    await create('psql-sea-now', { ...restore, pointInTimeUTC: new Date() });
    await locate('psql-sea-now');
    await allow('psql-sea-now', outsider);
    expect(await numbers('psql-sea-now')).to.deep.equal([1, 2, 3]);
    for (const each of ['psql-sea-past', 'psql-sea-now']) await client.servers.beginDeleteAndWait(group, each, poll);
  });

  it('restores in the paired region while the source’s region is silent; lost is only what had not been copied', async () => {
    const written = Date.now();
    await until('the copy in the paired region', () => replicatedAt(name) > written);
    service.silence({ prod: 'site', intg: 'none' });
    const { id: sourceServerResourceId = '' } = {
      id: `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${name}`,
    };
    await write(4); // inside the silent region the business may go on for a while
    const began = Date.now();
    const storage = { storageSizeGB: 32 };
    const restore: Server = {
      location: 'northeurope',
      createMode: 'GeoRestore',
      sourceServerResourceId,
      pointInTimeUTC: new Date(),
    };
    expect(await refusal(create('psql-sea-intg', { ...restore, backup: { geoRedundantBackup: 'Enabled' } }))).to.equal(
      '409 GeoRedundantBackupNotAvailable',
    );
    expect(await refusal(create('psql-sea-intg', { ...restore, storage }))).to.equal('400 InvalidParameterValue');
    const made = await create('psql-sea-intg', { ...restore, backup: { geoRedundantBackup: 'Disabled' } });
    expect(made.storage?.storageSizeGB, 'as its source has grown').to.equal(64);
    const seconds = (Date.now() - began) / 1000;
    await locate('psql-sea-intg');
    await allow('psql-sea-intg', outsider);
    expect(await numbers('psql-sea-intg')).to.deep.equal([1, 2, 3]);
    await ask('psql-sea-intg', 'INSERT INTO sentinel (n) VALUES (100)', { database: 'sea' });
    expect(seconds).to.be.below(10);
    service.silence({ prod: 'none', intg: 'none' });
    expect(await numbers(name)).to.deep.equal([1, 2, 3, 4]);
  });

  it('follows as a replica that refuses writes, and loses nothing in a planned promotion', async () => {
    const { id: sourceServerResourceId = '' } = await client.servers.get(group, 'psql-sea-intg');
    const replica: Server = { location: 'westeurope', createMode: 'Replica', sourceServerResourceId };
    expect(await refusal(create('psql-sea-back', { ...replica, storage: { storageSizeGB: 32 } }))).to.equal(
      '400 InvalidParameterValue',
    );
    expect(await refusal(create('psql-sea-back', { ...replica, backup: { geoRedundantBackup: 'Enabled' } }))).to.equal(
      '400 GeoRedundantBackupNotSupportedForReplica',
    );
    expect(await create('psql-sea-back', replica)).to.include({ replicationRole: 'GeoAsyncReplica' });
    await locate('psql-sea-back');
    const rules: (string | undefined)[] = [];
    for await (const rule of client.firewallRules.listByServer(group, 'psql-sea-back')) rules.push(rule.name);
    expect(rules, "its source's").to.deep.equal([`from-${outsider.replaceAll('.', '-')}`]);
    expect(await refusedBy(ask('psql-sea-back', 'DELETE FROM sentinel', { database: 'sea' }))).to.contain(
      'read-only transaction',
    );
    await until(
      'streaming',
      async () => (await client.servers.get(group, 'psql-sea-back')).replica?.replicationState === 'Active',
    );
    expect((await client.servers.get(group, 'psql-sea-intg')).replicationRole).to.equal('Primary');
    expect(await refusal(client.servers.beginDeleteAndWait(group, 'psql-sea-intg'))).to.equal(
      '409 CannotDeleteResource',
    );

    const promotion = (promoteMode: string): Server => ({
      ...replica,
      createMode: 'Update',
      replica: { role: 'None', promoteMode, promoteOption: 'Planned' },
    });
    expect(await refusal(create('psql-sea-back', promotion('Switchover')))).to.equal('400 VirtualEndpointNotFound');
    // The replica is behind when it is to be promoted.
    const [receiver] = await ask('psql-sea-back', 'SELECT pid FROM pg_stat_wal_receiver');
    process.kill(Number(receiver?.['pid']), 'SIGSTOP');
    await ask('psql-sea-intg', 'INSERT INTO sentinel SELECT generate_series(1000, 20000)', { database: 'sea' });
    const promoted = create('psql-sea-back', promotion('Standalone'));
    await delay(1_000);
    process.kill(Number(receiver?.['pid']), 'SIGCONT');
    await promoted;
    expect(await numbers('psql-sea-back')).to.deep.equal(await numbers('psql-sea-intg'));
    await ask('psql-sea-back', 'INSERT INTO sentinel (n) VALUES (101)', { database: 'sea' });
    expect((await client.servers.get(group, 'psql-sea-back')).replicationRole).to.equal('None');
    await create('psql-sea-back', promotion('Standalone')); // a second time changes nothing
  });

  it('refuses a planned promotion without its source, and forces one', async () => {
    const { id: sourceServerResourceId = '' } = await client.servers.get(group, 'psql-sea-back');
    await create('psql-sea-alone', { location: 'northeurope', createMode: 'Replica', sourceServerResourceId });
    await client.servers.beginStopAndWait(group, 'psql-sea-back', poll);
    expect((await client.servers.get(group, 'psql-sea-back')).state).to.equal('Stopped');
    const promotion = (promoteOption: string): Server => ({
      location: 'northeurope',
      createMode: 'Update',
      replica: { role: 'None', promoteMode: 'Standalone', promoteOption },
    });
    expect(await refusal(create('psql-sea-alone', promotion('Planned')))).to.equal('409 SourceServerUnreachable');
    expect(await create('psql-sea-alone', promotion('Forced'))).to.include({ replicationRole: 'None' });
    await locate('psql-sea-alone');
    await allow('psql-sea-alone', outsider);
    await ask('psql-sea-alone', 'DELETE FROM sentinel', { database: 'sea' });
    for (const each of ['psql-sea-alone', 'psql-sea-back', 'psql-sea-intg'])
      await client.servers.beginDeleteAndWait(group, each, poll);
  });

  it('takes a backup when asked, lists it beside the automatic ones', async () => {
    await client.backupsAutomaticAndOnDemand.beginCreateAndWait(group, name, 'before-release', poll);
    const all: (string | undefined)[] = [];
    for await (const each of client.backupsAutomaticAndOnDemand.listByServer(group, name)) all.push(each.backupType);
    expect(all).to.have.members(['Full', 'Customer On-Demand']);
  });

  it('finds its servers again after it was killed, and starts one that ended', async () => {
    const pid = () => processOf(name);
    const before = pid();
    await service.end('SIGKILL');
    const alone = await numbers(name).catch(String);
    await service.run();
    expect(alone).to.deep.equal([1, 2, 3, 4]);
    expect(pid()).to.equal(before);
    process.kill(before ?? NaN, 'SIGKILL');
    await until('another process', () => ![undefined, before].includes(pid()));
    await until('answers', () =>
      numbers(name).then(
        (rows) => rows.length === 4,
        () => false,
      ),
    );
  });
});
