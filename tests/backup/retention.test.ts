import { expect } from 'chai';
import fc from 'fast-check';
import { keepUntil, wanted, type Kept } from '../../backup/retention';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const retention = { daily: 35, weekly: 12, monthly: 12 };
const at = (text: string) => Date.parse(text);
const kept = (moment: number, more: Partial<Kept> = {}): Kept => ({
  id: new Date(moment).toISOString(),
  at: moment,
  ...more,
});

describe('retention', () => {
  it('keeps 35 days, 12 weeks and 12 months of two years of hourly backups, and the last two days whole', () => {
    const now = at('2026-11-20T16:00:00Z');
    const all = Array.from({ length: 2 * 365 * 24 }, (_, hours) => kept(now - hours * hourMs));
    const why = [...wanted(all, retention, now).values()];
    const count = (reason: string) => why.filter((one) => one === reason).length;
    expect(count('monthly')).to.equal(12);
    expect(count('weekly')).to.be.within(10, 12); // a Monday may be the first of a month
    expect(count('daily')).to.be.within(28, 35);
    expect(count('recent')).to.be.within(44, 48);
    expect(why.length).to.be.below(110);
  });

  it('keeps the newest and the newest that was restored, whatever their age', () => {
    const now = at('2030-01-01T00:00:00Z');
    const old = [
      kept(at('2026-01-05T00:00:00Z'), { verified: true }),
      kept(at('2026-02-06T00:00:00Z')),
      kept(at('2026-02-07T00:00:00Z')),
    ];
    expect([...wanted(old, retention, now).entries()]).to.deep.equal([
      [old[2]!.id, 'the newest'],
      [old[0]!.id, 'the newest that was restored'],
    ]);
  });

  it('lets a defective backup stand for no day', () => {
    const now = at('2026-11-20T12:00:00Z');
    const morning = kept(at('2026-11-10T01:00:00Z'), { defect: true });
    const later = kept(at('2026-11-10T02:00:00Z'));
    const reasons = wanted([morning, later, kept(now)], retention, now);
    expect([reasons.get(morning.id), reasons.get(later.id)]).to.deep.equal([undefined, 'monthly']);
  });

  it('lets a backup that nobody restored displace none that was', () => {
    const now = at('2026-11-20T12:00:00Z');
    const [unknown, sound, later] = ['01', '02', '03'].map((hour) => at(`2026-11-10T${hour}:00:00Z`));
    const all = [
      kept(unknown!),
      kept(sound!, { verified: true }),
      kept(later!, { verified: true }),
      kept(now, { verified: true }),
    ];
    expect([...wanted(all, retention, now).keys()]).to.have.members([unknown!, sound!, now].map((one) => kept(one).id));
  });

  it('knows the end of a month that is shorter', () => {
    const monthly = { daily: 1, weekly: 1, monthly: 1 };
    expect(keepUntil(at('2026-01-31T12:00:00Z'), [], monthly)).to.equal(at('2026-02-28T12:00:00Z'));
  });

  it('has the storage lock every backup for as long as retention wants it', () => {
    const start = at('2026-01-01T00:00:00Z');
    const gaps = fc.array(fc.integer({ min: 1, max: 60 * 24 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 500 }), (hours, days) => {
        const moments = hours.reduce<number[]>((all, gap) => [...all, (all.at(-1) ?? start) + gap * hourMs], []);
        const now = moments.at(-1)! + days * dayMs;
        const locks = moments.map((moment, index) => keepUntil(moment, moments.slice(0, index), retention));
        const reasons = wanted(
          moments.map((moment) => kept(moment)),
          retention,
          now,
        );
        moments.forEach((moment, index) => {
          const why = reasons.get(new Date(moment).toISOString());
          if (why === undefined) expect(locks[index]).to.be.below(now);
          else if (!why.startsWith('the newest')) expect(locks[index]).to.be.at.least(now);
        });
      }),
    );
  });
});
