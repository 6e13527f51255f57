/** What is made of what a restore check found: each check with its outcome, and the one defect that a backup fails with. Pure. */
import type { Assertion } from '../config/backup';
import { StandbyError } from '../failover/errors';
import type { Accepted, Check, DatabaseFacts, DataSet, Defect, Instant, Manifest, Verdict } from './model';

/** A fault that says what is wrong with the backup, not with the check. */
export interface Fault {
  readonly defect: Defect;
  readonly detail: string;
}

export interface Answer {
  readonly name: string;
  /** What the query gave; undefined with why where it gave no number. */
  readonly value?: number;
  readonly fault?: string;
}

/** What was found, as far as the check came. */
export interface Found {
  /** Of getting the parts out of the vault. */
  readonly parts?: Fault;
  /** Database that the archive itself says it is of. */
  readonly archived?: string;
  readonly restore?: Fault;
  readonly facts?: DatabaseFacts;
  readonly answers?: readonly Answer[];
  /** Foreign keys that the restored rows do not meet. */
  readonly brokenKeys?: readonly string[];
  /** An earlier check restored the same contents: what it found holds. */
  readonly same?: { readonly id: string; readonly verifiedAt: Instant };
}

export interface Expected {
  /** `name` of `database/NAME`: what is no database is proved where it is taken, by a comparison with what is there. */
  readonly database: string;
  readonly assertions: readonly Assertion[];
  /** `system_identifier` of the server that has the business; absent where nobody can ask it. */
  readonly system?: string;
  /** Rows in the last sound backup before. */
  readonly before?: Readonly<Record<string, number>>;
  /** What people said of this backup, now or at an earlier check. */
  readonly accepted?: readonly Accepted[];
  /** Absent for one that is not the newest: it is as old as it is. */
  readonly recoveryPointMinutes?: number;
}

/** A table that had so many rows does not lose all of them without a word. */
const manyRows = 100;

type Row = Check & { readonly defect: Defect };
const row = (name: string, defect: Defect, passed: boolean, detail: string): Row => ({ name, passed, detail, defect });

/** @returns the checks in their order, and the defect of the first that failed. */
export function judge(
  manifest: Manifest,
  found: Found,
  expected: Expected,
  now: Instant,
): Pick<Verdict, 'checks' | 'defect'> {
  const rows = [
    ...partRows(manifest, found),
    ...databaseRows(manifest, found, expected),
    ...ageRows(manifest, expected, now),
  ];
  const failed = rows.find(({ passed }) => !passed);
  const checks = rows.map(({ name, passed, detail }) => ({ name, passed, detail }));
  return { checks, ...(failed ? { defect: failed.defect } : {}) };
}

function partRows({ parts }: Manifest, { parts: fault }: Found): Row[] {
  const bytes = parts.reduce((sum, part) => sum + part.plainBytes, 0);
  if (fault) return [row('parts', fault.defect, false, fault.detail)];
  return [
    row('parts', 'BackupTruncated', true, `${parts.length} parts are as they were put there`),
    row('not empty', 'BackupEmpty', bytes > 0, `${bytes} bytes`),
  ];
}

function databaseRows(manifest: Manifest, found: Found, expected: Expected): Row[] {
  const { facts } = manifest;
  if (found.parts) return [];
  const { same, restore, facts: restored } = found;
  const source = facts ? [facts.database, found.archived ?? facts.database] : ['unknown'];
  const stranger = source.find((name) => name !== expected.database);
  const rows = [
    row(
      'database',
      'BackupOfWrongDatabase',
      stranger === undefined,
      `it is of ${stranger ?? expected.database}, wanted is ${expected.database}`,
    ),
  ];
  if (!facts) return rows;
  if (expected.system !== undefined) {
    const own = facts.system === expected.system;
    const detail = own ? 'of the server that has the business' : 'of another server than the one that has the business';
    rows.push(row('server', 'BackupOfWrongDatabase', own, detail));
  }
  rows.push(...emptyRows(facts), ...lossRows(manifest.id, facts, expected));
  if (same) {
    const when = new Date(same.verifiedAt).toISOString();
    return [...rows, row('restore', 'BackupCorrupt', true, `the same contents as ${same.id}, restored ${when}`)];
  }
  if (restore) return [...rows, row('restore', restore.defect, false, restore.detail)];
  if (!restored) return [...rows, row('restore', 'BackupNotReadable', false, 'it was not restored')];
  return [
    ...rows,
    row('restore', 'BackupCorrupt', true, 'restored without an error'),
    ...factRows(facts, restored),
    keyRow(found.brokenKeys),
    ...assertionRows(expected.assertions, found.answers ?? []),
  ];
}

