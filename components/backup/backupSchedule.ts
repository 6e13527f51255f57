import { CronJob } from '@pulumi/kubernetes/batch/v1/cronJob';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { kept } from '../workload/kept';

export interface BackupScheduleArgs {
  /** Namespace on the standby site's cluster. */
  readonly namespace: string;
  /** Image with `standby` and PostgreSQL's programs, pinned by digest. */
  readonly image: string;
  /** Secret in the namespace whose keys are the variables that `standby` reads: credentials, never on a command line. */
  readonly environmentSecret: string;
  /** Secret in the namespace with the key `identity`: what opens a backup, for the restore check alone. */
  readonly identitySecret: string;
  /** Hours between two backups; a divisor of 24. */
  readonly everyHours: number;
  /** `HOURS:MINUTES` in UTC of one of them: the day's full backup. */
  readonly fullAt: string;
  /** Restore checks side by side, each of them a pod that takes its share of the databases. @default - 1 */
  readonly verifiers?: number;
  /** Service account that may be the site's managed identity. @default - the namespace's own, which may nothing */
  readonly serviceAccount?: string;
}

/** Longest that a backup or a check may go on: then it is a failure that is seen, not a job that never ends. */
const deadlineSeconds = { run: 4 * 3600, verify: 8 * 3600 };
const identityFolder = '/var/run/secrets/standby-backup';
/** Minutes after a backup began at which it is restored. */
const checkAfterMinutes = 30;

/** Backups and their restore checks, on the site that survives: each a CronJob of the command that a person would type. */
export class BackupSchedule extends pulumi.ComponentResource {
  readonly schedules: readonly string[];

  constructor(name: string, args: BackupScheduleArgs, opts?: Options) {
    super('standby:backup:BackupSchedule', name, {}, opts);
    const { verifiers = 1 } = args;
    const minutes = minuteOf(args.fullAt);
    const [run, estate, verify] = [
      times(minutes, args.everyHours),
      times(minutes, 24),
      times(minutes + checkAfterMinutes, args.everyHours),
    ];
    cronJob(this, name, args, { job: 'run', schedule: run, command: ['backup', 'run'] });
    cronJob(this, name, args, { job: 'estate', schedule: estate, command: ['estate', 'run'] });
    const shard = verifiers > 1 ? ['--shard', `$(JOB_COMPLETION_INDEX)/${verifiers}`] : [];
    cronJob(this, name, args, { job: 'verify', schedule: verify, command: ['backup', 'verify', ...shard], verifiers });

    this.schedules = [run, estate, verify];
    this.registerOutputs({ schedules: this.schedules });
  }
}

const minutesADay = 24 * 60;

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

/** @returns a schedule of cron, every so many hours of the day, so that one of them is at `minute` of it. */
function times(minute: number, everyHours: number): string {
  const at = minute % minutesADay;
  const first = Math.floor(at / 60) % everyHours;
  const hours = Array.from({ length: Math.floor(24 / everyHours) }, (_, index) => first + index * everyHours);
  return `${at % 60} ${hours.join(',')} * * *`;
}

interface Work {
  readonly job: 'run' | 'estate' | 'verify';
  readonly schedule: string;
  readonly command: readonly string[];
  readonly verifiers?: number;
}

const labels = (job: string) => ({ 'app.kubernetes.io/name': 'standby-backup', 'app.kubernetes.io/component': job });

function cronJob(parent: pulumi.Resource, name: string, args: BackupScheduleArgs, work: Work) {
  const { job, schedule, verifiers = 1 } = work;
  const side = verifiers > 1 ? { completions: verifiers, parallelism: verifiers, completionMode: 'Indexed' } : {};
  return new CronJob(
    `${name}-${job}`,
    {
      metadata: { name: `standby-backup-${job}`, namespace: args.namespace, labels: labels(job) },
      spec: {
        schedule,
        timeZone: 'Etc/UTC',
        // Two at once would read the same databases twice and come to the same.
        concurrencyPolicy: 'Forbid',
        startingDeadlineSeconds: 600,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 7,
        jobTemplate: {
          spec: {
            ...side,
            backoffLimit: 2,
            activeDeadlineSeconds: deadlineSeconds[job === 'verify' ? 'verify' : 'run'],
            template: { metadata: { labels: labels(job) }, spec: pod(args, work) },
          },
        },
      },
    },
    kept(parent),
  );
}

/** One container with no rights on the cluster, known limits, and a scratch volume that goes with it. */
function pod(args: BackupScheduleArgs, { job, command }: Work) {
  return {
    restartPolicy: 'Never',
    ...(args.serviceAccount ? { serviceAccountName: args.serviceAccount } : {}),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 10001,
      fsGroup: 10001,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumes: [
      { name: 'scratch', emptyDir: { sizeLimit: '100Gi' } },
      { name: 'identity', secret: { secretName: args.identitySecret, defaultMode: 0o400 } },
    ],
    containers: [
      {
        name: job,
        image: args.image,
        command: ['standby', ...command, '--json'],
        envFrom: [{ secretRef: { name: args.environmentSecret } }],
        env: [
          { name: 'TMPDIR', value: '/scratch' },
          { name: 'HOME', value: '/scratch' },
          { name: 'STANDBY_AGE_IDENTITY_FILE', value: `${identityFolder}/identity` },
          { name: 'STANDBY_AGE_SECOND_IDENTITY_FILE', value: `${identityFolder}/second-identity` },
        ],
        volumeMounts: [
          { name: 'scratch', mountPath: '/scratch' },
          { name: 'identity', mountPath: identityFolder, readOnly: true },
        ],
        resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { cpu: '2', memory: '2Gi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ],
  };
}
