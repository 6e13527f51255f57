import { expect } from 'chai';
import type { DatabaseFacts, Manifest, Verdict } from '../../backup/model';
import { acceptedOf, fullCheckMs, judge, sameContents, type Expected, type Found } from '../../backup/verdict';

const now = Date.parse('2026-11-20T16:00:00Z');
const facts: DatabaseFacts = {
  ...{ database: 'shop', system: '7', version: '15.18', schema: 'a'.repeat(64), sentinel: 9 },
  rows: { 'public.bookings': 600, 'public.notes': 0 },
};
const manifest: Manifest = {
  ...{ format: 1, id: '20261120T153000Z', company: 'acme', dataSet: 'database/shop', tool: 'pg_dump 15.18' },
  ...{
    startedAt: now - 1,
    endedAt: now,
    recoveryPoint: now - 30 * 60_000,
    recipients: [],
    facts,
    content: 'c'.repeat(64),
  },
  parts: [{ name: 'toc.dat', bytes: 2, sha256: '', plainBytes: 1, plainSha256: '' }],
};
const expected: Expected = {
  ...{
    database: 'shop',
    recoveryPointMinutes: 60,
    system: '7',
    before: { 'public.bookings': 550, 'public.notes': 99 },
  },
  assertions: [
    { name: 'bookings', sql: 'SELECT 1', atLeast: 500 },
    { name: 'flags', sql: 'SELECT 1', equals: 0 },
  ],
};
const found: Found = {
  ...{ archived: 'shop', facts, brokenKeys: [] },
  answers: [
    { name: 'bookings', value: 600 },
    { name: 'flags', value: 0 },
  ],
};
const verdict = (change: Partial<Found>, wish: Partial<Expected> = {}, of: Partial<Manifest> = {}) =>
  judge({ ...manifest, ...of }, { ...found, ...change }, { ...expected, ...wish }, now);