function emptyRows({ rows }: DatabaseFacts): Row[] {
  const counts = Object.values(rows);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return [row('rows at all', 'BackupEmpty', total > 0, `${total} rows in ${counts.length} tables`)];
}

type Rows = DatabaseFacts['rows'];
const emptiedTables = (rows: Rows, before: Rows = {}) =>
  Object.entries(before).filter(([table, count]) => count >= manyRows && (rows[table] ?? 0) === 0);

/**
 * What people said of a backup holds at every later check of it.
 * @param verdicts - of the data set, the newest first. @param said - now.
 * @throws StandbyError NotEmptied: a word for another table would hide what was meant.
 */
export function acceptedOf(
  { id, facts }: Manifest,
  { before }: Pick<Expected, 'before'>,
  verdicts: readonly Verdict[],
  said: readonly Accepted[],
): readonly Accepted[] {
  const earlier = verdicts.find((verdict) => verdict.id === id && verdict.accepted)?.accepted ?? [];
  const added = said.filter(({ table }) => !earlier.some((one) => one.table === table));
  const emptied = emptiedTables(facts?.rows ?? {}, before).map(([table]) => table);
  const stranger = added.find(({ table }) => !emptied.includes(table))?.table;
  if (stranger === undefined) return [...earlier, ...added];
  throw new StandbyError(
    'NotEmptied',
    `"${stranger}" has not lost its rows in ${id}: those that have are ${emptied.join(', ') || 'none'}`,
    { exit: 'safe' },
  );
}

/**
 * Green without data: the dump is fine, and what the business lives on is not in it. A table that a migration drops looks like one that
 * somebody dropped, so it is for a person to say which; until then every later backup is held against the last one that had its rows.
 */
function lossRows(id: string, { rows }: DatabaseFacts, { before, accepted = [] }: Expected): Row[] {
  if (!before) return [];
  const lost = emptiedTables(rows, before).filter(([table]) => !accepted.some((one) => one.table === table));
  const how = ([table, count]: [string, number]) => `${table} (${count} before${table in rows ? '' : '; it is gone'})`;
  const words = lost.map(([table]) => ` --accept-emptied ${/^[\w.]+$/.test(table) ? table : quoted(table)}`).join('');
  const detail =
    lost.length > 0
      ? `no rows any more in ${lost.map(how).join(', ')}: if that is meant, say so by \`standby backup verify ${id}${words}\``
      : [`no ${accepted.length > 0 ? 'other ' : ''}table lost all its rows`, ...acceptedTexts(accepted)].join('; ');
  return [row('rows as before', 'BackupWithoutData', lost.length === 0, detail)];
}

/** For a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** For a person, each in one line. */
export const acceptedTexts = (accepted: readonly Accepted[] = []): string[] =>
  accepted.map(({ table, by, at }) => `no rows in ${table}: accepted by ${by}, ${new Date(at).toISOString()}`);

function factRows(source: DatabaseFacts, restored: DatabaseFacts): Row[] {
  const tables = [...new Set([...Object.keys(source.rows), ...Object.keys(restored.rows)])];
  const other = tables.filter((table) => source.rows[table] !== restored.rows[table]);
  const counts = (table: string) => `${table} ${restored.rows[table] ?? 'missing'} of ${source.rows[table] ?? 'none'}`;
  const shown = other.slice(0, 5).map(counts).join(', ');
  const sentinel = source.sentinel ?? 'none';
  return [
    row(
      'schema',
      'BackupOfWrongDatabase',
      source.schema === restored.schema,
      source.schema === restored.schema ? 'as at the source' : 'other definitions than at the source',
    ),
    row(
      'rows',
      'BackupWithoutData',
      other.length === 0,
      other.length === 0 ? `as at the source in ${tables.length} tables` : shown,
    ),
    row(
      'sentinel',
      'BackupWithoutData',
      source.sentinel === restored.sentinel,
      `wanted ${sentinel}, found ${restored.sentinel ?? 'none'}`,
    ),
  ];
}

