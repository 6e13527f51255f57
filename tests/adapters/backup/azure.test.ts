import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { ResourceManagementClient } from '@azure/arm-resources';
import { expect } from 'chai';
import { buildSync } from 'esbuild';
import { fork, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type * as standpointsModule from '../../../sandbox/network/standpoints';
import { address, Service, subscription, tenant, world } from '../../azure/service';
import { administrator } from '../../azure-postgres/client';
import { modulesOf } from '../../support/modules';
import type { Order, Report } from './restorer';

const repository = path.resolve(__dirname, '../../..');
const group = 'rg-db';
const name = 'psql-acme-prod';
const person = address(30, 99);
const poll = { updateIntervalInMs: 50 };
const servers = `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers`;

const context = {
  server: name,
  configuration: { company: 'acme', database: 'prod', identity: 'prod', recoveries: [] },
  landscape: {
    sites: {
      prod: {
        database: {
          ...{ server: name, serverId: `${servers}/${name}`, fqdn: `${name}.postgres.database.azure.com`, port: 5432 },
          ...{ user: administrator.login, database: 'shop', operatorAddresses: [person] },
        },
        identity: { database: 'keycloak', app: 'idp', environmentDomain: 'none' },
      },
    },
    secrets: { prod: { databasePassword: administrator.password } },
  },
};

class Restorer {
  private child: ChildProcess | undefined;
  private readonly waiting = new Map<number, (report: Report) => void>();
  private orders = 0;

  constructor(private readonly env: Readonly<Record<string, string>>) {}

  start(hook: string): Promise<void> {
    const execArgv = ['-r', hook, '-r', 'ts-node/register/transpile-only'];
    const child = fork(path.join(__dirname, 'restorer.ts'), {
      cwd: repository,
      env: { ...process.env, ...this.env },
      execArgv,
    });
    this.child = child;
    return new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the restorer ended with ${code}`)));
      child.on('message', (report: Report) => {
        if (report.id === 0) resolve();
        this.waiting.get(report.id)?.(report);
      });
    });
  }

  kill = () => this.child?.kill('SIGKILL');

  report(act: Order['act'], ...args: unknown[]): Promise<Report> {
    const id = (this.orders += 1);
    this.child?.send({ id, act, args } satisfies Order);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  async ask<T>(act: Order['act'], ...args: unknown[]): Promise<T> {
    const { result, fault } = await this.report(act, ...args);
    if (fault) throw new Error(`${fault.code}: ${fault.message}`);
    return result as T;
  }
}

describe('adapters: recovery by the managed server itself', function () {
  this.timeout(90_000);
  const service = new Service();
  const hook = path.join(service.home, 'hook.js');
  let client: PostgreSQLManagementFlexibleServerClient;
  let restorer: Restorer;
  let between = 0;

  interface Made {
    readonly name: string;
    readonly host: string;
    readonly hidden: boolean;
    readonly recoveryPoint: number;
  }
  const numbers = async (server: string) =>
    (await restorer.ask<{ n: number }[]>('sql', server, 'SELECT n FROM sentinel ORDER BY n')).map(({ n }) => n);
  const names = async () => {
    const found: string[] = [];
    for await (const server of client.servers.listByResourceGroup(group)) found.push(server.name ?? '');
    return found.sort();
  };

  before(async () => {
    await service.start();
    client = new PostgreSQLManagementFlexibleServerClient(service.credential, subscription, service.options);
    const resources = new ResourceManagementClient(service.credential, subscription, service.options);
    await resources.resourceGroups.createOrUpdate(group, { location: 'northeurope' });
    await client.servers.beginCreateOrUpdateAndWait(
      group,
      name,
      {
        location: 'westeurope',
        sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
        version: '15',
        administratorLogin: administrator.login,
        administratorLoginPassword: administrator.password,
        storage: { storageSizeGB: 32, autoGrow: 'Enabled' },
        backup: { backupRetentionDays: 35, geoRedundantBackup: 'Disabled' },
      },
      poll,
    );
    const rule = { startIpAddress: person, endIpAddress: person };
    await client.firewallRules.beginCreateOrUpdateAndWait(group, name, 'person', rule, poll);
    buildSync({
      entryPoints: [path.join(repository, 'sandbox/network/hook.ts')],
      ...{ outfile: hook, bundle: true, platform: 'node', format: 'cjs', packages: 'external', logLevel: 'error' },
    });
    const { standpoints } = modulesOf<{ standpoints: typeof standpointsModule }>(
      { STANDBY_WORLD: String(world), STANDBY_HOME: service.home },
      { standpoints: 'network/standpoints' },
    );
    restorer = new Restorer({
      NODE_EXTRA_CA_CERTS: path.join(service.home, 'run', 'authority', 'ca.pem'),
      ...{ STANDBY_WORLD: String(world), STANDBY_HOME: service.home },
      STANDBY_NET: JSON.stringify({
        ...standpoints.outsideStandpoint,
        address: person,
        resolver: `${address(30, 16)}:5353`,
      }),
      ARM_METADATA_HOSTNAME: `http://${address(30, 10)}:8080`,
      ...{ ARM_TENANT_ID: tenant, ARM_SUBSCRIPTION_ID: subscription, ARM_DISABLE_INSTANCE_DISCOVERY: 'true' },
      ...{ ARM_CLIENT_ID: '00000000-0000-4000-8000-0000000000d0', ARM_CLIENT_SECRET: service['secret'] },
      TRIAL_CONTEXT: JSON.stringify(context),
    });
    await restorer.start(hook);
    await restorer.ask('sql', name, 'CREATE DATABASE shop', 'postgres');
    await restorer.ask('sql', name, 'CREATE TABLE sentinel (n int PRIMARY KEY); INSERT INTO sentinel VALUES (1)');
    for (const end = Date.now() + 30_000; (await restorer.report('range')).fault; await delay(100)) {
      if (Date.now() > end) throw new Error('no first backup within 30 s');
    }
    await restorer.ask('sql', name, 'INSERT INTO sentinel VALUES (2)');
    await delay(1_100);
    between = Math.floor(Date.now() / 1_000) * 1_000;
    await delay(1_100);
    await restorer.ask('sql', name, 'INSERT INTO sentinel VALUES (3)');
    // The vendor tells its time in whole seconds: its newest moment is behind the row until the next one begins.
    const written = Date.now();
    while ((await restorer.ask<{ latest: number }>('range')).latest <= written) await delay(50);
  });
  after(async () => {
    restorer?.kill();
    await service.stop();
  });

  it('restores to a second into a server of its own, which only who restores can reach, and removes it', async () => {
    const range = await restorer.ask<{ earliest: number; latest: number }>('range');
    expect(range.earliest)
      .to.be.below(between)
      .and.above(between - 120_000);
    expect(range.latest).to.be.at.least(between);
    const made = await restorer.ask<Made>('restore', between);
    expect(made.name).to.match(/^psql-acme-restore-[0-9a-f]{8}$/);
    expect(made).to.include({ recoveryPoint: between, hidden: true });
    expect(await numbers(made.name)).to.deep.equal([1, 2]);
    expect(await numbers(name)).to.deep.equal([1, 2, 3]);
    const rules: (string | undefined)[] = [];
    for await (const rule of client.firewallRules.listByServer(group, made.name)) rules.push(rule.startIpAddress);
    expect(rules).to.deep.equal([person]);
    await restorer.ask('discard', made.name);
    expect(await names()).to.deep.equal([name]);
  });

  it('leaves what is to stay with its end as a tag and the source’s password, and takes no name that exists', async () => {
    const stay = { name: 'psql-acme-prod-e2', expiresAt: Date.now() + 3_600_000 };
    await restorer.ask('restore', 'latest', stay);
    expect(await numbers(stay.name)).to.deep.equal([1, 2, 3]);
    const again = await restorer.report('restore', 'latest', stay);
    expect(again.fault?.code).to.equal('ServerExists');
    expect((await restorer.report('restore', 'latest', { ...stay, name })).fault?.code).to.equal('ServerExists');
    const { tags } = await client.servers.get(group, stay.name);
    expect(tags).to.include({ 'standby-purpose': 'restore', 'standby-stays': 'true', 'standby-source': name });
    expect(await restorer.ask('remains')).to.deep.equal([{ ...stay, who: 'eva@home', source: name, stays: true }]);
    await restorer.ask('remove', stay.name);
    expect(await names()).to.deep.equal([name]);
  });

  it('removes on the side what nobody asked for once its time is over, and nothing that somebody may work on', async () => {
    const hour = 3_600_000;
    const stay = { name: 'psql-acme-prod-looked-at', expiresAt: Date.now() + hour };
    await restorer.ask('restore', 'latest', stay);
    const thrown = await restorer.ask<Made>('restore', 'latest');
    await restorer.ask('clean', Date.now());
    expect(await names()).to.have.members([name, stay.name, thrown.name]);
    await restorer.ask('clean', stay.expiresAt);
    expect(await names()).to.have.members([name, stay.name, thrown.name]);
    await restorer.ask('clean', stay.expiresAt + 24 * hour);
    expect(await names()).to.have.members([name, stay.name]);
    await restorer.ask('remove', stay.name);
  });

  it('never removes a server that no restore made', async () => {
    expect((await restorer.report('remove', name)).fault?.code).to.equal('NotARestore');
    expect(await names()).to.deep.equal([name]);
  });

  it('says what Azure refuses, and leaves nothing of it', async () => {
    const { fault } = await restorer.report('restore', between - 30 * 86_400_000);
    expect(fault?.code).to.equal('AzureRefused');
    expect(fault?.message).to.contain('InvalidRestorePointInTime');
    expect(await names()).to.deep.equal([name]);
  });

  it('is found and removed after a kill in the middle', async () => {
    void restorer.report('restore', between);
    for (const end = Date.now() + 30_000; (await names()).length === 1; await delay(20)) {
      if (Date.now() > end) throw new Error('nothing was begun');
    }
    restorer.kill();
    await restorer.start(hook);
    const [left] = await restorer.ask<{ name: string; stays: boolean }[]>('remains');
    expect(left).to.include({ stays: false });
    await restorer.ask('remove', left?.name);
    expect(await restorer.ask('remains')).to.deep.equal([]);
    expect(await names()).to.deep.equal([name]);
  });
});
