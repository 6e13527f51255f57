import { expect } from 'chai';
import { parseLandscape } from '../../config/landscape';
import { planOf, run, sitesMade, World, type Change, type Config, type Registered, type Run } from './engine';

const platformDigest = 'a'.repeat(64);
const home: Config = {
  ...planOf('failover'),
  release: `1.4.1@sha256:${platformDigest}`,
};
const branch1a: Config = { ...home, activeSite: 'intg', unreachable: 'prod-cluster', epoch: 2 };
const restore = { epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' };
const branch1b: Config = {
  ...home,
  ...{ activeSite: 'intg', database: 'restored', identity: 'restored', unreachable: 'prod', epoch: 2 },
  recoveries: [restore],
};
const replica = { epoch: 3, site: 'prod', method: 'replica', from: 'psql-moodtalk-intg-e2' };
const prepared: Config = { ...branch1b, unreachable: 'none', epoch: 3, recoveries: [restore, replica] };
const homeOnReplica: Config = {
  ...prepared,
  ...{ activeSite: 'prod', database: 'prod', identity: 'prod', epoch: 4 },
  recoveries: [restore, { ...replica, promoted: true }],
};

const server = 'azure-native:dbforpostgresql:Server';
const rule = 'azure-native:dbforpostgresql:FirewallRule';
const parameter = 'azure-native:dbforpostgresql:Configuration';
const grant = 'azure-native:authorization:RoleAssignment';
const deployment = 'kubernetes:apps/v1:Deployment';
const record = 'cloudflare:index/dnsRecord:DnsRecord';

const isApplication = (one: Registered) => one.type === deployment && !one.name.endsWith('-agent-deployment');

const isOf = (site: 'prod' | 'intg', one: Registered): boolean =>
  one.provider.includes(`kubernetes-${site}`) ||
  one.inputs['resourceGroupName'] === `rg-moodtalk-${site}` ||
  JSON.stringify(one.inputs['scope'] ?? '').endsWith(`/rg-moodtalk-${site}"`);

describe('the failover stack, from one switch to the next', function () {
  this.timeout(60_000);
  let references: Readonly<Record<string, unknown>>;
  let world: World;
  let last: Run;

  /** A program is run twice per switch: what differs between the two would show in every preview. */
  const runs = new Map<string, readonly [Run, Run]>();
  const runTwice = async (config: Config) => {
    const key = JSON.stringify(config);
    const both =
      runs.get(key) ??
      ([await run('failover', config, references), await run('failover', config, references)] as const);
    runs.set(key, both);
    return both;
  };

  const become = async (config: Config): Promise<ReadonlyMap<string, Change>> => {
    const [first, second] = await runTwice(config);
    last = first;
    const before = new Map(world.resources.map((one) => [`${one.type} ${one.name}`, one]));
    const changes = world.apply(first);
    expect([...changes].filter(([, change]) => change === 'delete')).to.deep.equal([]);
    expect([...world.apply(second)], 'a second update changes nothing').to.deep.equal([]);
    for (const one of world.resources.filter((resource) => resource.type === server)) {
      const old = before.get(`${server} ${one.name}`)?.inputs ?? one.inputs;
      for (const key of ['serverName', 'sourceServerResourceId', 'createMode', 'pointInTimeUTC', 'location', 'backup'])
        expect(one.inputs[key], `${one.name} keeps ${key}`).to.deep.equal(old[key]);
      expect(one.protect, `${one.name} is protected`).to.equal(true);
    }
    expect([...before.values()].filter((one) => one.type === server && !world.find(server, one.name))).to.deep.equal(
      [],
    );
    return changes;
  };

  /** Nothing of the site is made, changed, removed or asked; its objects on the cluster are forgotten at most. */
  const leavesAlone = (site: 'prod' | 'intg', changes: ReadonlyMap<string, Change>): void => {
    const touched = last.resources.filter((one) => isOf(site, one) && changes.has(`${one.type} ${one.name}`));
    expect(touched.map((one) => `${one.type} ${one.name}`)).to.deep.equal([]);
    expect(last.resources.filter((one) => one.provider.includes(`kubernetes-${site}`))).to.deep.equal([]);
    expect(last.calls.filter((call) => call.endsWith(`aks-moodtalk-${site}`))).to.deep.equal([]);
  };
  const changed = (changes: ReadonlyMap<string, Change>, type: string) =>
    [...changes].filter(([key]) => key.startsWith(`${type} `)).map(([key, change]) => [key.split(' ')[1], change]);
  const replicas = (site: string) => [
    ...new Set(
      world.resources
        .filter((one) => isApplication(one) && one.provider.includes(`kubernetes-${site}`))
        .map((one) => (one.inputs['spec'] as { replicas: number }).replicas),
    ),
  ];
  const value = (type: string, name: string, key: string) => world.find(type, name).inputs[key];
  const position = (type: string, name: string) =>
    last.resources.findIndex((one) => one.type === type && one.name.startsWith(name));
  const lastPosition = (type: string, name: string) =>
    last.resources.findLastIndex((one) => one.type === type && one.name.startsWith(name));
  const addresses = () => [
    ...new Set(world.resources.filter((one) => one.type === record).map((one) => one.inputs['content'])),
  ];

  before(async () => {
    references = await sitesMade();
  });

  beforeEach(async () => {
    world = new World();
    await become(home);
  });

  it('runs PROD at home, with INTG ready and standing still', () => {
    expect(replicas('prod')).to.deep.equal([2]);
    expect(replicas('intg')).to.deep.equal([0]);
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.10.1');
    expect(value(parameter, 'fence-psql-moodtalk-prod-read-only', 'value')).to.equal('off');
    expect(world.resources.filter((one) => one.type === server)).to.deep.equal([]);
  });

  it('1a: INTG works on PROD’s database, and PROD’s cluster is not asked', async () => {
    const changes = await become(branch1a);
    expect(last.calls).not.to.include(
      'azure-native:containerservice:listManagedClusterUserCredentials aks-moodtalk-prod',
    );
    expect(last.resources.some((one) => one.provider.includes('kubernetes-prod'))).to.equal(false);
    expect(replicas('intg')).to.deep.equal([2]);
    expect(addresses()).to.deep.equal(['203.0.20.2']);
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.20.1');
    expect(String(value(grant, 'grant-intg-reader', 'scope'))).to.match(/\/rg-moodtalk-prod$/);
    expect(value(parameter, 'fence-psql-moodtalk-prod-read-only', 'value')).to.equal('off');
    expect(changed(changes, record)).to.have.length(6);
    expect(changed(changes, server)).to.deep.equal([]);
    expect([
      ...new Set(changed(changes, deployment).map(([name, change]) => `${name?.split('-')[1]} ${change}`)),
    ]).to.have.members(['intg update', 'prod forget']);
  });

  it('1a to home: INTG stands still before PROD starts, and the way into the database is closed again', async () => {
    await become(branch1a);
    const changes = await become({ ...home, epoch: 3 });
    expect(replicas('prod')).to.deep.equal([2]);
    expect(replicas('intg')).to.deep.equal([0]);
    expect(lastPosition(deployment, 'platform-intg')).to.be.lessThan(position(deployment, 'platform-prod'));
    expect(lastPosition(deployment, 'platform-prod')).to.be.lessThan(position(record, 'public'));
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.10.1');
    expect(String(value(grant, 'grant-intg-reader', 'scope'))).to.match(/\/rg-moodtalk-intg$/);
    expect(changed(changes, record).map(([, change]) => change)).to.deep.equal(Array(6).fill('update'));
  });

  it('1b: INTG works on what was restored, and nothing of PROD is touched', async () => {
    const changes = await become(branch1b);
    leavesAlone('prod', changes);
    expect(changed(changes, server)).to.deep.equal([['psql-moodtalk-intg-e2-server', 'create']]);
    const restored = world.find(server, 'psql-moodtalk-intg-e2-server').inputs;
    expect(restored).to.include({
      createMode: 'GeoRestore',
      serverName: 'psql-moodtalk-intg-e2',
      location: 'northeurope',
    });
    expect(restored['backup'], 'while its pair is gone').to.include({ geoRedundantBackup: 'Disabled' });
    expect(String(restored['sourceServerResourceId'])).to.match(/rg-moodtalk-prod\/.*\/psql-moodtalk-prod$/);
    expect(value(parameter, 'fence-psql-moodtalk-intg-e2-read-only', 'value')).to.equal('off');
    expect(last.outputs).to.include({
      databaseFqdn: 'psql-moodtalk-intg-e2.postgres.database.azure.com',
      identityFqdn: 'ca-moodtalk-intg-idp-e2.sea-20.azurecontainerapps.io',
    });
    // One thing at a time: rules of its own, fence, admission.
    const fence = world.find('standby:access:WriteFence', 'fence-psql-moodtalk-intg-e2');
    expect(fence.dependsOn).to.include('psql-moodtalk-intg-e2-own-site');
    const admission = world.find('standby:access:DatabaseAdmission', 'admission-psql-moodtalk-intg-e2');
    expect(admission.dependsOn).to.include('fence-psql-moodtalk-intg-e2-read-only');
    expect(replicas('intg')).to.deep.equal([2]);
    expect(position(server, 'psql-moodtalk-intg-e2')).to.be.lessThan(position(deployment, 'platform-intg'));
    expect(lastPosition(deployment, 'platform-intg')).to.be.lessThan(position(record, 'public'));
    expect(position('azure-native:app:ContainerApp', 'idp-psql')).to.be.lessThan(position(record, 'public'));
  });

  it('1b by import: an empty server of its own, closed while it is only made; then as if it had been restored', async () => {
    const backups = { 'database/moodtalk': '20260201T020000Z-aaaaaa', identity: '20260201T010000Z' };
    const imported = { ...branch1b, recoveries: [{ ...restore, method: 'import', backups }] };
    const made = await become({ ...imported, stage: 'made' });
    leavesAlone('prod', made);
    expect(changed(made, server)).to.deep.equal([['psql-moodtalk-intg-e2-server', 'create']]);
    const { inputs, secrets } = world.find(server, 'psql-moodtalk-intg-e2-server');
    expect(inputs)
      .to.include({ createMode: 'Default', location: 'northeurope', administratorLogin: 'standby' })
      .and.not.have.property('sourceServerResourceId');
    // Whoever had the password of the server that is lost has the one of this.
    expect(inputs['administratorLoginPassword']).to.equal('result-of-database-password');
    expect(secrets).to.include('administratorLoginPassword');
    expect(value(parameter, 'fence-psql-moodtalk-intg-e2-read-only', 'value')).to.equal('on');
    expect(replicas('intg')).to.deep.equal([0]);
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    const bound = await become({ ...imported, stage: 'bound' });
    expect(changed(bound, server)).to.deep.equal([]);
    expect(value(parameter, 'fence-psql-moodtalk-intg-e2-read-only', 'value')).to.equal('off');
    expect(replicas('intg')).to.deep.equal([2]);
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    leavesAlone('prod', await become(imported));
    expect(addresses()).to.deep.equal(['203.0.20.2']);
    await become({ ...prepared, recoveries: [...imported.recoveries, replica] });
    await become({ ...homeOnReplica, recoveries: [...imported.recoveries, { ...replica, promoted: true }] });
    expect(value(parameter, 'fence-psql-moodtalk-intg-e2-read-only', 'value')).to.equal('on');
  });

  it('1b to a prepared return: PROD is taken back closed, a replica follows INTG', async () => {
    await become(branch1b);
    const changes = await become(prepared);
    expect(replicas('prod')).to.deep.equal([0]);
    expect(replicas('intg')).to.deep.equal([2]);
    expect(addresses()).to.deep.equal(['203.0.20.2']);
    expect(value(parameter, 'fence-psql-moodtalk-prod-read-only', 'value')).to.equal('on');
    const follower = world.find(server, 'psql-moodtalk-prod-e3-server').inputs;
    expect(follower).to.include({ createMode: 'Replica', location: 'westeurope' }).and.not.have.property('replica');
    expect(value(parameter, 'fence-psql-moodtalk-prod-e3-read-only', 'value')).to.equal('off');
    expect(changed(changes, 'azure-native:app:ContainerApp')).to.deep.equal([
      ['idp-psql-moodtalk-prod-e3-app', 'create'],
    ]);
    expect(
      JSON.stringify(world.find('azure-native:app:ContainerApp', 'idp-psql-moodtalk-prod-e3-app').inputs),
    ).to.contain('"minReplicas":0');
  });

  it('prepared return to home: INTG stands still, its database is closed, then the replica is promoted and PROD starts', async () => {
    await become(branch1b);
    await become(prepared);
    const changes = await become(homeOnReplica);
    expect(changed(changes, server)).to.deep.equal([['psql-moodtalk-prod-e3-server', 'update']]);
    expect(value(server, 'psql-moodtalk-prod-e3-server', 'replica')).to.deep.equal({
      role: 'None',
      promoteMode: 'Standalone',
      promoteOption: 'Planned',
    });
    expect(value(parameter, 'fence-psql-moodtalk-intg-e2-read-only', 'value')).to.equal('on');
    expect(value(parameter, 'fence-psql-moodtalk-prod-e3-read-only', 'value')).to.equal('off');
    const order = [
      lastPosition(deployment, 'platform-intg'),
      position(parameter, 'fence-psql-moodtalk-intg-e2'),
      position(server, 'psql-moodtalk-prod-e3'),
      position(deployment, 'platform-prod'),
      position(record, 'public'),
    ];
    expect(order).to.deep.equal([...order].sort((one, other) => one - other));
    expect(last.outputs).to.include({ activeSite: 'prod', databaseServer: 'psql-moodtalk-prod-e3' });
    const idle = world.find('azure-native:app:ContainerApp', 'idp-psql-moodtalk-intg-e2-app').inputs;
    expect((idle['template'] as { scale: object }).scale).to.deep.equal({ minReplicas: 0, maxReplicas: 1 });
  });

  it('home on the replica to 1a: INTG is let into the new server, the old one stays closed', async () => {
    for (const config of [branch1b, prepared, homeOnReplica]) await become(config);
    await become({ ...homeOnReplica, activeSite: 'intg', unreachable: 'prod-cluster', epoch: 5 });
    expect(value(rule, 'admission-psql-moodtalk-prod-e3-active-site', 'startIpAddress')).to.equal('203.0.20.1');
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.10.1');
    expect(value(parameter, 'fence-psql-moodtalk-prod-read-only', 'value')).to.equal('on');
    expect(value(parameter, 'fence-psql-moodtalk-prod-e3-read-only', 'value')).to.equal('off');
  });

  it('1a to 1b: what was opened in PROD stays as it is until PROD answers, then it is closed', async () => {
    await become(branch1a);
    const lost = { ...branch1b, epoch: 3, recoveries: [{ ...restore, epoch: 3 }] };
    const changes = await become(lost);
    leavesAlone('prod', changes);
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.20.1');
    expect(String(value(grant, 'grant-intg-reader', 'scope'))).to.match(/\/rg-moodtalk-prod$/);
    await become({ ...lost, unreachable: 'none' });
    expect(value(rule, 'admission-psql-moodtalk-prod-active-site', 'startIpAddress')).to.equal('203.0.10.1');
    expect(String(value(grant, 'grant-intg-reader', 'scope'))).to.match(/\/rg-moodtalk-intg$/);
    expect(value(parameter, 'fence-psql-moodtalk-prod-read-only', 'value')).to.equal('on');
  });

  it('PROD lost again after the return: its recovered server is left alone too', async () => {
    for (const config of [branch1b, prepared, homeOnReplica]) await become(config);
    const standby = { epoch: 5, site: 'intg', method: 'replica', from: 'psql-moodtalk-prod-e3' };
    const recoveries = [...(homeOnReplica['recoveries'] as object[]), standby];
    await become({ ...homeOnReplica, epoch: 5, recoveries });
    const changes = await become({
      ...homeOnReplica,
      ...{ activeSite: 'intg', database: 'restored', identity: 'restored', unreachable: 'prod', epoch: 6 },
      recoveries: [...recoveries.slice(0, 2), { ...standby, promoted: true, promotion: 'forced' }],
    });
    leavesAlone('prod', changes);
    expect(last.outputs).to.include({ databaseServer: 'psql-moodtalk-intg-e5' });
    expect(value(server, 'psql-moodtalk-intg-e5-server', 'replica')).to.deep.include({ promoteOption: 'Forced' });
  });

  it('INTG lost while PROD works: nothing of INTG is touched', async () => {
    leavesAlone('intg', await become({ ...home, unreachable: 'intg' }));
    expect(replicas('prod')).to.deep.equal([2]);
  });

  it('forgets the objects of a lost cluster through a provider that asks nobody', async () => {
    await become(branch1a);
    const { inputs } = world.find('pulumi:providers:kubernetes', 'kubernetes-prod');
    expect(inputs['kubeconfig']).to.match(/https:\/\/127\.0\.0\.1:1"/);
    expect(inputs['clusterIdentifier']).to.match(/aks-moodtalk-prod$/);
    for (const one of last.resources.filter(({ type, custom }) => custom && type.startsWith('kubernetes:')))
      expect(one.retainOnDelete, one.name).to.equal(true);
  });

  it('keeps documents outside both sites, where no change of role touches them', async () => {
    const writers = ['11111111-2222-4333-8444-555555555555'];
    const documents = { retentionDays: 400, writers };
    await become(home);
    const made = [...(await become({ ...home, documents }))].filter(([, change]) => change !== 'update');
    expect(made.map(([key, change]) => `${change} ${key.split(' ')[1]}`)).to.have.members(
      [
        ...['documents-group', 'documents', 'documents-account', 'documents-blobs', 'documents-container'],
        ...['documents-lifecycle', `documents-${writers[0]}-access`],
      ].map((name) => `create ${name}`),
    );
    const { location } = world.find('azure-native:storage:StorageAccount', 'documents-account').inputs;
    expect(location).to.equal('swedencentral');
    expect(world.find('azure-native:resources:ResourceGroup', 'documents-group').protect).to.equal(true);
    const { documents: told } = parseLandscape(last.outputs['landscape']);
    const endpoint = 'https://stmoodtalkdocuments.blob.core.windows.net/';
    expect(told).to.deep.equal({ account: 'stmoodtalkdocuments', endpoint, container: 'documents' });
    const moved = [...(await become({ ...branch1b, documents })).keys()].filter((key) => / documents/.test(key));
    expect(moved).to.deep.equal([]);
  });

  it('keeps secrets secret', () => {
    const secretsOf = (type: string, name: string) => world.find(type, name).secrets;
    expect(secretsOf('kubernetes:core/v1:Secret', 'platform-prod-binding')).to.include('stringData');
    expect(secretsOf('pulumi:providers:kubernetes', 'kubernetes-prod')).to.include('kubeconfig');
    const { landscape, ...told } = last.outputs;
    expect(JSON.stringify(told)).not.to.contain('result-of-');
    expect(last.secretOutputs).to.deep.equal(['landscape']);
    expect(parseLandscape(landscape).secrets.prod.databasePassword).to.equal('result-of-database-password');
    const open = world.resources.filter((one) => one.type === deployment).map((one) => JSON.stringify(one.inputs));
    expect(open.join()).not.to.contain('result-of-');
  });
});
