/** Port `Announcer`: what was done, as evidence for machines and as the beginning of the postmortem, and a call to a webhook. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fold } from '../../failover/journal';
import type { Facts, Plan } from '../../failover/model';
import type { Announcer, Call, Journal, JournalEntry } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { runFolder } from '../journal/local';
import { redactor } from '../redact';
import { postmortem, type Report, type Timing } from './postmortem';
import { within } from '../../failover/within';

const webhookMs = 5_000;

/** @returns begin and end of each step, as the journal has them. */
function timings(plan: Plan, entries: readonly JournalEntry[]): Timing[] {
  return plan.steps.flatMap(({ id, title }): Timing[] => {
    const own = entries.filter(({ what }) => 'step' in what && what.step === id);
    const began = own.find(({ what }) => what.type === 'intent');
    const ended = own.findLast(({ what }) => what.type === 'result');
    if (!began || !ended) return [];
    const skipped = ended.what.type === 'result' ? ended.what.skipped : undefined;
    const failures = own.filter(({ what }) => what.type === 'failure').length;
    const seconds = (ended.at - began.at) / 1000;
    return [{ step: id, title, beganAt: began.at, seconds, failures, ...(skipped === undefined ? {} : { skipped }) }];
  });
}

/** What can't be told is unknown, never nothing. */
function lossOf(facts: Facts): number | 'unknown' {
  const recorded = facts['record-recovery-point'] as Facts | null | undefined;
  const lost = recorded?.['lossSeconds'];
  return typeof lost === 'number' ? lost : 'unknown';
}

function reportOf(plan: Plan, facts: Facts, entries: readonly JournalEntry[]): Report {
  const state = entries.length > 0 ? fold(entries) : undefined;
  const steps = timings(plan, entries);
  const startedAt = state?.startedAt ?? plan.createdAt;
  const fence = steps.find(({ step }) => step.startsWith('fence-'));
  const outside = steps.find(({ step }) => step === 'verify-outside');
  const { kind, from, to, branch, epoch, why, options, warnings, lossSeconds, targetSeconds, wish, id } = plan;
  return {
    format: 1,
    ...{ run: id, kind, from, to, branch, epoch, why, options, warnings },
    who: state?.who ?? 'unknown',
    ...{ startedAt, reportedAt: Date.now() },
    resumed: entries.filter(({ what }) => what.type === 'resume').length,
    ...(wish.lost === undefined ? {} : { lost: wish.lost }),
    expected: { lossSeconds, seconds: targetSeconds },
    measured: {
      secondsUntilOutsideServed: outside ? (outside.beganAt - startedAt) / 1000 + outside.seconds : 'unknown',
      secondsNotServed: fence && outside ? (outside.beganAt - fence.beganAt) / 1000 + outside.seconds : 'unknown',
      lossSeconds: lossOf(facts),
    },
    ...{ steps, facts },
  };
}

function write(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  fs.writeFileSync(`${file}.new`, text, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
}

/** @param journal - for who began the run, and when each step began and ended. */
export function createAnnouncer(context: AdapterContext, journal: Pick<Journal, 'read'>): Announcer {
  const clean = redactor(context);
  return {
    async announce(plan: Plan, facts: Facts, call: Call): Promise<void> {
      const report = reportOf(plan, facts, await journal.read(plan.id));
      const folder = runFolder(context.environment, plan.id);
      write(path.join(folder, 'report.json'), clean(`${JSON.stringify(report, undefined, 2)}\n`));
      write(path.join(folder, 'postmortem.md'), clean(postmortem(report)));
      call.progress(`report: ${path.join(folder, 'postmortem.md')}`);
      const url = context.environment['STANDBY_ANNOUNCE_URL'];
      if (url) await tell(url, clean(JSON.stringify(summary(report))), call);
    },
  };
}

/** `text` is what chat services show. */
function summary({ run, kind, from, to, branch, epoch, who, startedAt, expected, measured }: Report) {
  const text = `standby: ${kind} from ${from} to ${to} by branch ${branch} is done (run ${run}, by ${who})`;
  return { text, run, kind, from, to, branch, epoch, who, startedAt, expected, measured };
}

/** The business runs already: an announcement that nobody took is said, and fails nothing. */
async function tell(url: string, body: string, { signal, progress }: Call): Promise<void> {
  const where = new URL(url).host;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: within(webhookMs, signal),
    });
    progress(answer.ok ? `announced to ${where}` : `${where} did not take the announcement (HTTP ${answer.status})`);
  } catch (cause) {
    signal.throwIfAborted();
    progress(`${where} did not take the announcement (${(cause as Error).name})`);
  }
}
