import { expect } from 'chai';
import * as fc from 'fast-check';
import { decide, describeFinding, mostRestores, wholeSeconds } from '../../backup/bisect';
import type { RecoveryRange } from '../../backup/model';
import { StandbyError } from '../../failover/errors';

const base = Date.parse('2026-11-20T10:00:00Z');
const at = (second: number) => base + second * 1_000;

/** Restores and asks as long as the search wants it. */
function search(range: RecoveryRange, isClean: (at: number) => boolean, known = new Map<number, boolean>()) {
  const answers = new Map(known);
  for (let restores = 0; ; restores += 1) {
    const finding = decide(range, answers);
    if (finding.outcome !== 'ask') return { finding, restores, answers };
    expect(answers.has(finding.at), 'asks nothing twice').to.equal(false);
    expect(finding.at % 1_000).to.equal(0);
    answers.set(finding.at, isClean(finding.at));
  }
}

/** A week, at most. */
const lengths = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 604_800 }));
const bound = (seconds: number) => Math.ceil(Math.log2(Math.max(1, seconds))) + 2;

describe('backup: the last clean second', () => {
  it('is found with at most ceil(log2(seconds)) + 2 restores, wherever it is', () => {
    const cases = lengths.chain((seconds) => fc.tuple(fc.constant(seconds), fc.integer({ min: -1, max: seconds })));
    fc.assert(
      fc.property(cases, ([seconds, last]) => {
        const range = { earliest: at(0), latest: at(seconds) };
        const { finding, restores } = search(range, (moment) => moment <= at(last));
        if (last < 0) expect(finding).to.deep.equal({ outcome: 'noneClean', earliest: at(0) });
        else if (last === seconds) expect(finding).to.deep.equal({ outcome: 'newestClean', clean: at(seconds) });
        else expect(finding).to.deep.equal({ outcome: 'found', clean: at(last), dirty: at(last + 1) });
        expect(restores).to.be.at.most(bound(seconds)).and.at.most(mostRestores(range));
      }),
      { numRuns: 500 },
    );
  });

  it('says how many restores are left, and needs no more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 90_000 }), fc.nat(), (seconds, seed) => {
        const range = { earliest: at(0), latest: at(seconds) };
        const answers = new Map<number, boolean>();
        const promised: number[] = [];
        for (let finding = decide(range, answers); finding.outcome === 'ask'; finding = decide(range, answers)) {
          promised.push(finding.left);
          answers.set(finding.at, finding.at <= at(seed % seconds));
        }
        promised.forEach((left, index) => expect(left).to.be.at.least(promised.length - index));
      }),
    );
  });

  it('ends at a real border of a history that changed more than once, and says so when it saw it', () => {
    const histories = fc.array(fc.boolean(), { minLength: 2, maxLength: 300 });
    fc.assert(
      fc.property(histories, (history) => {
        const range = { earliest: at(0), latest: at(history.length - 1) };
        const isClean = (moment: number) => history[(moment - base) / 1_000] as boolean;
        const { finding, restores, answers } = search(range, isClean);
        expect(restores).to.be.at.most(bound(history.length - 1));
        if (finding.outcome === 'found') {
          expect([isClean(finding.clean), isClean(finding.dirty)]).to.deep.equal([true, false]);
        }
        const seen = [...answers].some(([d, clean]) => !clean && [...answers].some(([c, is]) => is && c > d));
        expect('twist' in finding).to.equal(seen);
        if (seen) expect(describeFinding(finding).join()).to.contain('changed more than once');
      }),
      { numRuns: 300 },
    );
  });

  it('sees that dirty data became clean again, also from what an earlier search was told', () => {
    const range = { earliest: at(0), latest: at(100) };
    const mended = search(range, (moment) => moment >= at(60));
    expect(mended.finding).to.deep.equal({
      outcome: 'newestClean',
      clean: at(100),
      twist: { dirty: at(0), clean: at(100) },
    });
    const between = (moment: number) => moment >= at(40) && moment < at(70);
    const first = search(range, between);
    expect(first.finding.outcome).to.equal('noneClean');
    const narrower = search({ earliest: at(50), latest: at(100) }, between, first.answers);
    expect(narrower.finding).to.deep.equal({
      outcome: 'found',
      clean: at(69),
      dirty: at(70),
      twist: { dirty: at(0), clean: at(69) },
    });
  });

  it('keeps to whole seconds inside the range, and refuses one that has none', () => {
    expect(wholeSeconds({ earliest: at(0) + 1, latest: at(5) + 999 })).to.deep.equal({
      earliest: at(1),
      latest: at(5),
    });
    expect(() => wholeSeconds({ earliest: at(0) + 1, latest: at(0) + 999 }))
      .to.throw(StandbyError)
      .with.property('code', 'RangeEmpty');
    expect(mostRestores({ earliest: at(0), latest: at(0) })).to.equal(1);
  });
});
