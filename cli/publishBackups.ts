/** Writes docs/backups.md: `npm run docs:backups`. All of it comes from configuration, profiles and policies. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parse } from 'yaml';
import { backupSchema, brokenPromise, type BackupConfig } from '../config/backup';
import { dataSetNotes, type DataSetNote } from '../config/dataSets';
import type { EnvironmentConfig } from '../config/environment';
import { sites, type Site } from '../config/fields';
import { loadEnvironment, loadFailover, type RawConfig } from '../config/loader';
import { rules } from '../policies/rules';
import { readProfile } from '../policies/settings';

const repository = path.join(__dirname, '..');
export const backupsDocument = path.join(repository, 'docs', 'backups.md');
const policyProfiles = path.join(repository, 'policies', 'profiles');
const plans = path.join(repository, 'profiles');

function rawOf(stack: string): RawConfig {
  const file = path.join(repository, `Pulumi.${stack}.yaml`);
  const { config } = parse(fs.readFileSync(file, 'utf8')) as { readonly config: Record<string, unknown> };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

/** What holds where a key is left out; what has no default is not asked for it. */
const { schedule, retention, estate, vaults } = backupSchema.shape;
type Shown = Pick<BackupConfig, 'schedule' | 'retention' | 'estate' | 'vaults'> & Partial<BackupConfig>;
const defaults: Shown = {
  schedule: schedule.parse(undefined),
  retention: retention.parse(undefined),
  estate: estate.parse(undefined),
  vaults: vaults.parse(undefined),
};

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

function often({ name, by }: DataSetNote, { schedule: when, estate: beside }: Shown): string {
  if (by === 'backup') return `every ${when.everyHours} h, all of it at ${when.fullAt} UTC`;
  if (by === 'store') return 'at each writing';
  return `every ${beside.everyHours} h${name === 'logs' ? ', from where the last copy ends' : ''}`;
}

function kept({ name, by }: DataSetNote, { retention: keep, estate: beside }: Shown): string {
  if (by === 'store') return 'as its store says';
  if (name === 'logs') return `${beside.logsDays} days`;
  return `${keep.daily} days, ${keep.weekly} weeks, ${keep.monthly} months`;
}

function back({ name, by, live }: DataSetNote): string {
  if (by === 'backup') return '`standby restore --at TIME` or `--latest`, `--tables NAMES --into recovered_…`';
  if (by === 'store') return '`standby estate document NAME --at VERSION --into FILE`, or `--into live`';
  const files = `\`standby estate restore ${name} --into FOLDER\``;
  return live ? `${files}, or \`--into live\`` : files;
}

const dataSets = (config: Shown) =>
  table(
    ['data set', 'what', 'how often', 'kept', 'how to get it back', 'and what that does'],
    dataSetNotes.map((note: DataSetNote) => [
      `\`${note.name}\``,
      note.what,
      often(note, config),
      kept(note, config),
      back(note),
      note.live ?? 'files that only you can read',
    ]),
  );

function places({ vaults: where, recipients }: Shown, known: Readonly<Record<Site, EnvironmentConfig>>): string {
  const { backup } = known[where.site];
  const { offsite, offline } = where;
  const opened = recipients ? `${recipients.length} keys open them` : 'two keys or more open them';
  const none = 'none in the configuration as it is committed';
  return table(
    ['copy', 'where', 'who keeps it from being changed or deleted'],
    [
      [
        'the data themselves',
        'the server, repository or account that they are in',
        'nobody: that is why there are others',
      ],
      [
        `at the site \`${where.site}\``,
        `Azure storage in ${backup.region}, ${backup.redundancy}`,
        `the container's immutability policy, ${backup.retentionDays} days`,
      ],
      [
        'at another provider',
        offsite ? `${offsite.endpoint}, bucket ${offsite.bucket}` : `${none}: \`standby:backup.vaults.offsite\``,
        offsite?.lock === 'bucket' ? 'lock rules of the bucket' : "each object's own lock (COMPLIANCE)",
      ],
      [
        'offline',
        offline
          ? `a medium labelled ${offline.label}, every ${offline.everyDays} days`
          : `${none}: \`standby:backup.vaults.offline\``,
        'whoever takes it away',
      ],
    ],
  ).concat(`\n\nEvery copy is sealed in age's format before it leaves the machine; ${opened}.`);
}

function started({ schedule: when, vaults: where }: Shown): string {
  const { jobs } = when;
  if (!jobs) {
    return (
      '**Nothing takes backups by itself:** `standby:backup.schedule.jobs` is not set, so whoever calls `standby backup run`, ' +
      '`standby backup verify` and `standby estate run` keeps these times.'
    );
  }
  const side = jobs.verifiers > 1 ? `, by ${jobs.verifiers} pods side by side` : '';
  return (
    `CronJobs in the namespace \`${jobs.namespace}\` on the cluster of \`${where.site}\` take them, and restore them half an hour later${side}` +
    `${jobs.suspended ? '; **they are suspended**' : ''}. \`standby backup status\` says whether the last of each did.`
  );
}

