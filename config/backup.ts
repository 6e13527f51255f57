/** Backups of what the business can't lose: what is taken, how often, where it is kept and for how long, who can open it. */
import { z } from 'zod';
import { estateSchema } from './estate';
import type { FailoverConfig } from './failover';
import * as f from './fields';
import type { Check, Issue } from './issues';

const assertionSchema = z.strictObject({
  name: f.text(/^[\w .,:-]{1,80}$/, {
    description: 'What it proves, in words: it is what a report says.',
    allowed: '1 to 80 letters, digits, blanks and . , : - _',
    fix: 'name what must be true of the data',
  }),
  sql: f.field(z.string().regex(/^\s*(select|with|table)\b[^;]*$/i), {
    description: 'One query that gives one number. It is run read-only on the restored copy.',
    allowed: 'one SELECT (or WITH, TABLE) without a semicolon',
    fix: 'write a query such as SELECT count(*) FROM bookings',
  }),
  atLeast: f.field(z.number().optional(), {
    description: 'The number is this or more.',
    allowed: 'a number; either atLeast or equals',
  }),
  equals: f.field(z.number().optional(), {
    description: 'The number is exactly this.',
    allowed: 'a number; either atLeast or equals',
  }),
});

const databaseSchema = z.strictObject({
  name: f.text(/^[a-z_][a-z0-9_]{0,62}$/, {
    description: 'Database of the server that has the business.',
    allowed: 'lower-case letters, digits and underscores',
    fix: 'write the name as `psql --list` shows it',
  }),
  assertions: f.field(z.array(assertionSchema).max(100).default([]), {
    description: 'What must be true after each restore, besides what is always checked (rows, schema, keys, sentinel).',
    allowed: 'a list of queries, each with the number that it must give',
  }),
});

const kept = z.strictObject({
  daily: f.whole(1, 1_000, 'Days for which the first backup of each is kept.', 35),
  weekly: f.whole(1, 1_000, 'Weeks, likewise.', 12),
  monthly: f.whole(1, 1_000, 'Months, likewise.', 12),
});

/** Name of an object of Kubernetes. */
const kubernetesName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const objectName = (fallback: string, description: string) =>
  f.field(z.string().regex(kubernetesName).default(fallback), {
    description,
    allowed: '1 to 63 lower-case letters, digits and hyphens, no hyphen first or last',
    fix: `write a name such as ${fallback}`,
  });

const jobsSchema = z.strictObject({
  image: f.image('Image with `standby`, Pulumi and PostgreSQL’s programs: backup/Dockerfile.'),
  namespace: objectName('standby-backup', 'Namespace of their own, which the stack makes.'),
  environmentSecret: objectName(
    'standby-environment',
    'Secret there whose keys are the variables that `standby` reads. A person makes it, so that credentials are in no state.',
  ),
  identitySecret: objectName(
    'standby-identity',
    'Secret there with secret keys of age: `identity` opens backups, `second-identity` proves that the secrets open.',
  ),
  verifiers: f.whole(1, 50, 'Restore checks side by side: pods, each with its share of the databases.', 1),
  suspended: f.field(z.boolean().default(false), {
    description:
      'They stay, and nothing starts them. Taken out of the configuration they would go on as they are on a cluster that keeps them.',
    allowed: 'true, false',
  }),
});

const scheduleSchema = z.strictObject({
  fullAt: f.field(
    z
      .string()
      .regex(/^([01]\d|2[0-3]):[0-5]\d$/)
      .default('01:00'),
    {
      description: 'Time of day, in UTC, of the full backup of everything.',
      allowed: 'a time such as 01:00',
      fix: 'write HOURS:MINUTES, between quotation marks',
    },
  ),
  everyHours: f.whole(1, 24, 'Hours between two backups of the databases.', 1),
  jobs: f.field(jobsSchema.optional(), {
    description:
      'What takes and restores them by itself: CronJobs on the cluster in whose region the storage of `vaults.site` is. Without it nothing does, and whoever calls ' +
      '`standby backup run`, `backup verify` and `estate run` keeps the times.',
    allowed: 'image, namespace, environmentSecret, identitySecret, verifiers, suspended',
  }),
});

