/** The beginning of a postmortem: what the engine knows is filled in, what only people know is asked for. Pure. */
import type { BranchOption, Facts, Instant, StepId } from '../../failover/model';

export interface Timing {
  readonly step: StepId;
  readonly title: string;
  readonly beganAt: Instant;
  readonly seconds: number;
  readonly failures: number;
  readonly skipped?: string;
}

export interface Report {
  readonly format: 1;
  readonly run: string;
  readonly kind: string;
  readonly from: string;
  readonly to: string;
  readonly branch: string;
  readonly epoch: number;
  readonly why: string;
  readonly options: readonly BranchOption[];
  readonly warnings: readonly string[];
  readonly who: string;
  readonly startedAt: Instant;
  readonly reportedAt: Instant;
  readonly resumed: number;
  /** A person's word that the site that was left is lost. */
  readonly lost?: string;
  readonly expected: { readonly lossSeconds: number | 'unknown'; readonly seconds: number };
  /** From the beginning of the command; when the outage began, the engine does not know. */
  readonly measured: {
    readonly secondsUntilOutsideServed: number | 'unknown';
    /** From the fence until the outside was served. */
    readonly secondsNotServed: number | 'unknown';
    readonly lossSeconds: number | 'unknown';
  };
  readonly steps: readonly Timing[];
  readonly facts: Facts;
}

const time = (at: Instant) => new Date(at).toISOString();
const seconds = (value: number | 'unknown') => (value === 'unknown' ? 'unknown' : `${value.toFixed(1)} s`);
const loss = (value: number | 'unknown') =>
  value === 'unknown' ? 'unknown' : value === 0 ? 'none' : `at most ${seconds(value)} of committed writes`;
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

const row = ({ step, title, beganAt, seconds: took, failures, skipped }: Timing): string => {
  const remarks = [
    ...(skipped === undefined ? [] : [`skipped: ${skipped}`]),
    ...(failures > 0 ? [`${failures} failed attempts`] : []),
  ];
  return `| ${time(beganAt)} | ${seconds(took)} | ${step} | ${cell(title)} | ${cell(remarks.join('; '))} |`;
};

export function postmortem(report: Report): string {
  const { kind, from, to, branch, epoch, who, startedAt, reportedAt, expected, measured } = report;
  return `# Postmortem: ${kind} from ${from} to ${to}, ${time(startedAt).slice(0, 10)}

| | |
| --- | --- |
| Run | ${report.run} |
| Carried out by | ${cell(who)} |
| Branch | ${branch}: ${cell(report.why)} |
| Epoch | ${epoch} |
| Command began, report written | ${time(startedAt)}, ${time(reportedAt)} |
| Outage began | *fill in: when did users notice?* |
| Outside served again | ${seconds(measured.secondsUntilOutsideServed)} after the command began, ${seconds(measured.secondsNotServed)} after the fence (expected ${seconds(expected.seconds)} after ${kind === 'failover' ? 'the command' : 'the fence'}) |
| Loss that the plan stated | ${loss(expected.lossSeconds)} |
| Loss at the recovery point | ${loss(measured.lossSeconds)} |
| Taken up again after an interruption | ${report.resumed} times |
${report.lost === undefined ? '' : `| Stated as lost | ${cell(report.lost)} |\n`}
## Roles

- Technical lead: *fill in*
- Customer communication lead: *fill in*
- Internal communication lead: *fill in*

## Summary

*Fill in: what happened, in three sentences that a customer understands.*

## Impact

*Fill in: who was affected, how, and for how long; what was lost, from the figures above and the facts below.*

## What the run did

| began | took | step | what | remarks |
| --- | --- | --- | --- | --- |
${report.steps.map(row).join('\n')}

What it warned of beforehand:

${report.warnings.map((line) => `- ${line}`).join('\n') || '- nothing'}

## Root cause

*Fill in.*

## What went well, what went badly, where we were lucky

*Fill in.*

## Actions

| action | who | until |
| --- | --- | --- |
| *fill in* | | |

## Notified

- [ ] key personnel, at least every two hours while it lasted
- [ ] users of the disruption
- [ ] users of its end

## Facts of each step

\`\`\`json
${JSON.stringify(report.facts, undefined, 2)}
\`\`\`
`;
}
