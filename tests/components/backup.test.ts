import { expect } from 'chai';
import { BackupSchedule, type BackupScheduleArgs } from '../../components/backup/backupSchedule';
import { BackupStorage } from '../../components/backup/backupStorage';
import { DocumentStore } from '../../components/backup/documentStore';
import { OffsiteBucket } from '../../components/backup/offsiteBucket';
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
      () => new OffsiteBucket('offsite', { accountId: 'a1', bucketName: 'x-backups', retentionDays: 400 }),
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
    ...{ namespace: 'moodtalk', image: `ghcr.io/x/standby:1@sha256:${'a'.repeat(64)}`, everyHours: 6, fullAt: '01:45' },
    ...{ environmentSecret: 'standby-backup', identitySecret: 'standby-identity' },
  };
  const jobs = async (more: Partial<BackupScheduleArgs> = {}) => {
    const resources = await made(() => new BackupSchedule('backup', { ...args, ...more }));
    return (job: string) => {
      const found = one(resources, 'kubernetes:batch/v1:CronJob', `backup-${job}`);
      expect(found.retainOnDelete).to.equal(true);
      const spec = found.inputs['spec'] as { schedule: string; jobTemplate: { spec: Json } } & Json;
      const template = spec.jobTemplate.spec['template'] as { spec: { containers: Json[] } & Json };
      return { spec, job: spec.jobTemplate.spec, pod: template.spec, container: template.spec.containers[0] as Json };
    };
  };

  it('takes backups every so many hours, all else once a day, and restores each half an hour later', async () => {
    const job = await jobs();
    expect(['run', 'estate', 'verify'].map((name) => job(name).spec.schedule)).to.deep.equal([
      '45 1,7,13,19 * * *',
      '45 1 * * *',
      '15 2,8,14,20 * * *',
    ]);
    expect(job('run').spec).to.include({ concurrencyPolicy: 'Forbid', timeZone: 'Etc/UTC' });
    expect(job('run').container['command']).to.deep.equal(['standby', 'backup', 'run', '--json']);
    expect(job('estate').container['command']).to.deep.equal(['standby', 'estate', 'run', '--json']);
    expect(job('verify').container['command']).to.deep.equal(['standby', 'backup', 'verify', '--json']);
  });

  it('shares restore checks out among pods', async () => {
    const verify = (await jobs({ verifiers: 4 }))('verify');
    expect(verify.job).to.include({ completions: 4, parallelism: 4, completionMode: 'Indexed' });
    expect(verify.container['command']).to.include.members(['--shard', '$(JOB_COMPLETION_INDEX)/4']);
    expect((await jobs())('verify').job).not.to.have.property('completions');
  });

  it('names no secret on a command line, and has no right on the cluster', async () => {
    const { container, pod } = (await jobs())('run');
    expect(pod).to.include({ automountServiceAccountToken: false, restartPolicy: 'Never' });
    expect(container['envFrom']).to.deep.equal([{ secretRef: { name: 'standby-backup' } }]);
    expect(container['securityContext']).to.include({ readOnlyRootFilesystem: true, privileged: false });
    expect(container).to.have.property('resources');
  });
});