const accountId = /^[0-9a-f]{32}$/;
/** Data stays in the European Union, by the provider's own guarantee. */
export const r2Jurisdiction = 'eu';
/** S3 endpoint of an account at Cloudflare, without the bucket. */
export const r2Endpoint = (account: string): string => `https://${account}.${r2Jurisdiction}.r2.cloudflarestorage.com`;

const offsiteSchema = z.strictObject({
  endpoint: f.field(z.url({ protocol: /^https$/ }), {
    description: 'S3 endpoint of another provider.',
    allowed: 'an address that begins with https://',
    fix: 'write the address that the provider names, without the bucket',
  }),
  region: f.text(/^[a-z0-9-]{2,40}$/, {
    description: "Region, in the provider's words.",
    allowed: 'a name such as eu-central-1, or auto at Cloudflare R2',
    fix: 'write the region of the bucket',
  }),
  account: f.field(z.string().regex(accountId).optional(), {
    description:
      'Account at Cloudflare in which the failover stack makes the bucket (R2, in the European Union) and its lock. Without it ' +
      'somebody else has made them before the first backup.',
    allowed: '32 hexadecimal digits; only with lock bucket, and the endpoint of that account',
    fix: 'write the id that stands beside the account at the provider',
  }),
  bucket: f.text(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
    description: 'Bucket.',
    allowed: '3 to 63 lower-case letters, digits, dots and hyphens',
    fix: 'write the name of the bucket',
  }),
  lock: f.field(z.enum(['object', 'bucket']).default('object'), {
    description:
      'How the provider keeps objects: `object` gives each its own time (S3 object lock, COMPLIANCE), `bucket` has rules of the ' +
      'bucket for all (Cloudflare R2), which must last as long as `retention` does.',
    allowed: 'object, bucket',
  }),
});

const offlineSchema = z.strictObject({
  label: f.text(/^[\w.-]{1,40}$/, {
    description: 'Begins the label of each medium.',
    allowed: '1 to 40 letters, digits, dots, hyphens and underscores',
    fix: 'write what stands on the medium',
  }),
  everyDays: f.whole(1, 366, 'Days after which another export is due.', 7),
});

const vaultsSchema = z.strictObject({
  site: f.field(z.enum(f.sites).default('prod'), {
    description:
      "Site whose backup storage takes them. A site's storage is in another region than the site: what is to outlive PROD lies in prod's.",
    allowed: f.sites.join(', '),
  }),
  offsite: f.field(offsiteSchema.optional(), {
    description: 'Copy at another provider; credentials are in STANDBY_OFFSITE_KEY_ID and STANDBY_OFFSITE_SECRET.',
    allowed: 'endpoint, region, account, bucket, lock',
  }),
  offline: f.field(offlineSchema.optional(), {
    description: 'Copy on a medium that is taken away.',
    allowed: 'label, everyDays',
  }),
});

/** X25519 keys of age, in their bech32 letters. */
const recipient = f.text(/^age1[02-9ac-hj-np-z]{58}$/, {
  description: 'Public key of age.',
  allowed: 'what `age-keygen` prints: age1 and 58 letters and digits',
  fix: 'write the public key; the secret one is in the file that STANDBY_AGE_IDENTITY_FILE names',
});

const exportSchema = z.strictObject({
  name: f.text(/^[a-z][a-z0-9_-]{0,40}$/, {
    description: 'What people call it: `standby export NAME`.',
    allowed: 'lower-case letters, digits, hyphens and underscores, a letter first',
    fix: 'write a name such as bookings',
  }),
  database: f.text(/^[a-z_][a-z0-9_]{0,62}$/, {
    description: 'Database that is asked: one of `databases`.',
    allowed: 'lower-case letters, digits and underscores',
    fix: 'write one of the names in databases',
  }),
  sql: f.field(z.string().regex(/^\s*(select|with|table)\b[^;]*$/i), {
    description: 'One query, run read-only on the restored copy; `$1` is the tenant, as text.',
    allowed: 'one SELECT (or WITH, TABLE) without a semicolon',
    fix: 'write a query such as SELECT * FROM bookings WHERE tenant_id::text = $1',
  }),
});

