import {
  defineRule,
  dependentsOf,
  ofType,
  read,
  readList,
  readLower,
  text,
  type Resource,
  type Violation,
} from '../rule';

const lifecycle = 'azure-native:storage:ManagementPolicy';
const container = 'azure-native:storage:BlobContainer';
const containerImmutability = 'azure-native:storage:BlobContainerImmutabilityPolicy';
const account = 'azure-native:storage:StorageAccount';
const standard = 'ISO/IEC 27001:2022 A.8.13 (information backup); GDPR Art. 32(1)(c)';

const days = (value: unknown): number => (typeof value === 'number' ? value : Number(value ?? NaN));

/** Where a resource says for how many days it keeps what it backs up. */
const retentionOf: Readonly<Record<string, string>> = {
  'azure-native:dbforpostgresql:Server': 'backup.backupRetentionDays',
  'azure-native:sql:BackupShortTermRetentionPolicy': 'retentionDays',
  [containerImmutability]: 'immutabilityPeriodSinceCreationInDays',
};

function* expiries(resource: Resource): Iterable<readonly [property: string, days: unknown]> {
  for (const [index, rule] of readList(resource.props, 'policy.rules').entries()) {
    if (read(rule, 'enabled') === false) continue;
    for (const part of ['baseBlob', 'snapshot', 'version']) {
      for (const since of ['Modification', 'Creation', 'LastAccessTime']) {
        const property = `definition.actions.${part}.delete.daysAfter${since}GreaterThan`;
        const value = read(rule, property);
        if (value !== undefined) yield [`policy.rules[${index}].${property}`, value];
      }
    }
  }
}

/** Backups are kept for the plan's minimum, and nothing cleans them up before. */
export const backupRetention = defineRule<{ minimumDays: number }>({
  name: 'backup-retention',
  description: 'Backups are kept at least as long as the plan asks',
  standard: `${standard}; NIST SP 800-34 Rev. 1`,
  scope: 'resource',
  types: [...Object.keys(retentionOf), lifecycle],
  settings: {
    minimumDays: { type: 'integer', minimum: 7, maximum: 35, default: 35, description: 'a whole number from 7 to 35' },
  },
  *check(resource, { minimumDays }) {
    const limit = `${minimumDays} days or more`;
    const property = retentionOf[resource.type];
    const found = property ? [[property, read(resource.props, property)] as const] : expiries(resource);
    for (const [name, value] of found) {
      if (!(days(value) >= minimumDays)) yield { property: name, value, limit };
    }
  },
});

/** The account's own policy for versions, which covers a container that has version-level immutability on. */
function ownerOf(resource: Resource, resources: readonly Resource[]): Resource | undefined {
  const urns = resource.dependencies['accountName'] ?? [];
  return ofType(resources, account).find(
    (other) => urns.includes(other.urn) || sameName(other, read(resource.props, 'accountName')),
  );
}
const sameName = (other: Resource, name: unknown) =>
  name !== undefined && [read(other.props, 'accountName'), read(other.props, 'name')].includes(name);

interface Immutability {
  /** `locked`, `unlocked`, `disabled` in the vendor's words, or '' while nobody has said. */
  readonly state: string;
  readonly property: string;
  readonly from: Resource;
}

function immutabilityOf(
  resource: Resource,
  stack: { name: string; resources: readonly Resource[] },
): Immutability | undefined {
  const [policy] = dependentsOf(resource, stack, [containerImmutability]);
  if (policy) return { state: readLower(policy.props, 'state'), property: 'state', from: policy };
  const owner = ownerOf(resource, stack.resources);
  const versions = 'immutableStorageWithVersioning';
  if (!owner || read(owner.props, `${versions}.enabled`) !== true) return undefined;
  const property = `${versions}.immutabilityPolicy.state`;
  const state = readLower(owner.props, property);
  return state === 'locked' || state === 'unlocked' ? { state, property, from: owner } : undefined;
}

/** A stack's validation sees answers, where the container's name is plain `name`. */
const judgedContainer = (resource: Resource, exempt: readonly string[]) =>
  ![resource.name, ...['containerName', 'name'].map((key) => text(read(resource.props, key)))].some((name) =>
    exempt.includes(name),
  );

const exempt = {
  type: 'array',
  items: { type: 'string' },
  default: [],
  description: 'a list of container names that hold no backups',
} as const;

/** What is written into a backup container can't be changed or deleted, by nobody, for the period. */
export const backupImmutability = defineRule<{ exempt: readonly string[] }>({
  name: 'backup-immutability',
  description: 'Backup containers are immutable',
  standard,
  scope: 'stack',
  types: [container],
  settings: { exempt: { ...exempt } },
  *check(resource, settings, stack): Iterable<Violation> {
    if (!judgedContainer(resource, settings.exempt) || immutabilityOf(resource, stack)) return;
    yield {
      property: 'immutability policy',
      value: undefined,
      limit: 'a BlobContainerImmutabilityPolicy of the container, or an immutability policy of its storage account',
    };
  },
});

/** A locked policy can only be extended: the last word, also against an administrator. Asked for by some plans only. */
export const backupImmutabilityLocked = defineRule<{ required: boolean; exempt: readonly string[] }>({
  name: 'backup-immutability-locked',
  description: 'The immutability of backup containers is locked, where the plan asks for it',
  standard,
  scope: 'stack',
  types: [container],
  settings: {
    required: { type: 'boolean', default: false, description: 'true or false' },
    exempt: { ...exempt },
  },
  *check(resource, settings, stack): Iterable<Violation> {
    if (!settings.required || !judgedContainer(resource, settings.exempt)) return;
    const found = immutabilityOf(resource, stack);
    if (!found || found.state === 'locked') return;
    yield { property: `${found.from.name} ${found.property}`, value: found.state || undefined, limit: '"Locked"' };
  },
});