describe('verdicts', () => {
  it('find nothing wrong with what is sound', () => {
    expect(verdict({})).to.not.have.property('defect');
  });

  const wrong: readonly [what: string, code: string, judged: () => ReturnType<typeof judge>][] = [
    ['parts that are damaged', 'BackupCorrupt', () => verdict({ parts: { defect: 'BackupCorrupt', detail: '' } })],
    ['parts without a byte', 'BackupEmpty', () => verdict({}, {}, { parts: [] })],
    ['tables without a row', 'BackupEmpty', () => verdict({}, { before: {} }, { facts: { ...facts, rows: { a: 0 } } })],
    [
      'another database by its facts',
      'BackupOfWrongDatabase',
      () => verdict({}, {}, { facts: { ...facts, database: 'other' } }),
    ],
    ['another database by its archive', 'BackupOfWrongDatabase', () => verdict({ archived: 'other' })],
    ['another server', 'BackupOfWrongDatabase', () => verdict({}, { system: '8' })],
    ['another schema', 'BackupOfWrongDatabase', () => verdict({ facts: { ...facts, schema: 'b'.repeat(64) } })],
    [
      'no facts at all',
      'BackupOfWrongDatabase',
      () => {
        const { facts: _, ...rest } = manifest;
        return judge(rest, found, expected, now);
      },
    ],
    ['a restore that failed', 'BackupCorrupt', () => verdict({ restore: { defect: 'BackupCorrupt', detail: '' } })],
    [
      'no restore',
      'BackupNotReadable',
      () => {
        const { facts: _, ...rest } = found;
        return judge(manifest, rest, expected, now);
      },
    ],
    [
      'fewer rows',
      'BackupWithoutData',
      () => verdict({ facts: { ...facts, rows: { ...facts.rows, 'public.bookings': 599 } } }),
    ],
    ['a sentinel that is behind', 'BackupWithoutData', () => verdict({ facts: { ...facts, sentinel: 8 } })],
    ['a table that lost all its rows', 'BackupWithoutData', () => verdict({}, { before: { 'public.notes': 100 } })],
    ['a key that is not met', 'BackupCorrupt', () => verdict({ brokenKeys: ['bookings.fk'] })],
    [
      'an assertion below its least',
      'BackupWithoutData',
      () =>
        verdict({
          answers: [
            { name: 'bookings', value: 499 },
            { name: 'flags', value: 0 },
          ],
        }),
    ],
    [
      'an assertion above what it equals',
      'BackupWithoutData',
      () =>
        verdict({
          answers: [
            { name: 'bookings', value: 500 },
            { name: 'flags', value: 1 },
          ],
        }),
    ],
    ['an assertion that was not asked', 'BackupWithoutData', () => verdict({ answers: [] })],
    ['a backup that is too old', 'BackupTooOld', () => verdict({}, { recoveryPointMinutes: 29 })],
  ];
  for (const [what, code, judged] of wrong) it(`${code}: ${what}`, () => expect(judged()).to.include({ defect: code }));

  describe('of a table that lost all its rows', () => {
    const before = { 'public.bookings': 550, 'public.notes': 100, 'public.Old things': 100 };
    const said = (table: string) => ({ table, by: 'ann@desk', at: now });
    const checked = (wish: Partial<Expected>) => verdict({}, { before, ...wish });
    const detail = ({ checks }: ReturnType<typeof judge>) =>
      checks.find(({ name }) => name === 'rows as before')?.detail;
    const of = (verdicts: readonly Verdict[], ...tables: string[]) =>
      acceptedOf(manifest, { before }, verdicts, tables.map(said)).map(({ table }) => table);

    it('say what to type where it is meant, and of each how it is gone', () => {
      expect(detail(checked({}))).to.equal(
        'no rows any more in public.notes (100 before), public.Old things (100 before; it is gone): if that is meant, say so by ' +
          "`standby backup verify 20261120T153000Z --accept-emptied public.notes --accept-emptied 'public.Old things'`",
      );
    });

    it('find nothing wrong once somebody said so of every one of them', () => {
      const accepted = [said('public.notes')];
      expect(checked({ accepted })).to.include({ defect: 'BackupWithoutData' });
      const both = checked({ accepted: [...accepted, said('public.Old things')] });
      expect(both).to.not.have.property('defect');
      expect(detail(both)).to.contain('no rows in public.notes: accepted by ann@desk, 2026-11-20T16:00:00.000Z');
    });

    it('know what was said at an earlier check of that backup alone, and nothing of a table that has its rows', () => {
      const earlier = { id: manifest.id, accepted: [said('public.notes')] } as unknown as Verdict;
      const fault = { id: manifest.id } as unknown as Verdict;
      expect(of([fault, earlier], 'public.Old things')).to.deep.equal(['public.notes', 'public.Old things']);
      expect(of([{ ...earlier, id: 'other' }])).to.deep.equal([]);
      expect(() => of([], 'public.bookings')).to.throw(
        '"public.bookings" has not lost its rows in 20261120T153000Z: those that have are public.notes, public.Old things',
      );
    });
  });

  it('say of an older backup nothing about its age', () => {
    const { recoveryPointMinutes: _, ...rest } = expected;
    expect(judge({ ...manifest, recoveryPoint: 0 }, found, rest, now)).to.not.have.property('defect');
  });

  describe('of the same contents', () => {
    const before = { ...manifest, id: 'before' };
    const sound = {
      ...{
        dataSet: manifest.dataSet,
        id: 'before',
        vault: 'intg',
        verifiedAt: now - 1,
        recoveryPoint: 0,
        seconds: 1,
        bytes: 1,
      },
      ...{ checks: [], asked: 'x' },
    };
    it('are used again', () => expect(sameContents(manifest, [before], [sound], 'x', now)).to.equal(sound));
    const no: readonly [string, () => unknown][] = [
      ['with other contents', () => sameContents(manifest, [{ ...before, content: 'd' }], [sound], 'x', now)],
      [
        'that nobody digested',
        () => {
          const { content: _, ...rest } = manifest;
          return sameContents(rest, [before], [sound], 'x', now);
        },
      ],
      ['after other questions', () => sameContents(manifest, [before], [sound], 'y', now)],
      [
        'that had a defect',
        () => sameContents(manifest, [before], [{ ...sound, defect: 'BackupWithoutData' }], 'x', now),
      ],
      ['that were not restored either', () => sameContents(manifest, [before], [{ ...sound, reused: 1 }], 'x', now)],
      ['of long ago', () => sameContents(manifest, [before], [sound], 'x', now + fullCheckMs)],
    ];
    for (const [what, of] of no) it(`are not used ${what}`, () => expect(of()).to.equal(undefined));
  });
});