export const backupSchema = z.strictObject({
  schedule: f.field(scheduleSchema.prefault({}), { description: 'How often.', allowed: 'fullAt, everyHours, jobs' }),
  retention: f.field(kept.prefault({}), { description: 'How long.', allowed: 'daily, weekly, monthly' }),
  recoveryPointMinutes: f.whole(5, 10_080, 'Age from which the newest backup is too old (RPO), in minutes.'),
  vaults: f.field(vaultsSchema.prefault({}), { description: 'Where.', allowed: 'site, offsite, offline' }),
  recipients: f.field(z.array(recipient).min(2).max(20), {
    description: 'Who can open what is kept. The second key is the one that a test of decryption uses.',
    allowed: 'a list of two public keys of age or more',
    fix: 'make a second key (`age-keygen`), and keep it elsewhere',
  }),
  databases: f.field(z.array(databaseSchema).min(1).max(200), {
    description: 'Databases that are taken and restored, each by itself.',
    allowed: 'a list of one database or more, each with its name',
    fix: 'name the databases that the business works on',
  }),
  exports: f.field(z.array(exportSchema).max(100).default([]), {
    description: 'What customers can be given during an outage (`standby export`).',
    allowed: 'a list of queries, each with its name and its database',
  }),
  estate: f.field(estateSchema.prefault({}), {
    description: 'Everything else that a failover needs (`standby estate`).',
    allowed: 'everyHours, repositories, variables, documents, logsDays',
  }),
});

export type BackupConfig = z.infer<typeof backupSchema>;
export type Retention = BackupConfig['retention'];

/**
 * A site's backup storage is in the other one's region: backups are taken and restored beside what is kept, by the cluster that is
 * left when the site is lost.
 */
export const siteOfJobs = ({ vaults }: Pick<BackupConfig, 'vaults'>): f.Site => f.otherSite(vaults.site);

/** What runs by itself: a CronJob each. */
export const backupJobs = ['run', 'estate', 'verify'] as const;
export type BackupJob = (typeof backupJobs)[number];
export type Assertion = z.infer<typeof assertionSchema>;

/** What no single value shows. */
export const backupChecks: readonly Check<FailoverConfig>[] = [
  {
    needs: ['backup'],
    find: ({ backup }) =>
      backup ? [...oneLimit(backup), ...once(backup), ...exported(backup), ...ownBucket(backup)] : [],
  },
  { needs: ['backup', 'company'], find: ({ backup, company }) => (backup ? onSchedule(backup, company) : []) },
  {
    needs: ['backup'],
    find: ({ backup }) =>
      backup && backup.recoveryPointMinutes < backup.schedule.everyHours * 60
        ? [
            {
              key: 'backup.recoveryPointMinutes',
              got: backup.recoveryPointMinutes,
              allowed: `${backup.schedule.everyHours * 60} or more, while schedule.everyHours is ${backup.schedule.everyHours}`,
              fix: 'take backups more often, or promise less',
            },
          ]
        : [],
  },
];

const oneLimit = ({ databases }: BackupConfig): Issue[] =>
  databases.flatMap(({ assertions }, at) =>
    assertions.flatMap(({ atLeast, equals }, index) =>
      (atLeast === undefined) !== (equals === undefined)
        ? []
        : [
            {
              key: `backup.databases[${at}].assertions[${index}]`,
              ...(atLeast === undefined ? {} : { got: { atLeast, equals } }),
              allowed: 'exactly one of atLeast and equals',
              fix: 'say which number the query must give',
            },
          ],
    ),
  );

function once({ recipients, databases }: BackupConfig): Issue[] {
  const again = (key: string, values: readonly string[]): Issue[] =>
    values.flatMap((got, index) =>
      values.indexOf(got) === index
        ? []
        : [{ key: `${key}[${index}]`, got, allowed: 'each one once', fix: 'remove it, or write another' }],
    );
  return [
    ...again('backup.recipients', recipients),
    ...again(
      'backup.databases',
      databases.map(({ name }) => name),
    ),
  ];
}

const exported = ({ exports, databases }: BackupConfig): Issue[] => {
  const names = databases.map(({ name }) => name);
  return exports.flatMap(({ database }, index) =>
    names.includes(database)
      ? []
      : [
          {
            key: `backup.exports[${index}].database`,
            got: database,
            allowed: `one of backup.databases: ${names.join(', ')}`,
            fix: 'an export is read from a backup: name a database that is taken, or add it to backup.databases',
          },
        ],
  );
};

