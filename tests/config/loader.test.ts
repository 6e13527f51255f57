import { expect } from 'chai';
import * as fs from 'node:fs';
import { ConfigurationError, type Issue } from '../../config/issues';
import { brokenPromise, longestDays, r2Endpoint } from '../../config/backup';
import { loadEnvironment, loadFailover } from '../../config/loader';
import { parseSecrets, parseSite, StackOutputError } from '../../config/outputs';
import { published } from '../../config/publish';
import { planOf, raw, type Config } from '../stacks/engine';

/** @returns every issue of a configuration; none when it is accepted. */
function issuesOf(load: () => unknown): readonly Issue[] {
  try {
    load();
    return [];
  } catch (cause) {
    if (cause instanceof ConfigurationError) return cause.issues;
    throw cause;
  }
}
type Json = Record<string, unknown>;
const environment = (change: Config) => issuesOf(() => loadEnvironment('prod', raw({ ...planOf('prod'), ...change })));
const failover = (change: Config) => issuesOf(() => loadFailover(raw({ ...planOf('failover'), ...change })));
const within = (key: string, change: Json) => ({ [key]: { ...(planOf('prod')[key] as Json), ...change } });

describe('configuration', () => {
  it('accepts the committed plan of every stack', () => {
    expect(environment({})).to.deep.equal([]);
    expect(issuesOf(() => loadEnvironment('intg', raw(planOf('intg'))))).to.deep.equal([]);
    expect(failover({})).to.deep.equal([]);
  });

  it('fills in the safe defaults', () => {
    const plan = planOf('prod');
    const { sku } = plan['database'] as { sku: string };
    const { logs: _, ...rest } = { ...plan, database: { sku }, logs: {} };
    const config = loadEnvironment('prod', raw({ ...rest, logs: {} }));
    expect(config.database).to.deep.include({
      backupRetentionDays: 35,
      geoRedundantBackup: true,
      operatorAddresses: [],
      engine: 'postgresql',
    });
    expect(config.logs.retentionDays).to.equal(90);
  });

  it('leaves keys of other namespaces to the providers', () => {
    const config = { ...raw(planOf('prod')), 'azure-native:location': 'westeurope' };
    expect(issuesOf(() => loadEnvironment('prod', config))).to.deep.equal([]);
  });

  const backup = {
    recoveryPointMinutes: 90,
    recipients: [`age1${'q'.repeat(58)}`, `age1${'p'.repeat(58)}`],
    databases: [{ name: 'moodtalk', assertions: [{ name: 'bookings', sql: 'SELECT count(*) FROM b', atLeast: 1 }] }],
  };
  const within1 = (assertion: Json) =>
    failover({ backup: { ...backup, databases: [{ name: 'a', assertions: [assertion] }] } });

  it('wants two recipients, and repeats no secret key that somebody wrote for a public one', () => {
    expect(failover({ backup: { ...backup, recipients: backup.recipients.slice(1) } })[0]?.key).to.equal(
      'backup.recipients',
    );
    const load = () =>
      loadFailover(raw({ ...planOf('failover'), backup: { ...backup, recipients: ['age1', 'AGE-SECRET-KEY-1QQ'] } }));
    expect(load).to.throw(ConfigurationError).with.property('message').that.does.not.match(/1QQ/);
  });

  it('takes backups as they are stated, and the rest from the plan', () => {
    const config = loadFailover(raw({ ...planOf('failover'), backup })).backup;
    expect(config?.schedule).to.deep.equal({ fullAt: '01:00', everyHours: 1 });
    expect(config?.retention).to.deep.equal({ daily: 35, weekly: 12, monthly: 12 });
    expect(config?.vaults).to.deep.equal({ site: 'prod' });
    expect(loadFailover(raw(planOf('failover'))).backup).to.equal(undefined);
  });

  const jobs = { image: `ghcr.io/x/standby:1@sha256:${'a'.repeat(64)}` };
  const scheduled = (schedule: Json, more: Json = {}) => failover({ backup: { ...backup, ...more, schedule } });

  it('has nothing take backups by itself unless an image is named, and then in a namespace of their own', () => {
    const config = loadFailover(raw({ ...planOf('failover'), backup: { ...backup, schedule: { jobs } } })).backup;
    expect(config?.schedule.jobs).to.deep.equal({
      ...{ ...jobs, namespace: 'standby-backup', verifiers: 1, suspended: false },
      ...{ environmentSecret: 'standby-environment', identitySecret: 'standby-identity' },
    });
    expect(scheduled({ everyHours: 1, jobs }, { estate: { everyHours: 168 } })).to.deep.equal([]);
    expect(scheduled({ everyHours: 1 }, { estate: { everyHours: 5 } })).to.deep.equal([]);
  });

  it('knows for how long a backup is wanted, and by whom it is kept that long', () => {
    const retention = { daily: 35, weekly: 12, monthly: 12 };
    expect([longestDays(retention), longestDays({ ...retention, weekly: 60 })]).to.deep.equal([366, 420]);
    expect(longestDays({ daily: 1, weekly: 1, monthly: 1 })).to.equal(31);
    const config = loadFailover(raw({ ...planOf('failover'), backup })).backup!;
    const kept = (days?: number, more: Partial<typeof config> = {}, elsewhere = false) =>
      brokenPromise({ ...config, ...more }, { site: 'intg', days, elsewhere });
    expect(kept(366)).to.equal(undefined);
    expect(kept(35)).to.match(/wanted for 366 days, and the storage of intg removes them after 35: set/);
    expect(kept()).to.match(/is unknown/);
    expect(kept(35, {}, true)).to.equal(undefined);
    const short = { daily: 35, weekly: 1, monthly: 1 };
    expect(kept(35, { retention: short }), 'the logs').to.match(/wanted for 92 days/);
  });

  const r2 = {
    account: 'a'.repeat(32),
    ...{ endpoint: r2Endpoint('b'.repeat(32)), region: 'auto', bucket: 'moodtalk-backups', lock: 'bucket' },
  };
  const refused: readonly [what: string, issues: () => readonly Issue[], key: string, got: unknown][] = [
    ['an unknown key', () => environment({ regoin: 'westeurope' }), 'regoin', 'westeurope'],
    ['an unknown key inside another', () => environment(within('logs', { days: 90 })), 'logs.days', 90],
    ['a wrong type', () => failover({ epoch: 'two' }), 'epoch', 'two'],
    [
      'a wrong type inside another',
      () => environment(within('logs', { retentionDays: '90' })),
      'logs.retentionDays',
      '90',
    ],
    ['a missing key', () => environment({ region: undefined }), 'region', undefined],
    ['a region outside the EEA', () => environment({ region: 'uksouth' }), 'region', 'uksouth'],
    [
      'a backup retention of 6',
      () => environment(within('database', { backupRetentionDays: 6 })),
      'database.backupRetentionDays',
      6,
    ],
    [
      'a backup retention of 36',
      () => environment(within('database', { backupRetentionDays: 36 })),
      'database.backupRetentionDays',
      36,
    ],
    [
      'a second instance of the identity provider',
      () => environment(within('identity', { minReplicas: 2 })),
      'identity.minReplicas',
      2,
    ],
    [
      'a recipient that is no public key',
      () => failover({ backup: { ...backup, recipients: [backup.recipients[0], 'age1short'] } }),
      'backup.recipients[1]',
      'age1short',
    ],
    [
      'the same recipient twice',
      () => failover({ backup: { ...backup, recipients: [backup.recipients[0], backup.recipients[0]] } }),
      'backup.recipients[1]',
      backup.recipients[0],
    ],
    [
      'a recovery point between two backups',
      () => failover({ backup: { ...backup, schedule: { everyHours: 2 } } }),
      'backup.recoveryPointMinutes',
      90,
    ],
    [
      'an offsite vault without TLS',
      () =>
        failover({
          backup: { ...backup, vaults: { offsite: { endpoint: 'http://s3.example', region: 'auto', bucket: 'abc' } } },
        }),
      'backup.vaults.offsite.endpoint',
      'http://s3.example',
    ],
    [
      'a bucket in an account whose endpoint is another one’s',
      () => failover({ backup: { ...backup, vaults: { offsite: r2 } } }),
      'backup.vaults.offsite.endpoint',
      r2.endpoint,
    ],
    [
      'a bucket at R2 with a lock of each object',
      () =>
        failover({
          backup: { ...backup, vaults: { offsite: { ...r2, endpoint: r2Endpoint(r2.account), lock: 'object' } } },
        }),
      'backup.vaults.offsite.lock',
      'object',
    ],
    [
      'an export from a database that is not taken',
      () => failover({ backup: { ...backup, exports: [{ name: 'rows', database: 'shop', sql: 'SELECT 1' }] } }),
      'backup.exports[0].database',
      'shop',
    ],
    [
      'CronJobs with an image that is not pinned',
      () => scheduled({ jobs: { image: 'ghcr.io/x/standby:1' } }),
      'backup.schedule.jobs.image',
      'ghcr.io/x/standby:1',
    ],
    [
      'CronJobs among the applications',
      () => scheduled({ jobs: { ...jobs, namespace: 'moodtalk' } }),
      'backup.schedule.jobs.namespace',
      'moodtalk',
    ],
    [
      'CronJobs at hours that don’t divide the day',
      () => scheduled({ everyHours: 5, jobs }, { recoveryPointMinutes: 600 }),
      'backup.schedule.everyHours',
      5,
    ],
    [
      'CronJobs of all else at such hours',
      () => scheduled({ jobs }, { estate: { everyHours: 48 } }),
      'backup.estate.everyHours',
      48,
    ],
    ['a secret in it', () => failover({ backup: { ...backup, identity: 'x' } }), 'backup.identity', 'x'],
    [
      'an assertion that changes something',
      () => within1({ name: 'a', sql: 'SELECT 1; DELETE FROM b', equals: 1 }),
      'backup.databases[0].assertions[0].sql',
      'SELECT 1; DELETE FROM b',
    ],
    [
      'an assertion that asks nothing',
      () => within1({ name: 'a', sql: 'SELECT 1' }),
      'backup.databases[0].assertions[0]',
      undefined,
    ],
    ['logs kept for 89 days', () => environment(within('logs', { retentionDays: 89 })), 'logs.retentionDays', 89],
    [
      'a host outside the zone',
      () => failover({ hosts: { ...(planOf('failover')['hosts'] as Json), api: 'api.moodtalk.com' } }),
      'hosts.api',
      'api.moodtalk.com',
    ],
    [
      'a host that only ends like the zone',
      () => environment(within('hosts', { id: 'id.notmoodtalk.ch' })),
      'hosts.id',
      'id.notmoodtalk.ch',
    ],
    ['a release without a digest', () => failover({ release: '1.4.1' }), 'release', '1.4.1'],
    ['a site that is none', () => failover({ activeSite: 'staging' }), 'activeSite', 'staging'],
    ['an epoch of 0', () => failover({ epoch: 0 }), 'epoch', 0],
    [
      'an image without a digest',
      () => environment(within('identity', { image: 'quay.io/keycloak/keycloak:26.7.3' })),
      'identity.image',
      'quay.io/keycloak/keycloak:26.7.3',
    ],
    [
      'a firewall open to the world',
      () => environment(within('database', { operatorAddresses: ['0.0.0.0'] })),
      'database.operatorAddresses[0]',
      '0.0.0.0',
    ],
    [
      'backups in the region of the site',
      () => environment(within('backup', { region: 'westeurope' })),
      'backup.region',
      'westeurope',
    ],
    [
      'backup storage in one region only',
      () => environment(within('backup', { redundancy: 'Standard_ZRS' })),
      'backup.redundancy',
      'Standard_ZRS',
    ],
    [
      'the internal zone in the region of the site',
      () => environment({ globalRegion: 'westeurope' }),
      'globalRegion',
      'westeurope',
    ],
    [
      'geo-redundant backup in a region without a pair',
      () => environment({ region: 'polandcentral' }),
      'database.geoRedundantBackup',
      true,
    ],
    [
      'an alert to nobody',
      () => environment(within('alerts', { security: 'security' })),
      'alerts.security',
      'security',
    ],
    [
      'a recovery by a method that is none',
      () => failover({ recoveries: [{ epoch: 1, site: 'intg', method: 'copy', from: 'psql-moodtalk-prod' }] }),
      'recoveries[0].method',
      'copy',
    ],
  ];
  for (const [what, issues, key, got] of refused) {
    it(`refuses ${what}, and says what is allowed`, () => {
      const [issue, ...more] = issues();
      expect(more, 'no other issue').to.deep.equal([]);
      expect(issue).to.include({ key, ...(got === undefined ? {} : { got }) });
      expect(issue?.allowed).to.be.a('string').and.not.equal('');
      expect(issue?.fix).to.be.a('string').and.not.equal('');
    });
  }

  it('reports everything at once, one line each', () => {
    const config = { ...planOf('failover'), activeSite: 'staging', release: 'latest', epoch: -1, colour: 'red' };
    expect(() => loadFailover(raw(config))).to.throw(
      ConfigurationError,
      new RegExp(
        [
          '^the configuration of stack failover is refused, 4 values are wrong; nothing was touched',
          '  standby:activeSite is "staging"; allowed: prod, intg; to fix: .+',
          '  standby:release is "latest"; allowed: VERSION@sha256:DIGEST .+; to fix: .+',
          '  standby:epoch is -1; allowed: a whole number from 1 to 1000000; to fix: .+',
          '  standby:colour is "red"; allowed: one of the keys .+; to fix: .+$',
        ].join('\n'),
      ),
    );
  });

  it('reports what is wrong between values together with what is wrong in others', () => {
    const hosts = { ...(planOf('failover')['hosts'] as Json), api: 'api.moodtalk.com' };
    const found = failover({ hosts, release: 'latest', unreachable: 'prod-cluster' }).map(({ key }) => key);
    expect(found).to.have.members(['hosts.api', 'release', 'activeSite']);
  });

  it('is published as it is: run `npm run docs:configuration`', () => {
    for (const [file, content] of Object.entries(published())) expect(fs.readFileSync(file, 'utf8')).to.equal(content);
  });
});

describe('outputs of other stacks', () => {
  it('names the stack that has to be updated first', () => {
    expect(() => parseSite('prod', undefined)).to.throw(
      StackOutputError,
      /stack prod has no output "site": run `pulumi up --stack prod`/,
    );
    expect(() => parseSite('intg', { site: 'intg' })).to.throw(
      StackOutputError,
      /output "site" of stack intg .*region.*pulumi up --stack intg/,
    );
  });

  it('never shows a secret', () => {
    const secrets = { databasePassword: 'opensesame', administratorPassword: 7, clients: {}, session: 'x', realm: 'y' };
    expect(() => parseSecrets('prod', secrets))
      .to.throw(StackOutputError, /lacks administratorPassword, clients/)
      .and.not.match(/opensesame/);
  });
});