/** What is promised above and not kept. */
function unkept(config: Shown, known: Readonly<Record<Site, EnvironmentConfig>>): string {
  const { site, offsite } = config.vaults;
  const days = known[site].backup.retentionDays;
  const why = brokenPromise(config, { site, days, elsewhere: offsite !== undefined });
  return why === undefined ? '' : `\n\n**Not kept as long as above:** ${why}.`;
}

const managed = (known: Readonly<Record<Site, EnvironmentConfig>>) =>
  table(
    ['site', 'region', "the server's own backups", 'copied to the paired region', 'logs'],
    sites.map((site) => {
      const { region, database, logs } = known[site];
      return [
        `\`${site}\``,
        region,
        `to any second of the last ${database.backupRetentionDays} days`,
        database.geoRedundantBackup ? 'yes' : 'no',
        `${logs.retentionDays} days`,
      ];
    }),
  );

interface Plan {
  readonly plan: { readonly name: string };
  readonly objectives: readonly {
    readonly service: string;
    readonly recoveryTimeHours: number;
    readonly recoveryPointHours: number;
    readonly external?: boolean;
  }[];
  readonly backups?: Readonly<Record<string, unknown>>;
}

/** Policies about copies: which of them there are is said by their names alone. */
const about = rules.filter(({ name }) =>
  /^(backup-|second-region|log-retention|no-public-blobs|data-resources)/.test(name),
);

const words = (key: string) => key.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
const shown = (value: unknown) => (Array.isArray(value) ? value.join(', ') : String(value));

function profile(name: string): string {
  const plan = parse(fs.readFileSync(path.join(plans, `${name}.yaml`), 'utf8')) as Plan;
  const settings = readProfile(name, policyProfiles);
  const own = plan.objectives.filter(({ external }) => !external);
  const promised = own.map(
    ({ service, recoveryTimeHours: time, recoveryPointHours: point }) =>
      `- ${service}: back within ${time} h, ${point === 0 ? 'nothing that was committed is lost' : `at most ${point} h lost`}`,
  );
  const said = Object.entries(plan.backups ?? {}).map(([key, value]) => `- ${words(key)}: ${shown(value)}`);
  const checked = about.map((rule) => {
    const { clause, ...rest } = settings[rule.name] ?? {};
    const list = Object.entries(rest).filter(([, value]) => !Array.isArray(value));
    const values = list.map(([key, value]) => `\`${key}\` ${String(value)}`).join(', ');
    return [`\`${rule.name}\``, rule.description, values, typeof clause === 'string' ? clause : ''];
  });
  return [
    `### ${plan.plan.name} (\`${name}\`)`,
    promised.length > 0 ? `Promised:\n\n${promised.join('\n')}` : 'The plan names no objective in hours.',
    said.length > 0
      ? `The plan says of backups:\n\n${said.join('\n')}`
      : 'The plan says nothing of how backups are made.',
    `Checked:\n\n${table(['policy', 'asks for', 'settings', 'clause of the plan'], checked)}`,
  ].join('\n\n');
}

export function markdown(): string {
  const failover = loadFailover(rawOf('failover'));
  const known = Object.fromEntries(sites.map((site) => [site, loadEnvironment(site, rawOf(site))])) as Record<
    Site,
    EnvironmentConfig
  >;
  const config: Shown = failover.backup ?? defaults;
  const from = failover.backup
    ? 'as `standby:backup` in `Pulumi.failover.yaml` has it'
    : 'as it is where `standby:backup` in `Pulumi.failover.yaml` says nothing else; it is to name recipients and databases';
  const names = fs.readdirSync(plans).flatMap((file) => (file.endsWith('.yaml') ? [file.slice(0, -5)] : []));
  return `# Backups

Made by \`npm run docs:backups\` from the stacks' configuration, \`profiles/\` and \`policies/profiles/\`; what is written here by hand is
lost. Every key is in [configuration.md](configuration.md).

## What is backed up, how often, and how to get it back

This is ${from}.

${dataSets(config)}

${started(config)}

A backup counts when it was restored: \`standby backup verify\` says so of databases, \`standby estate run\` of all else.
\`standby backup status\` counts copies, media, offsite, offline and errors from what is there, also of what was to be taken and never
was. \`standby estate restore SET\` without \`--into\` prints what is different and changes nothing.

A table that had 100 rows or more and has none, or is gone, makes a backup *BackupWithoutData*, and so each one after it: a failover takes
an older one. Where a migration is meant to do that, a person says so: \`standby backup verify ID --accept-emptied schema.table\`. Who and
when is kept with the backup, \`standby backup list\` and \`status\` show it, and later backups are compared with that one.
Partitions count as the table that they are of: one that goes in its time is no loss.

## Where it is kept

${places(config, known)}${unkept(config, known)}

Beside them the managed servers keep their own:

${managed(known)}

## What each plan asks for

${names.sort().map(profile).join('\n\n')}
`;
}

if (require.main === module) fs.writeFileSync(backupsDocument, markdown());
