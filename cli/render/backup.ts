/** Backups as a person reads them: what is there, what a restore of it said, what is missing. */
import type { Check, Manifest, Verdict } from '../../backup/model';
import type { DataSetStatus } from '../../backup/status';
import { acceptedTexts } from '../../backup/verdict';
import type { Kept } from '../../adapters/backup/backups';
import type { Pruned } from '../../adapters/backup/prune';
import { seconds, type Paint } from '../output';

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
export function size(bytes: number): string {
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1_000 ** step;
  return `${step > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}
const time = (at: number) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
const sealedBytes = ({ parts }: Manifest) => parts.reduce((sum, { bytes }) => sum + bytes, 0);

const mark = (passed: boolean, paint: Paint) => (passed ? paint('green', 'ok') : paint('red', '!!'));
const checkLine = ({ name, passed, detail }: Check, paint: Paint) =>
  `  ${mark(passed, paint)} ${name.padEnd(20)} ${detail}`;

export const takenLine = (manifest: Manifest): string =>
  `${manifest.dataSet} ${manifest.id}: ${size(sealedBytes(manifest))} in ${manifest.parts.length} parts, ` +
  `${seconds((manifest.endedAt - manifest.startedAt) / 1000)}, back to ${time(manifest.recoveryPoint)}`;

export function verdictLines(verdict: Verdict, paint: Paint): string[] {
  const { dataSet, id, vault, defect, reused, bytes } = verdict;
  const how = reused === undefined ? `restored from ${vault}` : `read from ${vault}, restored before`;
  const outcome = defect ? paint('red', defect) : paint('green', 'sound');
  return [
    paint('bold', `${dataSet} ${id}: ${outcome}, ${how} in ${seconds(verdict.seconds)}, ${size(bytes)}`),
    ...verdict.checks.map((check) => checkLine(check, paint)),
  ];
}

export function listLines(kept: readonly Kept[], paint: Paint): string[] {
  if (kept.length === 0) return ['no backup is there'];
  const width = Math.max(...kept.map(({ manifest }) => manifest.dataSet.length));
  return kept.map(({ manifest, vaults, verdict }) => {
    const said = !verdict
      ? paint('yellow', '?? never restored')
      : verdict.defect
        ? paint('red', `!! ${verdict.defect}`)
        : `${paint('green', 'ok')} ${[`restored ${time(verdict.verifiedAt)}`, ...acceptedTexts(verdict.accepted)].join('; ')}`;
    const { dataSet, id, recoveryPoint } = manifest;
    const what = `${dataSet.padEnd(width)}  ${id}  back to ${time(recoveryPoint)}  ${size(sealedBytes(manifest)).padStart(7)}`;
    return `${what}  ${vaults.join(', ')}  ${said}`;
  });
}

export const prunedLines = (all: readonly Pruned[], dryRun: boolean): string[] =>
  all.flatMap(({ vault, kept, removed, locked }) => [
    `${vault}: ${kept} kept, ${removed.length} ${dryRun ? 'to remove' : 'removed'}` +
      (locked.length > 0 ? `, ${locked.length} that nobody wants and the storage still locks` : ''),
    ...removed.map((name) => `  ${dryRun ? 'would go' : 'gone'}  ${name}`),
    ...locked.map((name) => `  locked  ${name}`),
  ]);

export const statusLines = (all: readonly DataSetStatus[], paint: Paint): string[] =>
  all.flatMap(({ dataSet, checks, passed }) => [
    paint('bold', `${dataSet}: ${passed ? paint('green', '3-2-1-1-0') : paint('red', 'not 3-2-1-1-0')}`),
    ...checks.map((check) => checkLine(check, paint)),
  ]);

/** @param checks - undefined where nothing is configured: whoever calls `standby backup run` keeps the times. */
export function scheduleLines(checks: readonly Check[] | undefined, paint: Paint): string[] {
  if (!checks) {
    const none = paint('yellow', 'none: nothing takes backups by itself');
    return [`${paint('bold', `schedule: ${none}`)} (standby:backup.schedule.jobs is not set)`];
  }
  const passed = checks.every((check) => check.passed);
  return [
    paint('bold', `schedule: ${passed ? paint('green', 'kept') : paint('red', 'not kept')}`),
    ...checks.map((check) => checkLine(check, paint)),
  ];
}
