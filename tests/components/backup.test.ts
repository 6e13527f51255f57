import { expect } from 'chai';
import { cronJobName } from '../../adapters/backup/schedule';
import { BackupSchedule, type BackupScheduleArgs } from '../../components/backup/backupSchedule';
import { BackupStorage } from '../../components/backup/backupStorage';
import { DocumentStore } from '../../components/backup/documentStore';
import { OffsiteBucket } from '../../components/backup/offsiteBucket';
import { backupJobs } from '../../config/backup';
import { checkState } from '../../policies/state';
import { parseSettings } from '../../policies/settings';
import { exported } from '../policies/state';
import { children, made, one, place, type Json } from './support';

describe('stores of what must not be lost', () => {
  const args = { ...place, redundancy: 'Standard_GRS', retentionDays: 400 };
  const document = () => made(() => new DocumentStore('documents', { ...args, accountName: 'stxdocuments' }));

  it('DocumentStore: every version of every document is read-only for its time, and nothing goes by itself', async () => {
    const resources = await document();
    const account = one(resources, 'azure-native:storage:StorageAccount', 'documents-account');
    expect(account.protect).to.equal(true);
    expect(account.inputs).to.include({ allowSharedKeyAccess: false, allowBlobPublicAccess: false, accessTier: 'Hot' });
    expect(account.inputs['immutableStorageWithVersioning']).to.deep.equal({
      enabled: true,
      immutabilityPolicy: {
        ...{ immutabilityPeriodSinceCreationInDays: 400, state: 'Unlocked', allowProtectedAppendWrites: false },
      },
    });
    const service = one(resources, 'azure-native:storage:BlobServiceProperties', 'documents-blobs').inputs;
    expect(service).to.deep.include({ isVersioningEnabled: true, deleteRetentionPolicy: { enabled: true, days: 365 } });
    expect(one(resources, 'azure-native:storage:BlobContainer', 'documents-container').inputs).to.include({
      containerName: 'documents',
      publicAccess: 'None',
    });
    const policy = one(resources, 'azure-native:storage:ManagementPolicy', 'documents-lifecycle');
    expect(JSON.stringify(policy.inputs)).to.contain('tierToCool').and.not.contain('"delete"');
    expect(resources.some(({ type }) => type.endsWith(':BlobContainerImmutabilityPolicy'))).to.equal(false);
  });

  it('DocumentStore: is read and written by those that are named, and by nobody else', async () => {
    const writer = '11111111-2222-4333-8444-555555555555';
    const operator = { principalId: '99999999-2222-4333-8444-555555555555', principalType: 'User' } as const;
    const resources = await made(
      () => new DocumentStore('documents', { ...args, accountName: 'stxdocuments', writers: [writer], operator }),
    );
    const given = resources.filter(({ type }) => type === 'azure-native:authorization:RoleAssignment');
    expect(given.map(({ inputs }) => [inputs['principalId'], inputs['principalType']])).to.have.deep.members([
      [writer, 'ServicePrincipal'],
      [operator.principalId, 'User'],
    ]);
    for (const { inputs } of given) expect(inputs['scope']).to.match(/documents-container$/);
    expect((await document()).some(({ type }) => type.endsWith(':RoleAssignment'))).to.equal(false);
  });

  it('DocumentStore: passes the policies of a backup', async () => {
    const given = (await document())
      .filter(({ custom }) => custom)
      .map(({ type, name, inputs, protect }) => ({
        ...{ type, name, inputs, protect },
        ...(type.endsWith(':BlobContainer') ? { from: { accountName: ['documents-account'] } } : {}),
      }));
    const settings = parseSettings({ 'backup-3-2-1-1-0': { required: false } });
    expect(checkState(exported('prod', given), settings).findings).to.deep.equal([]);
  });

  it('share what a private store is: the same account but for tier and immutability', async () => {
    const backup = await made(() => new BackupStorage('backup', { ...args, accountName: 'stxbackup' }));
    const inputsOf = (resources: Awaited<ReturnType<typeof document>>, name: string) => {
      const { inputs } = one(resources, 'azure-native:storage:StorageAccount', name);
      const { accountName, accessTier, immutableStorageWithVersioning, ...rest } = inputs;
      return rest;
    };
    expect(inputsOf(backup, 'backup-account')).to.deep.equal(inputsOf(await document(), 'documents-account'));
    expect(children(backup, 'backup')).to.have.members([
      'azure-native:storage:StorageAccount backup-account',
      'azure-native:storage:BlobServiceProperties backup-blobs',
      'azure-native:storage:BlobContainer backup-container',
      'azure-native:storage:BlobContainerImmutabilityPolicy backup-immutability',
      'azure-native:storage:ManagementPolicy backup-lifecycle',
    ]);
  });

  it('OffsiteBucket: in the European Union, locked for its time, both protected', async () => {
    const resources = await made(
      () =>
        new OffsiteBucket('offsite', {
          accountId: 'a1',
          bucketName: 'x-backups',
          jurisdiction: 'eu',
          retentionDays: 400,
        }),
    );
    const bucket = one(resources, 'cloudflare:index/r2Bucket:R2Bucket', 'offsite-bucket');
    expect(bucket.inputs).to.include({ accountId: 'a1', name: 'x-backups', jurisdiction: 'eu' });
    const lock = one(resources, 'cloudflare:index/r2BucketLock:R2BucketLock', 'offsite-lock');
    expect(lock.inputs).to.deep.include({
      ...{ accountId: 'a1', bucketName: 'x-backups', jurisdiction: 'eu' },
      rules: [{ id: 'keep', enabled: true, prefix: '', condition: { type: 'Age', maxAgeSeconds: 400 * 86_400 } }],
    });
    expect([bucket.protect, lock.protect]).to.deep.equal([true, true]);
  });
});

