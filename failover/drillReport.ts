/** The evidence of a drill as a page for people. Pure. */
import type { Evidence, Figures } from './drill';

const seconds = (value: number | 'unknown') => (value === 'unknown' ? value : `${value.toFixed(1)} s`);
const time = (at: number | 'unknown') => (at === 'unknown' ? at : new Date(at).toISOString());
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

export const figureLines = (figures: Figures): readonly (readonly [string, string])[] => [
  ['recovery time', seconds(figures.recoveryTimeSeconds)],
  ['recovery point', time(figures.recoveryPoint)],
  ['data loss window', seconds(figures.dataLossSeconds)],
  ['rows lost', String(figures.rowsLost)],
];

const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

export function evidenceMarkdown(evidence: Evidence): string {
  const { plan, figures, checks, steps, tables } = evidence;
  const facts = [
    ['begun', `${time(plan.startedAt)} by ${plan.who}`],
    ['ended', time(evidence.endedAt)],
    ['copy of', `${plan.source.server} (${plan.source.method}, for ${time(plan.pointInTime)})`],
    ['server', plan.server],
    ['release', plan.release],
    ...figureLines(figures),
    ['removed', evidence.removed ? 'yes' : `no, ends ${time(plan.expiresAt)}`],
  ];
  return `# Drill ${plan.number}: ${evidence.verdict}
${evidence.fault ? `\nNot carried to its end: ${evidence.fault}\n` : ''}
${table(['what', 'value'], facts)}

## Checks

${table(
  ['check', 'outcome', 'seen'],
  checks.map(({ name, outcome, detail }) => [name, outcome, detail]),
)}

## Rows in the copy

${table(
  ['table', 'rows'],
  Object.entries(tables).map(([name, count]) => [name, String(count)]),
)}

## Where the time went

${table(
  ['step', 'seconds'],
  steps.map(({ what, seconds: took }) => [what, took.toFixed(1)]),
)}
`;
}
