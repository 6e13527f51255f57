/** What takes backups by itself, on the cluster beside the storage that has them. */
import * as pulumi from '@pulumi/pulumi';
import { BackupSchedule } from '../components/backup/backupSchedule';
import { databaseEngines } from '../components/database/engines';
import { brokenPromise, siteOfJobs } from '../config/backup';
import type { FailoverConfig } from '../config/failover';
import { lostCluster } from '../config/servers';
import type { Surroundings } from './platforms';
import type { KnownSites } from './sites';

/** Nothing of it waits for a change of role, and no change of role for it. On a cluster that nobody can reach it stays as it is. */
export function backupSchedule({ config, known, providers }: Surroundings): BackupSchedule | undefined {
  const { backup } = config;
  const jobs = backup?.schedule.jobs;
  if (!backup || !jobs) return undefined;
  const site = siteOfJobs(backup);
  if (site === lostCluster(config)) return undefined;
  const { offsite } = backup.vaults;
  const database = databaseEngines[known.prod.outputs.database.engine].port;
  const offsitePort = offsite ? Number(new URL(offsite.endpoint).port || 443) : 443;
  const ssh = backup.estate.repositories.some(({ from, mirror }) =>
    [from, mirror].some((one) => /^(ssh:|[^/]+@)/.test(one)),
  );
  return new BackupSchedule(
    `backup-schedule-${site}`,
    {
      namespace: jobs.namespace,
      image: jobs.image,
      environmentSecret: jobs.environmentSecret,
      identitySecret: jobs.identitySecret,
      project: projectFiles(config),
      everyHours: backup.schedule.everyHours,
      estateEveryHours: backup.estate.everyHours,
      fullAt: backup.schedule.fullAt,
      egressPorts: [...new Set([database, offsitePort, ...(ssh ? [22] : [])])].filter((port) => port !== 443),
      verifiers: jobs.verifiers,
      suspended: jobs.suspended,
    },
    { provider: providers[site] },
  );
}

/**
 * The project's folder as `standby` in a pod finds it: the switch of this update, so that backups are taken from the server that has
 * the business. How far a change of role has gone is left out: it is no matter of backups, and each piece of it would change this.
 */
function projectFiles({
  stage: _stage,
  prepared: _prepared,
  ...config
}: FailoverConfig): Readonly<Record<string, string>> {
  const values = Object.entries(config).filter(([, value]) => value !== undefined);
  // JSON is YAML.
  const written = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;
  return {
    'Pulumi.yaml': written({ name: pulumi.getProject(), runtime: 'nodejs' }),
    'Pulumi.failover.yaml': written({
      config: Object.fromEntries(values.map(([key, value]) => [`${pulumi.getProject()}:${key}`, value])),
    }),
  };
}

/** @returns why backups are not kept as long as they are wanted, in a line; none when they are. */
export function retentionCautions({ backup }: FailoverConfig, known: KnownSites): string[] {
  if (!backup) return [];
  const { site, offsite } = backup.vaults;
  const days = known[site].outputs.backup.retentionDays;
  const why = brokenPromise(backup, { site, days, elsewhere: offsite !== undefined });
  return why === undefined ? [] : [why];
}