describe('BackupSchedule', () => {
  const args: BackupScheduleArgs = {
    ...{ namespace: 'standby-backup', image: `ghcr.io/x/standby:1@sha256:${'a'.repeat(64)}` },
    ...{ everyHours: 6, estateEveryHours: 24, fullAt: '01:45', egressPorts: [5432] },
    ...{ environmentSecret: 'standby-environment', identitySecret: 'standby-identity' },
    project: { 'Pulumi.yaml': 'name: standby' },
  };
  const resources = (more: Partial<BackupScheduleArgs> = {}) =>
    made(() => new BackupSchedule('backup', { ...args, ...more }));
  const jobs = async (more: Partial<BackupScheduleArgs> = {}) => {
    const all = await resources(more);
    return (job: string) => {
      const found = one(all, 'kubernetes:batch/v1:CronJob', `backup-${job}`);
      expect(found.retainOnDelete).to.equal(true);
      const spec = found.inputs['spec'] as { schedule: string; jobTemplate: { metadata: Json; spec: Json } } & Json;
      const template = spec.jobTemplate.spec['template'] as { spec: { containers: Json[]; volumes: Json[] } & Json };
      const { metadata } = spec.jobTemplate;
      const [container] = template.spec.containers as [Json];
      return { found, spec, metadata, job: spec.jobTemplate.spec, pod: template.spec, container };
    };
  };

  it('takes backups every so many hours, all else once a day, and restores each half an hour later', async () => {
    const job = await jobs();
    expect(['run', 'estate', 'verify'].map((name) => job(name).spec.schedule)).to.deep.equal([
      '45 1,7,13,19 * * *',
      '45 1 * * *',
      '15 2,8,14,20 * * *',
    ]);
    expect(job('run').spec).to.include({ concurrencyPolicy: 'Forbid', timeZone: 'Etc/UTC', suspend: false });
    expect(job('run').container['args']).to.deep.equal(['backup', 'run', '--json']);
    expect(job('estate').container['args']).to.deep.equal(['estate', 'run', '--json']);
    expect(job('verify').container['args']).to.deep.equal(['backup', 'verify', '--json']);
    expect((await jobs({ estateEveryHours: 168 }))('estate').spec.schedule).to.equal('45 1 * * 1');
    expect((await jobs({ suspended: true }))('run').spec).to.include({ suspend: true });
  });

  it('is found by the name and the labels that `standby backup status` looks for', async () => {
    const job = await jobs();
    for (const name of backupJobs) {
      const { found, metadata } = job(name);
      const labels = { 'app.kubernetes.io/name': 'standby-backup', 'app.kubernetes.io/component': name };
      expect(found.inputs['metadata']).to.deep.equal({ name: cronJobName(name), namespace: args.namespace, labels });
      expect(metadata, 'of its Jobs').to.deep.equal({ labels });
    }
  });

  it('shares restore checks out among pods', async () => {
    const verify = (await jobs({ verifiers: 4 }))('verify');
    expect(verify.job).to.include({ completions: 4, parallelism: 4, completionMode: 'Indexed' });
    expect(verify.container['args']).to.include.members(['--shard', '$(JOB_COMPLETION_INDEX)/4']);
    expect((await jobs())('verify').job).not.to.have.property('completions');
  });

  it('names no secret on a command line, and has no right on the cluster', async () => {
    const { container, pod } = (await jobs())('run');
    expect(pod).to.include({ automountServiceAccountToken: false, restartPolicy: 'Never' });
    expect(container['envFrom']).to.deep.equal([{ secretRef: { name: 'standby-environment' } }]);
    expect(container['securityContext']).to.include({ readOnlyRootFilesystem: true, privileged: false });
    expect(container).to.have.property('resources');
  });

  it('writes to a volume that goes with the pod alone, and reads its configuration from the stack', async () => {
    const { container, pod } = (await jobs())('run');
    expect(pod.volumes).to.deep.equal([
      { name: 'scratch', emptyDir: { sizeLimit: '100Gi' } },
      { name: 'project', configMap: { name: 'project' } },
      { name: 'identity', secret: { secretName: 'standby-identity', defaultMode: 0o400 } },
    ]);
    const env = Object.fromEntries(
      (container['env'] as { name: string; value: string }[]).map((e) => [e.name, e.value]),
    );
    expect(env).to.include({ HOME: '/scratch', TMPDIR: '/scratch', STANDBY_RUNS: '/scratch/runs' });
    expect(env).to.include({ STANDBY_PROJECT: '/etc/standby' });
    const files = one(await resources(), 'kubernetes:core/v1:ConfigMap', 'backup-project').inputs;
    expect(files).to.deep.include({ data: args.project });
  });

  it('has a namespace of its own that nobody reaches, and that reaches what backups need', async () => {
    const all = await resources();
    expect(children(all, 'backup')).to.have.members([
      'kubernetes:core/v1:Namespace backup-namespace',
      'kubernetes:networking.k8s.io/v1:NetworkPolicy backup-isolation',
      'kubernetes:core/v1:ConfigMap backup-project',
      ...['run', 'estate', 'verify'].map((job) => `kubernetes:batch/v1:CronJob backup-${job}`),
    ]);
    expect(one(all, 'kubernetes:core/v1:Namespace', 'backup-namespace').inputs['metadata']).to.deep.equal({
      name: 'standby-backup',
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    });
    const policy = one(all, 'kubernetes:networking.k8s.io/v1:NetworkPolicy', 'backup-isolation').inputs['spec'] as Json;
    expect(policy).to.deep.include({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    expect(policy).not.to.have.property('ingress');
    const [rule] = policy['egress'] as [{ ports: { port: number }[] }];
    expect(rule.ports.map(({ port }) => port)).to.deep.equal([53, 53, 443, 5432]);
  });

  it('passes the policies, and a tag in place of the digest does not', async () => {
    const findings = async (more: Partial<BackupScheduleArgs>) => {
      const given = (await resources(more))
        .filter(({ custom }) => custom)
        .map(({ type, name, inputs, protect }) => ({ type, name, inputs, protect }));
      const settings = parseSettings({ 'backup-3-2-1-1-0': { required: false } });
      return checkState(exported('failover', given), settings).findings.map(({ policy }) => policy);
    };
    expect(await findings({ verifiers: 2 })).to.deep.equal([]);
    expect(await findings({ image: 'ghcr.io/x/standby:1' })).to.include('pinned-images');
  });
});
