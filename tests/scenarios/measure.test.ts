import { expect } from 'chai';
import { loss, recovery, refusal } from '../../sandbox/exercise/measure';

const row = (seq: number, at: number, site = 'prod') => ({ seq, at, site });

describe('what the outside client measured', () => {
  const outageAt = 10_000;

  describe('recovery', () => {
    const down = { at: 11_000, ok: false };
    const seen = (...observations: { at: number; ok: boolean; site?: string }[]) => new Map([['api', observations]]);

    it('counts from the outage to the first success on the expected site', () => {
      const observations = seen({ at: 9_000, ok: true, site: 'prod' }, down, { at: 14_500, ok: true, site: 'intg' });
      expect(recovery(observations, ['api'], outageAt, 'intg').seconds).to.equal(4.5);
    });

    it('does not take a late answer of the lost site for a recovery', () => {
      const observations = seen(down, { at: 12_000, ok: true, site: 'prod' });
      expect(recovery(observations, ['api'], outageAt, 'intg').seconds).to.equal(undefined);
    });

    it('takes an answer without a site for a recovery only after a failure; without one it was never gone', () => {
      expect(recovery(seen({ at: 10_100, ok: true }), ['api'], outageAt, 'intg').seconds).to.equal(0);
      const failedFirst = seen({ at: 10_100, ok: true }, down, { at: 13_000, ok: true });
      expect(recovery(failedFirst, ['api'], outageAt, 'intg').seconds).to.equal(3);
    });

    it('is unknown while one target is missing', () => {
      const observations = new Map([
        ['api', [down, { at: 12_000, ok: true, site: 'intg' }]],
        ['login', [down]],
      ]);
      const measured = recovery(observations, ['api', 'login'], outageAt, 'intg');
      expect(measured.seconds).to.equal(undefined);
      expect(measured.byTarget).to.deep.equal({ api: 2, login: undefined });
    });
  });

  describe('refusal', () => {
    const ok = (at: number) => ({ at, ok: true });
    const no = (at: number) => ({ at, ok: false });

    it('is the longest time without a success', () => {
      expect(refusal([ok(9_900), ok(10_100), no(10_200), no(11_000), ok(12_100), ok(12_200)], outageAt)).to.equal(2);
    });

    it('begins with the first moment that is asked about, and goes on while nothing came back', () => {
      expect(refusal([ok(9_000), no(10_500), ok(13_000)], outageAt)).to.equal(3);
      expect(refusal([ok(10_100), no(11_000), no(15_100)], outageAt)).to.equal(5);
    });
  });

  describe('loss', () => {
    const acknowledged = [row(1, 8_000), row(2, 9_000), row(3, 9_900), row(4, 12_000, 'intg')];

    it('is nothing when every acknowledged row is there', () => {
      expect(loss(acknowledged, new Set([1, 2, 3, 4]), outageAt)).to.deep.equal({ rowsLost: 0, windowSeconds: 0 });
    });

    it('counts lost rows, and the window from the oldest of them to the outage', () => {
      expect(loss(acknowledged, new Set([1, 4]), outageAt)).to.deep.equal({ rowsLost: 2, windowSeconds: 1 });
    });

    it('counts what the lost site still acknowledged while the outage took hold', () => {
      const late = [...acknowledged.slice(0, 3), row(4, 10_100)];
      expect(loss(late, new Set([1, 2]), outageAt)).to.deep.equal({ rowsLost: 2, windowSeconds: 0.2 });
      expect(loss(late, new Set([1, 2, 3]), outageAt)).to.deep.equal({ rowsLost: 1, windowSeconds: 0 });
    });

    it('does not hide a gap behind newer rows', () => {
      expect(loss(acknowledged, new Set([2, 3, 4]), outageAt)).to.deep.equal({ rowsLost: 1, windowSeconds: 2 });
    });
  });
});
