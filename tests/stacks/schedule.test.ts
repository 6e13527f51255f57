/** What takes backups by itself, through changes of role. */
import { expect } from 'chai';
import { r2Endpoint } from '../../config/backup';
import { loadFailover } from '../../config/loader';
import { planOf, raw, run, sitesMade, update, World, type Change, type Config, type Run } from './engine';

const home = planOf('failover');
const backup = {
  recoveryPointMinutes: 120,
  recipients: [`age1${'q'.repeat(58)}`, `age1${'p'.repeat(58)}`],
  databases: [{ name: 'moodtalk' }],
  schedule: { jobs: { image: `ghcr.io/moodtalk/standby:0.1.0@sha256:${'a'.repeat(64)}`, verifiers: 2 } },
};
const scheduled: Config = { ...home, backup };
const restored: Config = {
  ...scheduled,
  ...{ activeSite: 'intg', database: 'restored', identity: 'restored', unreachable: 'prod', epoch: 2 },
  recoveries: [{ epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' }],
};
const cronJob = 'kubernetes:batch/v1:CronJob';
const configMap = 'kubernetes:core/v1:ConfigMap';
const rule = 'azure-native:dbforpostgresql:FirewallRule';

describe('the schedule of backups', function () {
  this.timeout(120_000);
  let references: Readonly<Record<string, unknown>>;
  let world: World;
  let last: Run;

  const become = async (config: Config): Promise<ReadonlyMap<string, Change>> => {
    const done = await update(world, config, references);
    last = done.last;
    return done.changes;
  };
  const own = (changes: ReadonlyMap<string, Change>) =>
    [...changes]
      .filter(([key]) => / backup-schedule-/.test(key))
      .map(([key, change]) => `${change} ${key.split(' ')[1]}`);
  const jobs = () => world.resources.filter(({ type }) => type === cronJob);
  const admitted = () => world.find(rule, 'admission-psql-moodtalk-prod-active-site').inputs['startIpAddress'];
  const configuration = () => {
    const files = world.find(configMap, 'backup-schedule-intg-project').inputs['data'] as Record<string, string>;
    return (JSON.parse(files['Pulumi.failover.yaml'] ?? '') as { config: Config }).config;
  };
  const withoutProject = (config: Config) =>
    Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace('standby:', ''), value]));

  before(async () => {
    references = await sitesMade();
  });
  beforeEach(() => {
    world = new World();
  });

  it('is nowhere without an image to run, and nobody gets in for it', async () => {
    await become({ ...home, backup: { ...backup, schedule: {} } });
    expect(jobs()).to.deep.equal([]);
    expect(admitted()).to.equal('203.0.10.1');
  });

  it('is on the cluster beside the storage that keeps the backups, which gets to the database for it', async () => {
    await become(scheduled);
    expect(jobs().map(({ name }) => name)).to.have.members(
      ['run', 'estate', 'verify'].map((job) => `backup-schedule-intg-${job}`),
    );
    for (const { provider } of jobs()) expect(provider).to.contain('kubernetes-intg');
    expect(admitted()).to.equal('203.0.20.1');
    await become({ ...scheduled, backup: { ...backup, vaults: { site: 'intg' } } });
    expect(jobs().map(({ name }) => name)).to.include('backup-schedule-prod-run');
    expect(admitted()).to.equal('203.0.10.1');
  });

  it('reads the switch as it is, and nothing secret with it', async () => {
    await become(scheduled);
    expect(loadFailover(raw(withoutProject(configuration())))).to.deep.equal(loadFailover(raw(scheduled)));
    const { secrets } = world.find(configMap, 'backup-schedule-intg-project');
    expect(secrets).to.deep.equal([]);
  });

  it('stays through a failover and the way home: its configuration changes, and nothing else of it', async () => {
    await become(scheduled);
    for (const stage of ['made', 'bound', 'complete']) {
      const changes = await become({ ...restored, stage });
      expect(own(changes), stage).to.deep.equal(stage === 'made' ? ['update backup-schedule-intg-project'] : []);
    }
    expect(configuration()).to.deep.include({ 'standby:database': 'restored', 'standby:epoch': 2 });
    expect(admitted(), 'PROD is lost: its firewall stays').to.equal('203.0.20.1');
    const back = await become({ ...restored, unreachable: 'none' });
    expect(own(back)).to.deep.equal(['update backup-schedule-intg-project']);
    expect(admitted(), 'nobody works on what PROD had').to.equal('203.0.10.1');
    expect(own(await become({ ...restored, unreachable: 'none' })), 'a preview is clean').to.deep.equal([]);
  });

  it('is left alone on a cluster that nobody can reach, and there again afterwards', async () => {
    await become(scheduled);
    const lost = own(await become({ ...scheduled, unreachable: 'intg-cluster' }));
    expect(lost.every((change) => change.startsWith('forget '))).to.equal(true);
    expect(lost).to.have.length(7);
    expect(jobs()).to.deep.equal([]);
    await become(scheduled);
    expect(jobs()).to.have.length(3);
  });

  it('has a bucket at another provider where an account there is named, locked for the longest time', async () => {
    const account = 'a'.repeat(32);
    const place = { endpoint: r2Endpoint(account), region: 'auto', bucket: 'moodtalk-backups', lock: 'bucket' };
    const buckets = () => world.resources.filter(({ type }) => type.startsWith('cloudflare:index/r2'));
    const offsite = (more: Config) => ({ ...home, backup: { ...backup, vaults: { offsite: { ...place, ...more } } } });
    await become(offsite({}));
    expect(buckets(), 'somebody else made it').to.deep.equal([]);
    await become(offsite({ account }));
    expect(buckets().map(({ name }) => name)).to.deep.equal(['offsite-bucket', 'offsite-lock']);
    expect(world.find('cloudflare:index/r2Bucket:R2Bucket', 'offsite-bucket').inputs).to.include({
      name: place.bucket,
    });
    const { rules } = world.find('cloudflare:index/r2BucketLock:R2BucketLock', 'offsite-lock').inputs;
    expect(JSON.stringify(rules)).to.contain(`"maxAgeSeconds":${366 * 86_400}`);
  });

  it('says when backups are wanted for longer than they are kept', async () => {
    await become(scheduled);
    expect(last.warnings.join()).to.match(/wanted for 366 days, and the storage of prod removes them after 35/);
    const retention = { daily: 35, weekly: 5, monthly: 1 };
    const prod = await run('prod', {
      ...planOf('prod'),
      backup: { ...(planOf('prod')['backup'] as object), retentionDays: 92 },
    });
    const { warnings } = await run(
      'failover',
      { ...home, backup: { ...backup, retention } },
      { ...references, prod: prod.outputs },
    );
    expect(warnings).to.deep.equal([]);
  });
});
