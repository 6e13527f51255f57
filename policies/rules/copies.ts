import {
  defineRule,
  ofType,
  read,
  readList,
  readLower,
  text,
  type Resource,
  type Stack,
  type Violation,
} from '../rule';

const account = 'azure-native:storage:StorageAccount';
const container = 'azure-native:storage:BlobContainer';
const containerImmutability = 'azure-native:storage:BlobContainerImmutabilityPolicy';
const bucketLock = 'cloudflare:index/r2BucketLock:R2BucketLock';
const bucket = 'cloudflare:index/r2Bucket:R2Bucket';
/** Buckets of other providers, by what says that they lock. */
const otherBuckets = ['aws:s3/bucket:Bucket', 'aws:s3/bucketV2:BucketV2'];

interface Settings {
  readonly required: boolean;
  readonly minimumDays: number;
  readonly keeper: string;
  readonly offsite: 'state' | 'elsewhere';
}

const seconds = 86_400;

/** @returns days that a lock of a bucket keeps everything in it; 0 for one that does not. Forever is forever. */
function lockedDays(resource: Resource): number {
  const rules = readList(resource.props, 'rules').filter(
    (rule) => read(rule, 'enabled') === true && text(read(rule, 'prefix')) === '',
  );
  const days = rules.map((rule) => {
    const type = read(rule, 'condition.type');
    if (type === 'Indefinite') return Infinity;
    return type === 'Age' ? Number(read(rule, 'condition.maxAgeSeconds')) / seconds : 0;
  });
  return Math.max(0, ...days);
}

const locksOf = (own: Resource, stack: Stack) =>
  ofType(stack.resources, bucketLock).filter(
    (lock) =>
      (lock.dependencies['bucketName'] ?? []).includes(own.urn) ||
      (read(own.props, 'name') !== undefined && read(lock.props, 'bucketName') === read(own.props, 'name')),
  );

/** Only an immutable container with a second region counts as the copy at the site. */
function* siteVault(stack: Stack, minimumDays: number): Iterable<Violation> {
  const versions = ofType(stack.resources, account).map((own) => {
    const property = 'immutableStorageWithVersioning.immutabilityPolicy';
    const off = readLower(own.props, `${property}.state`) === 'disabled';
    return off ? 0 : Number(read(own.props, `${property}.immutabilityPeriodSinceCreationInDays`) ?? 0);
  });
  const containers = ofType(stack.resources, containerImmutability).map((own) =>
    Number(read(own.props, 'immutabilityPeriodSinceCreationInDays') ?? 0),
  );
  const kept = Math.max(0, ...versions, ...containers);
  if (ofType(stack.resources, container).length > 0 && kept >= minimumDays) return;
  yield {
    property: 'copy at the other site',
    value: kept === 0 ? undefined : `immutable for ${kept} days`,
    limit: `a container of backups that is immutable for ${minimumDays} days or more`,
  };
}

/** At another provider, under a lock that no key of it undoes. */
function* offsiteCopy(stack: Stack, minimumDays: number): Iterable<Violation> {
  const limit = `a bucket at another provider whose objects are locked for ${minimumDays} days or more`;
  const property = 'copy at another provider';
  const ours = ofType(stack.resources, bucket).map((own) => Math.max(0, ...locksOf(own, stack).map(lockedDays)));
  const theirs = otherBuckets
    .flatMap((type) => ofType(stack.resources, type))
    .map((own) => (read(own.props, 'objectLockEnabled') === true ? minimumDays : 0));
  const days = [...ours, ...theirs];
  if (days.some((kept) => kept >= minimumDays)) return;
  yield { property, value: days.length === 0 ? undefined : `locked for ${Math.max(...days)} days`, limit };
}

/** What the failover stack tells of its configuration (`standby:backup`): where copies go, and who can open them. */
function* configured(backup: unknown): Iterable<Violation> {
  const wanted = [
    ['offsite', 'an S3 endpoint of another provider: set standby:backup.vaults.offsite'],
    ['offline', 'a medium that is taken away: set standby:backup.vaults.offline'],
  ] as const;
  for (const [key, limit] of wanted) {
    if (text(read(backup, key)) === '') yield { property: `backup.${key}`, value: undefined, limit };
  }
  const keys = read(backup, 'recipients');
  if (!(Number(keys) >= 2)) {
    const limit = '2 or more: a backup that one key alone opens is lost with that key';
    yield { property: 'backup.recipients', value: keys, limit };
  }
}

/**
 * Three copies on two media, one of them offsite and locked, one offline. The offline one and the count of errors are no resources:
 * `standby backup status` counts them from what is there. Here is what configuration and a state can show.
 */
export const backupCopies = defineRule<Settings>({
  name: 'backup-3-2-1-1-0',
  description:
    'Besides the data there are an immutable copy at the other site, a locked one at another provider, one offline',
  standard: 'ISO/IEC 27001:2022 A.8.13 (information backup), A.5.30 (ICT readiness); GDPR Art. 32(1)(c)',
  scope: 'stack',
  types: ['pulumi:pulumi:Stack'],
  settings: {
    required: { type: 'boolean', default: false, description: 'true or false' },
    minimumDays: {
      type: 'integer',
      minimum: 1,
      maximum: 3650,
      default: 35,
      description: 'a whole number from 1 to 3650',
    },
    keeper: { type: 'string', default: 'prod', description: 'the name of the stack that keeps the copies' },
    offsite: {
      type: 'string',
      enum: ['state', 'elsewhere'],
      default: 'elsewhere',
      description: '"state", or "elsewhere" where another project makes the bucket',
    },
  },
  *check(root, { required, minimumDays, keeper, offsite }, stack): Iterable<Violation> {
    if (!required) return;
    const backup = read(root.props, 'backup');
    if (backup !== undefined) yield* configured(backup);
    if (stack.name !== keeper) return;
    yield* siteVault(stack, minimumDays);
    if (offsite === 'state') yield* offsiteCopy(stack, minimumDays);
  },
});
