/**
 * Whether what is to take and restore backups by itself does: from what the cluster says of its CronJobs and their Jobs. What is not
 * there, was never run, or can't be asked about is not green. Pure.
 */
import type { Check, Instant } from './model';

/** A CronJob as its cluster has it. */
export interface SeenCronJob {
  readonly name: string;
  readonly since: Instant;
  readonly suspended: boolean;
}

/** A Job that has ended, well or not. */
export interface SeenJob {
  readonly name: string;
  readonly endedAt: Instant;
  /** Why it failed; absent when it did not. */
  readonly failed?: string;
}

export interface SeenSchedule {
  readonly cronJobs: readonly SeenCronJob[];
  /** By name of the CronJob that they are of. */
  readonly jobs: Readonly<Record<string, readonly SeenJob[]>>;
}

export interface WantedJob {
  /** Of the CronJob. */
  readonly name: string;
  readonly minutes: number;
}

const minuteMs = 60_000;
/** One that is just running, or was put off for one that still ran, is no failure. */
const lateFactor = 2;

/** @param seen - a text says why nobody could look. */
export const scheduleChecks = (wanted: readonly WantedJob[], seen: SeenSchedule | string, now: Instant): Check[] =>
  wanted.map((job) =>
    typeof seen === 'string' ? { name: job.name, passed: false, detail: `unknown: ${seen}` } : check(job, seen, now),
  );

function check({ name, minutes }: WantedJob, { cronJobs, jobs }: SeenSchedule, now: Instant): Check {
  const refused = (detail: string): Check => ({ name, passed: false, detail });
  const cronJob = cronJobs.find((one) => one.name === name);
  if (!cronJob) return refused('it is not on the cluster: `pulumi up --stack failover` makes it');
  if (cronJob.suspended) return refused('it is suspended: nothing starts it');
  const [last] = [...(jobs[name] ?? [])].sort((a, b) => b.endedAt - a.endedAt);
  if (!last) return refused(`it never ran since ${timeOf(cronJob.since)}`);
  const when = `${last.name} ${timeOf(last.endedAt)}`;
  if (last.failed !== undefined) return refused(`failed: ${when}: ${last.failed}`);
  const late = now - last.endedAt > minutes * lateFactor * minuteMs;
  return late
    ? refused(`the last one is ${when}, and every ${minutes} minutes there is to be one`)
    : { name, passed: true, detail: when };
}

const timeOf = (at: Instant) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
