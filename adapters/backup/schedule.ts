/** What takes backups by itself, as the cluster that has it says. */
import type { Check, Instant } from '../../backup/model';
import type { Call } from '../../backup/ports';
import { scheduleChecks, type SeenJob, type SeenSchedule, type WantedJob } from '../../backup/schedule';
import { backupJobs, siteOfJobs, type BackupConfig, type BackupJob } from '../../config/backup';
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';
import { clusterOf, type Job } from '../kubernetes/cluster';
import { backupOf } from './vaults/vaults';

/** As components/backup/backupSchedule.ts names and labels them. */
export const cronJobName = (job: BackupJob): string => `standby-backup-${job}`;
const label = 'app.kubernetes.io/component';
const selector = 'app.kubernetes.io/name=standby-backup';

/** @returns a check for each CronJob; undefined where the configuration has none. */
export async function scheduleStatus(context: AdapterContext, call: Call, now: Instant): Promise<Check[] | undefined> {
  const config = backupOf(context);
  if (!config.schedule.jobs) return undefined;
  const seen = await look(context, siteOfJobs(config), config.schedule.jobs.namespace, call);
  return scheduleChecks(wantedJobs(config), seen, now);
}

const wantedJobs = ({ schedule, estate }: BackupConfig): WantedJob[] =>
  backupJobs.map((job) => ({
    name: cronJobName(job),
    minutes: (job === 'estate' ? estate.everyHours : schedule.everyHours) * 60,
  }));

/** @returns why nobody could look, where nobody could. */
async function look(
  context: AdapterContext,
  site: BackupConfig['vaults']['site'],
  namespace: string,
  { signal }: Call,
): Promise<SeenSchedule | string> {
  const cluster = clusterOf(context, site);
  try {
    const [cronJobs, jobs] = await Promise.all([
      cluster.cronJobs(namespace, selector, signal),
      cluster.jobs(namespace, selector, signal),
    ]);
    const ended = (job: BackupJob) =>
      jobs.filter(({ metadata }) => metadata.labels?.[label] === job).flatMap((one) => endOf(one) ?? []);
    return {
      cronJobs: cronJobs.map(({ metadata, spec }) => ({
        name: metadata.name,
        since: Date.parse(metadata.creationTimestamp),
        suspended: spec.suspend ?? false,
      })),
      jobs: Object.fromEntries(backupJobs.map((job) => [cronJobName(job), ended(job)])),
    };
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof StandbyError) return cause.message;
    throw cause;
  }
}

/** @returns undefined while it runs. */
function endOf({ metadata: { name }, status }: Job): SeenJob | undefined {
  const found = status?.conditions?.find(
    ({ type, status: holds }) => /^(Complete|Failed)$/.test(type) && holds === 'True',
  );
  if (!found) return undefined;
  const endedAt = Date.parse(found.lastTransitionTime);
  const why = [found.reason, found.message].filter(Boolean).join(': ') || 'it says nothing';
  return { name, endedAt, ...(found.type === 'Failed' ? { failed: why } : {}) };
}