/** A bucket that the stack makes is the one that backups are put into. */
function ownBucket({ vaults: { offsite } }: BackupConfig): Issue[] {
  if (offsite?.account === undefined) return [];
  const [endpoint, given] = [r2Endpoint(offsite.account), offsite.endpoint.replace(/\/$/, '')];
  const key = 'backup.vaults.offsite';
  const fix = 'leave account out where the bucket is made by somebody else';
  return [
    ...(given === endpoint
      ? []
      : [{ key: `${key}.endpoint`, got: offsite.endpoint, allowed: `${endpoint}, while account is set`, fix }]),
    ...(offsite.lock === 'bucket'
      ? []
      : [{ key: `${key}.lock`, got: offsite.lock, allowed: 'bucket, while account is set: R2 has no other', fix }]),
  ];
}

const hoursADay = 24;
const hoursAWeek = 7 * hoursADay;

/** A schedule of cron begins anew each day, or each week: other times between two backups would not be the ones that are promised. */
function onSchedule({ schedule, estate }: BackupConfig, company: string): Issue[] {
  const { jobs, everyHours } = schedule;
  if (!jobs) return [];
  const divisors = '1, 2, 3, 4, 6, 8, 12, 24';
  const divides = (hours: number) => hoursADay % hours === 0;
  const uneven = (key: string, got: number, allowed: string): Issue => ({
    ...{ key, got, allowed: `${allowed}, while backup.schedule.jobs is set` },
    fix: 'choose hours that divide the day: the last time between two would be another one',
  });
  return [
    ...(divides(everyHours) ? [] : [uneven('backup.schedule.everyHours', everyHours, divisors)]),
    ...(divides(estate.everyHours) || estate.everyHours === hoursAWeek
      ? []
      : [uneven('backup.estate.everyHours', estate.everyHours, `${divisors}, ${hoursAWeek}`)]),
    ...(jobs.namespace === company
      ? [
          {
            key: 'backup.schedule.jobs.namespace',
            got: jobs.namespace,
            allowed: `a namespace other than ${company}, which has the applications`,
            fix: 'leave it out: whoever may start a pod in a namespace reads its Secrets, and these open every backup',
          },
        ]
      : []),
  ];
}

/** A month as a twelfth of a leap year: no year of months is longer. */
const daysOf = { week: 7, month: 366 / 12 } as const;

/** @returns days for which a backup of a database is wanted at the longest. */
export const longestDays = ({ daily, weekly, monthly }: Retention): number =>
  Math.max(daily, weekly * daysOf.week, Math.ceil(monthly * daysOf.month));

/** @returns days for which anything is wanted at the longest. */
export const wantedDays = ({ retention, estate }: Pick<BackupConfig, 'retention' | 'estate'>): number =>
  Math.max(longestDays(retention), estate.logsDays);

/** Where backups are kept. */
export interface Keeper {
  readonly site: f.Site;
  /** For which the site's storage keeps everything; undefined where its stack has not told. */
  readonly days: number | undefined;
  /** Another provider keeps each for its time. */
  readonly elsewhere: boolean;
}

/**
 * The site's storage keeps everything for one number of days, and then removes it: what is wanted longer is kept elsewhere, or not.
 * @returns why what is promised is not kept; undefined when it is.
 */
export function brokenPromise(
  backup: Pick<BackupConfig, 'retention' | 'estate'>,
  { site, days, elsewhere }: Keeper,
): string | undefined {
  const wanted = wantedDays(backup);
  if (elsewhere || (days !== undefined && days >= wanted)) return undefined;
  const held =
    days === undefined
      ? `for how long the storage of ${site} keeps them is unknown`
      : `the storage of ${site} removes them after ${days}`;
  return (
    `backups are wanted for ${wanted} days, and ${held}: set standby:backup.retentionDays of ${site} to ${wanted}, ` +
    'add standby:backup.vaults.offsite, or want less (standby:backup.retention, standby:backup.estate.logsDays)'
  );
}