/** @returns the first thing in which what was restored is not what was taken. */
export function differenceOf(source: DatabaseFacts, restored: DatabaseFacts): Fault | undefined {
  const failed = factRows(source, restored).find(({ passed }) => !passed);
  return failed && { defect: failed.defect, detail: `${failed.name}: ${failed.detail}` };
}

const keyRow = (broken: readonly string[] | undefined): Row =>
  row(
    'foreign keys',
    'BackupCorrupt',
    broken !== undefined && broken.length === 0,
    broken === undefined
      ? 'not checked'
      : broken.length === 0
        ? 'all hold'
        : `not met: ${broken.slice(0, 5).join(', ')}`,
  );

function assertionRows(assertions: readonly Assertion[], answers: readonly Answer[]): Row[] {
  return assertions.map(({ name, atLeast, equals }) => {
    const answer = answers.find((one) => one.name === name);
    const value = answer?.value;
    const wanted = equals === undefined ? `at least ${atLeast}` : `${equals}`;
    const passed = value !== undefined && (equals === undefined ? value >= (atLeast ?? Infinity) : value === equals);
    const got = value ?? answer?.fault ?? 'it was not asked';
    return row(`assertion ${name}`, 'BackupWithoutData', passed, `wanted ${wanted}, found ${got}`);
  });
}

function ageRows({ recoveryPoint }: Manifest, { recoveryPointMinutes }: Expected, now: Instant): Row[] {
  if (recoveryPointMinutes === undefined) return [];
  const minutes = Math.floor((now - recoveryPoint) / 60_000);
  const detail = `${minutes} minutes old, allowed are ${recoveryPointMinutes}`;
  return [row('age', 'BackupTooOld', minutes <= recoveryPointMinutes, detail)];
}

/** Age says nothing against what is in a backup. */
export const isSound = ({ defect }: Pick<Verdict, 'defect'>): boolean =>
  defect === undefined || defect === 'BackupTooOld';

/** @returns the newest backup of a data set whose last check found nothing wrong with what is in it. */
export function newestSound(
  manifests: readonly Manifest[],
  verdicts: readonly Verdict[],
  dataSet: DataSet,
): Manifest | undefined {
  const last = new Map<string, Verdict>();
  for (const verdict of verdicts)
    if (verdict.dataSet === dataSet && verdict.verifiedAt >= (last.get(verdict.id)?.verifiedAt ?? 0))
      last.set(verdict.id, verdict);
  return manifests
    .filter((manifest) => manifest.dataSet === dataSet)
    .sort((a, b) => b.recoveryPoint - a.recoveryPoint)
    .find(({ id }) => {
      const verdict = last.get(id);
      return verdict !== undefined && isSound(verdict);
    });
}

const dayMs = 86_400_000;
/** After this, contents that were restored once are restored again, whatever their digest. */
export const fullCheckMs = 7 * dayMs;

/**
 * Whether an earlier check makes another restore needless. Sound, because `content` covers all that a restore is made from: every
 * definition, every sequence and the rows of every table; the parts themselves are still read from the vault and digested. What an
 * assertion asks of the clock is as old as the check that is reused.
 * @param verdicts - of the same data set.
 */
export function sameContents(
  manifest: Manifest,
  others: readonly Manifest[],
  verdicts: readonly Verdict[],
  asked: string,
  now: Instant,
): Found['same'] | undefined {
  if (manifest.content === undefined) return undefined;
  const equal = new Set(others.filter(({ content }) => content === manifest.content).map(({ id }) => id));
  return verdicts.find(
    (verdict) =>
      equal.has(verdict.id) &&
      verdict.reused === undefined &&
      verdict.asked === asked &&
      now - verdict.verifiedAt < fullCheckMs &&
      isSound(verdict),
  );
}
