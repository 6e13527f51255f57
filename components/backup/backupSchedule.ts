import { CronJob } from '@pulumi/kubernetes/batch/v1/cronJob';
import { ConfigMap } from '@pulumi/kubernetes/core/v1/configMap';
import { Namespace } from '@pulumi/kubernetes/core/v1/namespace';
import { NetworkPolicy } from '@pulumi/kubernetes/networking/v1/networkPolicy';
import * as pulumi from '@pulumi/pulumi';
import type { BackupJob } from '../../config/backup';
import type { Options } from '../options';
import { kept } from '../workload/kept';

export interface BackupScheduleArgs {
  /** Namespace on the standby site's cluster; it is made, and nothing else is in it. */
  readonly namespace: string;
  /** Image whose entry point is `standby`, with Pulumi and PostgreSQL's programs, pinned by digest. */
  readonly image: string;
  /** Secret in the namespace whose keys are the variables that `standby` reads: credentials, never on a command line. */
  readonly environmentSecret: string;
  /** Secret in the namespace with the keys `identity` and `second-identity`: what opens a backup, for the restore checks alone. */
  readonly identitySecret: string;
  /** Files of the project's folder, by name: what `standby` reads its configuration from. No secret is in them. */
  readonly project: Readonly<Record<string, string>>;
  /** Hours between two backups of the databases; a divisor of 24. */
  readonly everyHours: number;
  /** Hours between two backups of all else; a divisor of 24, or a week. */
  readonly estateEveryHours: number;
  /** `HOURS:MINUTES` in UTC of one of them: the day's full backup. */
  readonly fullAt: string;
  /** Ports that backups leave by besides those of names and HTTPS: databases, another provider's storage. */
  readonly egressPorts: readonly number[];
  /** Restore checks side by side, each of them a pod that takes its share of the databases. @default - 1 */
  readonly verifiers?: number;
  /** They stay, and nothing starts them. @default - false */
  readonly suspended?: boolean;
}

/** Longest that a backup or a check may go on: then it is a failure that is seen, not a job that never ends. */
const deadlineSeconds: Readonly<Record<BackupJob, number>> = { run: 4 * 3600, estate: 4 * 3600, verify: 8 * 3600 };
const folders = { identity: '/var/run/secrets/standby-backup', project: '/etc/standby', scratch: '/scratch' } as const;
/** Minutes after a backup began at which it is restored. */
const checkAfterMinutes = 30;
const projectName = 'project';

/** Backups and their restore checks, on the site that survives: each a CronJob of the command that a person would type. */
export class BackupSchedule extends pulumi.ComponentResource {
  readonly schedules: readonly string[];

  constructor(name: string, args: BackupScheduleArgs, opts?: Options) {
    super('standby:backup:BackupSchedule', name, {}, opts);
    const { verifiers = 1 } = args;
    const minutes = minuteOf(args.fullAt);
    const [run, estate, verify] = [
      times(minutes, args.everyHours),
      times(minutes, args.estateEveryHours),
      times(minutes + checkAfterMinutes, args.everyHours),
    ];
    const place = surroundings(this, name, args);
    cronJob(this, name, args, { job: 'run', schedule: run, command: ['backup', 'run'] }, place);
    cronJob(this, name, args, { job: 'estate', schedule: estate, command: ['estate', 'run'] }, place);
    const shard = verifiers > 1 ? ['--shard', `$(JOB_COMPLETION_INDEX)/${verifiers}`] : [];
    const command = ['backup', 'verify', ...shard];
    cronJob(this, name, args, { job: 'verify', schedule: verify, command, verifiers }, place);

    this.schedules = [run, estate, verify];
    this.registerOutputs({ schedules: this.schedules });
  }
}

