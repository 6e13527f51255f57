/**
 * 3-2-1-1-0, counted from what is there: 3 copies (the data themselves are one), on 2 kinds of storage, 1 at another provider, 1 that is
 * offline, 0 errors in a restore. What nobody could look at is unknown, and unknown is never green. Pure.
 */
import type { Check, DataSet, Instant, Verdict } from './model';
import type { VaultTraits } from './ports';
import { acceptedTexts } from './verdict';

/** The newest whole backup of a data set in a vault, by every part that is there. */
export interface Copy {
  readonly dataSet: DataSet;
  readonly id: string;
  readonly recoveryPoint: Instant;
}

export interface SurveyedVault {
  readonly traits: VaultTraits;
  readonly copies: readonly Copy[];
  /** Why it could not be looked at; then `copies` says nothing. */
  readonly unknown?: string;
}

export interface SurveyedMedium {
  readonly label: string;
  readonly at: Instant;
  /** It can be read from here, so it is not offline. */
  readonly online: boolean;
  readonly copies: readonly Copy[];
}

export interface Survey {
  readonly vaults: readonly SurveyedVault[];
  readonly media: readonly SurveyedMedium[];
  /** Of the site's vault. */
  readonly verdicts: readonly Verdict[];
  /** Why verdicts and receipts could not be read. */
  readonly unknown?: string;
  /** Why backups are not kept as long as they are wanted. */
  readonly promise?: string;
}

export interface Wanted {
  readonly dataSet: DataSet;
  /** Oldest that the newest backup may be, in minutes. */
  readonly minutes: number;
}

export interface DataSetStatus {
  readonly dataSet: DataSet;
  readonly checks: readonly Check[];
  readonly passed: boolean;
  /** Of the newest whole backup anywhere. */
  readonly ageMinutes?: number;
}

const minuteMs = 60_000;
const dayMs = 1_440 * minuteMs;
/** A check that takes its time is not a defect: it may be behind the newest backup by as much as that may be old. */
const verdictAgeFactor = 2;

/** @param offlineDays - longest time between two exports to a medium. */
export function statusOf(wanted: Wanted, survey: Survey, offlineDays: number, now: Instant): DataSetStatus {
  const { dataSet, minutes } = wanted;
  const age = ({ recoveryPoint }: Copy) => (now - recoveryPoint) / minuteMs;
  const held = survey.vaults.flatMap(({ traits, copies }) =>
    copies.filter((copy) => copy.dataSet === dataSet).map((copy) => ({ traits, copy })),
  );
  const current = held.filter(({ copy }) => age(copy) <= minutes);
  const exports = survey.media.filter(({ copies }) => copies.some((copy) => copy.dataSet === dataSet));
  const offline = exports.filter(({ at, online }) => !online && now - at <= offlineDays * dayMs);
  const kinds = new Set([...current.map(({ traits }) => traits.medium), ...offline.map(() => 'file' as const)]);
  const offsite = current.filter(({ traits }) => traits.offsite);
  const newest = Math.min(...held.map(({ copy }) => age(copy)));
  const unseen = survey.vaults.flatMap(({ traits, unknown }) =>
    unknown === undefined ? [] : [`${traits.name} unknown: ${unknown}`],
  );
  const count = (name: string, least: number, found: number, what: readonly string[]): Check => ({
    name,
    passed: found >= least,
    detail: [`${found} of ${least}`, ...what].join('; '),
  });
  const checks: Check[] = [
    count('copies', 3, 1 + current.length + offline.length, [
      `the data, ${[...current.map(({ traits }) => traits.name), ...offline.map(({ label }) => label)].join(', ') || 'nothing else'}`,
      ...held.filter(({ copy }) => age(copy) > minutes).map(({ traits }) => `${traits.name} is too old`),
      ...unseen,
    ]),
    count('media', 2, kinds.size, [[...kinds].join(', ') || 'none']),
    count('offsite', 1, offsite.length, offsite.length > 0 ? [] : unseen),
    offlineCheck(exports, offline.length, offlineDays, survey.unknown, now),
    errorCheck(wanted, survey, now),
    {
      name: 'age',
      passed: newest <= minutes,
      detail: newest === Infinity ? 'no whole backup was found' : `${Math.floor(newest)} of ${minutes} minutes`,
    },
    ...(survey.promise === undefined ? [] : [{ name: 'retention', passed: false, detail: survey.promise }]),
  ];
  return {
    ...{ dataSet, checks, passed: checks.every(({ passed }) => passed) },
    ...(newest === Infinity ? {} : { ageMinutes: Math.floor(newest) }),
  };
}

function offlineCheck(
  exports: readonly SurveyedMedium[],
  found: number,
  days: number,
  unknown: string | undefined,
  now: Instant,
): Check {
  const [newest] = [...exports].sort((a, b) => b.at - a.at);
  const why =
    found > 0
      ? ''
      : unknown !== undefined
        ? `; unknown: ${unknown}`
        : !newest
          ? '; it was never exported'
          : newest.online
            ? `; ${newest.label} can be read from here: take it away`
            : `; the last export is ${Math.floor((now - newest.at) / dayMs)} days old, allowed are ${days}`;
  return { name: 'offline', passed: found > 0, detail: `${found} of 1${why}` };
}

/** The last restore decides: none, one that failed, or one of a backup that is long gone is an error. */
function errorCheck({ dataSet, minutes }: Wanted, { verdicts, unknown }: Survey, now: Instant): Check {
  const name = 'errors';
  if (unknown !== undefined) return { name, passed: false, detail: `unknown: ${unknown}` };
  const [last] = verdicts.filter((verdict) => verdict.dataSet === dataSet).sort((a, b) => b.verifiedAt - a.verifiedAt);
  if (!last) return { name, passed: false, detail: 'no backup was ever restored: it counts as none' };
  const when = `${last.id} restored ${new Date(last.verifiedAt).toISOString()}`;
  if (last.defect !== undefined) return { name, passed: false, detail: `${last.defect}: ${when}` };
  const late = (now - last.recoveryPoint) / minuteMs > minutes * verdictAgeFactor;
  const found = [late ? `no newer backup was restored than ${when}` : `0; ${when}`, ...acceptedTexts(last.accepted)];
  return { name, passed: !late, detail: found.join('; ') };
}
