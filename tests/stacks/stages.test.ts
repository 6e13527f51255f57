/** What the pieces of a change of role do, and what is prepared before one. */
import { expect } from 'chai';
import { epochPassword } from '../../config/credentials';
import { sitesMade, update, planOf, World, type Change, type Config, type Registered, type Run } from './engine';

const home = planOf('failover');
const follower = { epoch: 1, site: 'intg', method: 'replica', from: 'psql-moodtalk-prod' };
const restore = { epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' };
const restored: Config = {
  ...home,
  ...{ activeSite: 'intg', database: 'restored', identity: 'restored', unreachable: 'prod', epoch: 2 },
  recoveries: [restore],
};
const onReplica: Config = {
  ...home,
  ...{ activeSite: 'intg', database: 'restored', identity: 'restored', epoch: 2 },
  recoveries: [{ ...follower, promoted: true }],
};

const deployment = 'kubernetes:apps/v1:Deployment';
const record = 'cloudflare:index/dnsRecord:DnsRecord';
const rule = 'azure-native:dbforpostgresql:FirewallRule';
const parameter = 'azure-native:dbforpostgresql:Configuration';
const app = 'azure-native:app:ContainerApp';
type Json = Record<string, unknown>;

describe('a change of role, piece by piece', function () {
  this.timeout(120_000);
  let references: Readonly<Record<string, unknown>>;
  let world: World;
  let last: Run;

  const become = async (config: Config): Promise<ReadonlyMap<string, Change>> => {
    const done = await update(world, config, references);
    last = done.last;
    return done.changes;
  };
  const changedOf = (changes: ReadonlyMap<string, Change>, type: string) =>
    [...changes.keys()].filter((key) => key.startsWith(`${type} `)).map((key) => key.split(' ')[1]);
  const ofSite = (site: string) => (one: Registered) => one.provider.includes(`kubernetes-${site}`);
  const applications = (site: string) =>
    world.resources.filter((one) => one.type === deployment && ofSite(site)(one) && !one.name.includes('-agent-'));
  const replicas = (site: string) => [
    ...new Set(applications(site).map((one) => (one.inputs['spec'] as { replicas: number }).replicas)),
  ];
  const environmentOf = (name: string) => {
    const { spec } = world.find(deployment, name).inputs as { spec: { template: { spec: { containers: Json[] } } } };
    const env = (spec.template.spec.containers[0]?.['env'] ?? []) as { name: string; value?: string }[];
    return Object.fromEntries(env.map(({ name: key, value }) => [key, value]));
  };
  const value = (type: string, name: string, key: string) => world.find(type, name).inputs[key];
  const admitted = (server: string) => value(rule, `admission-${server}-active-site`, 'startIpAddress');
  const minReplicas = (name: string) =>
    (world.find(app, name).inputs['template'] as { scale: { minReplicas: number } }).scale.minReplicas;
  const closed = (server: string) => value(parameter, `fence-${server}-read-only`, 'value');
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

  it('has an agent on each site: one that is to hold the right to write, one that is not', () => {
    expect(environmentOf('platform-prod-agent-deployment')).to.include({
      ...{ ACTIVE: 'true', EPOCH: '1', WRITER_LEASE: 'on', PGHOST: 'psql-moodtalk-prod.postgres.database.azure.com' },
      ...{ STORE_ENDPOINT: 'https://stmoodtalkstandby.blob.core.windows.net/', STORE_CONTAINER: 'standby' },
      ...{ HOST: 'standby.prod.internal.moodtalk.ch', OTHER_HOST: 'standby.intg.internal.moodtalk.ch' },
      ...{ OTHER_ADDRESS: '203.0.20.2', AZURE_CLIENT_ID: 'client-id-moodtalk-prod' },
    });
    expect(environmentOf('platform-intg-agent-deployment')).to.include({ ACTIVE: 'false', EPOCH: '1' });
    const zones = ['prod', 'intg'].map((site) =>
      JSON.stringify(
        world.find('azure-native:privatedns:PrivateRecordSet', `internal-${site}-standby`).inputs['aRecords'],
      ),
    );
    expect(zones).to.deep.equal(['[{"ipv4Address":"203.0.10.2"}]', '[{"ipv4Address":"203.0.20.2"}]']);
  });

  it('binds the applications by a login of the epoch, and leaves the administrator’s to the agent', async () => {
    const passwordOf = (name: string, key: string) =>
      (world.find('kubernetes:core/v1:Secret', name).inputs['stringData'] as Record<string, string>)[key];
    expect(environmentOf('platform-prod-api-deployment')).to.include({ PGUSER: 'moodtalk_e1' });
    const secret = 'result-of-database-password';
    expect(passwordOf('platform-prod-binding', 'database-password')).to.equal(epochPassword(secret, 1));
    expect(passwordOf('platform-prod-agent-secret', 'database-password')).to.equal(secret);
    await become({ ...home, activeSite: 'intg', epoch: 2 });
    expect(environmentOf('platform-intg-api-deployment')).to.include({ PGUSER: 'moodtalk_e2' });
    expect(passwordOf('platform-intg-binding', 'database-password')).to.equal(epochPassword(secret, 2));
  });

  it('made: servers are there and closed, nothing runs, agents and names stay as they are', async () => {
    const changes = await become({ ...restored, stage: 'made' });
    expect(changedOf(changes, 'azure-native:dbforpostgresql:Server')).to.deep.equal(['psql-moodtalk-intg-e2-server']);
    expect(closed('psql-moodtalk-intg-e2')).to.equal('on');
    expect(minReplicas('idp-psql-moodtalk-intg-e2-app')).to.equal(0);
    expect(replicas('intg')).to.deep.equal([0]);
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    expect([...changes.keys()].filter((key) => key.includes('intg-agent') || key.includes('internal-'))).to.deep.equal(
      [],
    );
  });

  it('bound: databases are open, the platform runs, names stay; complete: only names move', async () => {
    await become({ ...restored, stage: 'made' });
    const bound = await become({ ...restored, stage: 'bound' });
    expect(closed('psql-moodtalk-intg-e2')).to.equal('off');
    expect(minReplicas('idp-psql-moodtalk-intg-e2-app')).to.equal(1);
    expect(replicas('intg')).to.deep.equal([2]);
    expect(environmentOf('platform-intg-agent-deployment')).to.include({ ACTIVE: 'true', EPOCH: '2' });
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    expect([...bound.keys()].filter((key) => key.includes('internal-'))).to.deep.equal([]);
    const complete = await become(restored);
    expect(addresses()).to.deep.equal(['203.0.20.2']);
    const others = [...complete.keys()].filter((key) => !/ (internal|public)-/.test(key));
    expect(others).to.deep.equal([]);
  });

  it('prepared on PROD’s database: INTG runs with the next login, is let in, and nothing else of PROD changes', async () => {
    const changes = await become({ ...home, prepared: true });
    expect(replicas('intg')).to.deep.equal([2]);
    expect(replicas('prod')).to.deep.equal([2]);
    expect(environmentOf('platform-intg-api-deployment')).to.include({ EPOCH: '2', PGUSER: 'moodtalk_e2' });
    expect(admitted('psql-moodtalk-prod')).to.equal('203.0.20.1');
    expect(addresses()).to.deep.equal(['203.0.10.2']);
    const touched = [...changes.keys()].filter((key) => / platform-prod/.test(key));
    expect(touched).to.deep.equal([]);
    const order = (name: string) => last.resources.findIndex((one) => one.name === name);
    expect(order('platform-prod-agent-deployment')).to.be.lessThan(order('platform-intg-api-deployment'));
  });

  it('prepared on the replica: the platform, and an identity provider that works on the source until it is promoted', async () => {
    const replicated = { ...home, recoveries: [follower] };
    await become(replicated);
    expect(minReplicas('idp-psql-moodtalk-intg-e1-app')).to.equal(0);
    await become({ ...replicated, prepared: true });
    expect(minReplicas('idp-psql-moodtalk-intg-e1-app')).to.equal(1);
    expect(admitted('psql-moodtalk-prod'), 'the identity provider gets to the source').to.equal('203.0.20.1');
    expect(environmentOf('platform-intg-id-deployment')).to.include({
      ...{ PGHOST: 'psql-moodtalk-intg-e1.postgres.database.azure.com', EPOCH: '2' },
      OIDC_BACKCHANNEL: 'https://ca-moodtalk-intg-idp-e1.sea-20.azurecontainerapps.io',
    });
  });

  for (const [what, before, after] of [
    ['PROD’s database', { ...home, prepared: true }, { ...home, activeSite: 'intg', epoch: 2 }],
    ['its replica', { ...home, recoveries: [follower], prepared: true }, onReplica],
    [
      'its replica, PROD being lost',
      { ...home, recoveries: [follower], prepared: true },
      { ...onReplica, unreachable: 'prod' },
    ],
  ] as const) {
    it(`prepared on ${what}: no pod and no identity provider starts again when INTG becomes active`, async () => {
      await become(before);
      const changes = await become({ ...after, prepared: true });
      const intg = last.resources.filter(ofSite('intg')).map((one) => `${one.type} ${one.name}`);
      const restarted = intg.filter((key) => changes.has(key) && !key.includes('-agent-'));
      expect(restarted).to.deep.equal([]);
      expect(changedOf(changes, app)).to.deep.equal([]);
      expect(addresses()).to.deep.equal(['203.0.20.2']);
      expect(replicas('intg')).to.deep.equal([2]);
    });
  }

  it('nothing is prepared at the site that is left while a change of role goes on', async () => {
    await become({ ...home, prepared: true });
    await become({ ...home, prepared: true, activeSite: 'intg', epoch: 2, stage: 'bound' });
    expect(replicas('prod')).to.deep.equal([0]);
    await become({ ...home, prepared: true, activeSite: 'intg', epoch: 2 });
    expect(replicas('prod')).to.deep.equal([2]);
    expect(environmentOf('platform-prod-api-deployment')).to.include({ EPOCH: '3', PGUSER: 'moodtalk_e3' });
  });
});
