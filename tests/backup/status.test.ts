import { expect } from 'chai';
import { statusOf, type Survey, type SurveyedVault } from '../../backup/status';
import type { Verdict } from '../../backup/model';

const minuteMs = 60_000;
const now = Date.parse('2026-11-20T16:00:00Z');
const dataSet = 'database/shop';
const copy = (ageMinutes = 30) =>
  ({ dataSet, id: '20261120T153000Z', recoveryPoint: now - ageMinutes * minuteMs }) as const;
const vault = (name: string, offsite: boolean, more: Partial<SurveyedVault> = {}): SurveyedVault => ({
  traits: { name, medium: offsite ? 's3' : 'azure-blob', offsite, offline: false },
  copies: [copy()],
  ...more,
});
const verdict: Verdict = {
  ...{
    dataSet,
    id: '20261120T153000Z',
    vault: 'intg',
    verifiedAt: now - 20 * minuteMs,
    recoveryPoint: now - 30 * minuteMs,
  },
  ...{ seconds: 1, bytes: 1, checks: [] },
};
const medium = { label: 'tape', at: now - 1_440 * minuteMs, online: false, copies: [copy(1_500)] };
const all: Survey = { vaults: [vault('intg', false), vault('offsite', true)], media: [medium], verdicts: [verdict] };
const judged = (survey: Partial<Survey>) => statusOf({ dataSet, minutes: 60 }, { ...all, ...survey }, 7, now);
const missing = (survey: Partial<Survey>) =>
  judged(survey)
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name);

describe('3-2-1-1-0', () => {
  it('is met by what is there', () => {
    expect(judged({})).to.include({ passed: true, ageMinutes: 30 });
  });

  const lacks: readonly [what: string, survey: Partial<Survey>, names: readonly string[]][] = [
    [
      'one vault and no medium',
      { vaults: [vault('intg', false)], media: [] },
      ['copies', 'media', 'offsite', 'offline'],
    ],
    ['no offsite copy', { vaults: [vault('intg', false)] }, ['offsite']],
    ['a medium that can be read from here', { media: [{ ...medium, online: true }] }, ['offline']],
    ['a medium that is too old', { media: [{ ...medium, at: now - 8 * 1_440 * minuteMs }] }, ['offline']],
    ['a medium with other data', { media: [{ ...medium, copies: [] }] }, ['offline']],
    [
      'an offsite copy that is too old',
      { vaults: [vault('intg', false), vault('offsite', true, { copies: [copy(61)] })] },
      ['offsite'],
    ],
    [
      'copies that are all too old',
      { vaults: [vault('intg', false, { copies: [copy(61)] })] },
      ['copies', 'media', 'offsite', 'age'],
    ],
    [
      'a vault that nobody could look into',
      { vaults: [vault('intg', false), vault('offsite', true, { copies: [], unknown: 'no answer' })] },
      ['offsite'],
    ],
    ['no restore ever', { verdicts: [] }, ['errors']],
    ['a restore that failed', { verdicts: [{ ...verdict, defect: 'BackupCorrupt' }] }, ['errors']],
    [
      'a sound restore before one that failed',
      {
        verdicts: [
          { ...verdict, verifiedAt: now - 90 * minuteMs },
          { ...verdict, defect: 'BackupEmpty' },
        ],
      },
      ['errors'],
    ],
    ['a restore of long ago', { verdicts: [{ ...verdict, recoveryPoint: now - 121 * minuteMs }] }, ['errors']],
    ['verdicts that can’t be read', { unknown: 'no answer', verdicts: [], media: [] }, ['offline', 'errors']],
    ['copies that are removed before their time', { promise: 'backups are wanted for 366 days' }, ['retention']],
    [
      'nothing at all',
      { vaults: [], media: [], verdicts: [] },
      ['copies', 'media', 'offsite', 'offline', 'errors', 'age'],
    ],
  ];
  for (const [what, survey, names] of lacks) {
    it(`is not met by ${what}`, () => {
      expect(missing(survey)).to.deep.equal(names);
      expect(judged(survey).passed).to.equal(false);
    });
  }

  it('shows what a person accepted', () => {
    const accepted = [{ table: 'public.old', by: 'ann@desk', at: now }];
    const { checks, passed } = judged({ verdicts: [{ ...verdict, accepted }] });
    expect(passed).to.equal(true);
    expect(checks.find(({ name }) => name === 'errors')?.detail).to.match(
      /no rows in public\.old: accepted by ann@desk/,
    );
  });

  it('says why a copy is not counted', () => {
    const text = JSON.stringify(
      judged({ vaults: [vault('intg', false), vault('offsite', true, { copies: [], unknown: 'no answer' })] }).checks,
    );
    expect(text).to.contain('offsite unknown: no answer');
  });
});
