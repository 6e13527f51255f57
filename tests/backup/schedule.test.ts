import { expect } from 'chai';
import { scheduleChecks, type SeenJob, type SeenSchedule } from '../../backup/schedule';
import { scheduleLines } from '../../cli/render/backup';

const minuteMs = 60_000;
const now = Date.parse('2026-11-20T16:00:00Z');
const name = 'standby-backup-run';
const ended = (minutesAgo: number, failed?: string): SeenJob => ({
  name: `${name}-${minutesAgo}`,
  endedAt: now - minutesAgo * minuteMs,
  ...(failed === undefined ? {} : { failed }),
});
const seen = (jobs: readonly SeenJob[], suspended = false): SeenSchedule => ({
  cronJobs: [{ name, since: now - 1_440 * minuteMs, suspended }],
  jobs: { [name]: jobs },
});
const judged = (what: SeenSchedule | string) => scheduleChecks([{ name, minutes: 60 }], what, now)[0]!;
const plain = (_: string, text: string) => text;

describe('what takes backups by itself', () => {
  it('is kept while the last one ended well, and lately', () => {
    expect(judged(seen([ended(119)]))).to.deep.equal({
      ...{ name, passed: true, detail: 'standby-backup-run-119 2026-11-20T14:01:00Z' },
    });
    expect(judged(seen([ended(90, 'BackoffLimitExceeded'), ended(30)])).passed, 'one failed before').to.equal(true);
  });

  const refused: readonly [what: string, seen: SeenSchedule | string, says: RegExp][] = [
    ['a CronJob that is not there', { cronJobs: [], jobs: {} }, /not on the cluster/],
    ['one that is suspended', seen([ended(10)], true), /suspended/],
    ['one that never ran', seen([]), /never ran since 2026-11-19T16:00:00Z/],
    ['a last one that failed', seen([ended(30, 'BackoffLimitExceeded: x'), ended(90)]), /^failed: .*-30 .*Exceeded: x/],
    ['a last one of long ago', seen([ended(121)]), /-121 .*every 60 minutes/],
    ['a cluster that gives no answer', 'the cluster of intg gives no answer', /^unknown: the cluster of intg/],
  ];
  for (const [what, given, says] of refused) {
    it(`is not kept with ${what}`, () => {
      expect(judged(given)).to.have.property('passed', false);
      expect(judged(given).detail).to.match(says);
    });
  }

  it('is said to be none where none is configured, and is never green then', () => {
    const painted = (color: string, text: string) => `<${color}>${text}`;
    const [line] = scheduleLines(undefined, painted);
    expect(line)
      .to.match(/nothing takes backups by itself/)
      .and.not.match(/<green>/);
    expect(scheduleLines([judged(seen([]))], plain)[0]).to.equal('schedule: not kept');
    expect(scheduleLines([judged(seen([ended(1)]))], plain)[0]).to.equal('schedule: kept');
  });
});
