/** Cases of the policy about copies. */
import type { Case } from './cases';
import type { Given } from './state';

const container: Given = {
  type: 'azure-native:storage:BlobContainer',
  name: 'backups',
  inputs: { containerName: 'backups' },
};
const immutable = (days: number): Given => ({
  type: 'azure-native:storage:BlobContainerImmutabilityPolicy',
  name: 'immutability',
  inputs: { immutabilityPeriodSinceCreationInDays: days },
  from: { containerName: ['backups'] },
});
const account = (state: string): Given => ({
  type: 'azure-native:storage:StorageAccount',
  name: 'account',
  inputs: {
    immutableStorageWithVersioning: {
      enabled: true,
      immutabilityPolicy: { state, immutabilityPeriodSinceCreationInDays: 90 },
    },
  },
});
const bucket: Given = { type: 'cloudflare:index/r2Bucket:R2Bucket', name: 'bucket', inputs: { name: 'x' } };
const lock = (condition: object, more: object = {}): Given => ({
  type: 'cloudflare:index/r2BucketLock:R2BucketLock',
  name: 'lock',
  inputs: { rules: [{ id: 'keep', enabled: true, prefix: '', condition, ...more }] },
  from: { bucketName: ['bucket'] },
});
const days = (count: number) => ({ type: 'Age', maxAgeSeconds: count * 86_400 });
const told = (backup: object): Given => ({
  type: 'pulumi:pulumi:Stack',
  name: 'failover-with-configuration',
  outputs: { backup },
});
const whole = { site: 'intg', offsite: 'https://a.eu.r2.cloudflarestorage.com', offline: 'tape', recipients: 2 };

const here = { required: true, keeper: 'prod' };
/** Another stack than the one of these cases keeps the copies. */
const there = { required: true, keeper: 'intg' };
const offsite = { ...here, offsite: 'state' };
const site = [container, immutable(35)];

export const copiesCases: readonly Case[] = [
  {
    policy: 'backup-3-2-1-1-0',
    passes: {
      'nothing, where the plan does not ask': { given: [] },
      'a stack that does not keep the copies': { settings: there, given: [] },
      'an immutable container, the bucket being made elsewhere': { settings: here, given: site },
      'versions that are immutable by their account': { settings: here, given: [account('Unlocked'), container] },
      'a bucket that is locked for as long': { settings: offsite, given: [...site, bucket, lock(days(35))] },
      'a bucket that is locked for ever': { settings: offsite, given: [...site, bucket, lock({ type: 'Indefinite' })] },
      'a bucket of a third provider with object lock': {
        settings: offsite,
        given: [...site, { type: 'aws:s3/bucketV2:BucketV2', name: 'b', inputs: { objectLockEnabled: true } }],
      },
      'a configuration with an offsite and an offline copy, and two keys': {
        settings: there,
        given: [told(whole)],
      },
    },
    violations: {
      'no copy at the other site': { settings: here, given: [], says: ['copy at the other site is not set'] },
      'one that is immutable for a day too few': {
        settings: here,
        given: [container, immutable(34)],
        says: ['"immutable for 34 days"', '35 days or more'],
      },
      'versions whose immutability is switched off': {
        settings: here,
        given: [account('Disabled'), container],
        says: ['copy at the other site is not set'],
      },
      'no bucket at another provider': {
        settings: offsite,
        given: site,
        says: ['copy at another provider is not set', 'a bucket at another provider'],
      },
      'a bucket without a lock': { settings: offsite, given: [...site, bucket], says: ['"locked for 0 days"'] },
      'a lock that is too short': {
        settings: offsite,
        given: [...site, bucket, lock(days(34))],
        says: ['"locked for 34 days"'],
      },
      'a lock of a part of the bucket': {
        settings: offsite,
        given: [...site, bucket, lock(days(90), { prefix: 'logs/' })],
        says: ['"locked for 0 days"'],
      },
      'a lock that is switched off': {
        settings: offsite,
        given: [...site, bucket, lock(days(90), { enabled: false })],
        says: ['"locked for 0 days"'],
      },
      'a configuration without an offsite copy': {
        settings: there,
        given: [told({ ...whole, offsite: undefined })],
        says: ['backup.offsite is not set', 'standby:backup.vaults.offsite'],
      },
      'a configuration without an offline copy': {
        settings: there,
        given: [told({ ...whole, offline: undefined })],
        says: ['backup.offline is not set'],
      },
      'a single key': {
        settings: there,
        given: [told({ ...whole, recipients: 1 })],
        says: ['backup.recipients is 1', '2 or more'],
      },
    },
  },
];