/** Who may start a pod in a namespace reads its Secrets, and these open every backup: nothing else is in this one. */
function surroundings(parent: pulumi.Resource, name: string, args: BackupScheduleArgs): pulumi.Resource {
  const { namespace } = args;
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const own = new Namespace(`${name}-namespace`, { metadata: { name: namespace, labels } }, kept(parent));
  const port = (number: number, protocol = 'TCP') => ({ protocol, port: number });
  new NetworkPolicy(
    `${name}-isolation`,
    {
      metadata: { name: 'isolation', namespace },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        egress: [{ ports: [port(53, 'UDP'), port(53), port(443), ...args.egressPorts.map((one) => port(one))] }],
      },
    },
    kept(parent, own),
  );
  return new ConfigMap(
    `${name}-project`,
    { metadata: { name: projectName, namespace }, data: { ...args.project } },
    kept(parent, own),
  );
}

const minutesADay = 24 * 60;

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

/** @returns a schedule of cron, every so many hours of the day, so that one of them is at `minute` of it; a week's is on Monday. */
function times(minute: number, everyHours: number): string {
  const at = minute % minutesADay;
  if (everyHours > 24) return `${at % 60} ${Math.floor(at / 60)} * * 1`;
  const first = Math.floor(at / 60) % everyHours;
  const hours = Array.from({ length: Math.floor(24 / everyHours) }, (_, index) => first + index * everyHours);
  return `${at % 60} ${hours.join(',')} * * *`;
}

interface Work {
  readonly job: BackupJob;
  readonly schedule: string;
  readonly command: readonly string[];
  readonly verifiers?: number;
}

const labelsOf = (job: BackupJob) => ({
  'app.kubernetes.io/name': 'standby-backup',
  'app.kubernetes.io/component': job,
});

function cronJob(
  parent: pulumi.Resource,
  name: string,
  args: BackupScheduleArgs,
  work: Work,
  dependsOn: pulumi.Resource,
) {
  const { job, schedule, verifiers = 1 } = work;
  const labels = labelsOf(job);
  const side = verifiers > 1 ? { completions: verifiers, parallelism: verifiers, completionMode: 'Indexed' } : {};
  return new CronJob(
    `${name}-${job}`,
    {
      metadata: { name: `standby-backup-${job}`, namespace: args.namespace, labels },
      spec: {
        schedule,
        timeZone: 'Etc/UTC',
        suspend: args.suspended ?? false,
        // Two at once would read the same databases twice and come to the same.
        concurrencyPolicy: 'Forbid',
        startingDeadlineSeconds: 600,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 7,
        jobTemplate: {
          metadata: { labels },
          spec: {
            ...side,
            backoffLimit: 2,
            activeDeadlineSeconds: deadlineSeconds[job],
            template: { metadata: { labels }, spec: pod(args, work) },
          },
        },
      },
    },
    kept(parent, dependsOn),
  );
}

/** One container with no rights on the cluster, known limits, and a scratch volume that goes with it. */
function pod(args: BackupScheduleArgs, { job, command }: Work) {
  return {
    restartPolicy: 'Never',
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
      { name: projectName, configMap: { name: projectName } },
      { name: 'identity', secret: { secretName: args.identitySecret, defaultMode: 0o400 } },
    ],
    containers: [
      {
        name: job,
        image: args.image,
        args: [...command, '--json'],
        envFrom: [{ secretRef: { name: args.environmentSecret } }],
        env: [
          { name: 'TMPDIR', value: folders.scratch },
          { name: 'HOME', value: folders.scratch },
          { name: 'STANDBY_PROJECT', value: folders.project },
          { name: 'STANDBY_RUNS', value: `${folders.scratch}/runs` },
          { name: 'STANDBY_AGE_IDENTITY_FILE', value: `${folders.identity}/identity` },
          { name: 'STANDBY_AGE_SECOND_IDENTITY_FILE', value: `${folders.identity}/second-identity` },
        ],
        volumeMounts: [
          { name: 'scratch', mountPath: folders.scratch },
          { name: projectName, mountPath: folders.project, readOnly: true },
          { name: 'identity', mountPath: folders.identity, readOnly: true },
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
