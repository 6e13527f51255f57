import { expect } from 'chai';
import { violations, type Accepted } from '../harness/checker';

const write = (site: string, epoch: number, at: number, server = 'psql'): Accepted => ({
  ...{ site, server, epoch },
  at,
  after: at + 5,
});

const fair = [write('prod', 1, 100), write('prod', 1, 130), write('intg', 2, 140), write('prod', 3, 200)];

describe('the checker of two writers', () => {
  it('has nothing against epochs that follow each other', () => {
    expect(violations(fair)).to.deep.equal([]);
    expect(violations([])).to.deep.equal([]);
  });

  const doctored: readonly (readonly [string, readonly Accepted[], string])[] = [
    ['an old site that writes once more', [...fair, write('prod', 1, 300)], 'older epoch accepted after a newer one'],
    [
      'an old site that writes to another server',
      [...fair, write('prod', 1, 190, 'psql-other')],
      'older epoch accepted after a newer one',
    ],
    ['a write that may have been committed later', [...fair, write('prod', 1, 137)], 'two sites at one time'],
    ['the login of another site', [...fair, write('intg', 3, 210)], 'two sites in one epoch'],
  ];
  for (const [what, log, found] of doctored) {
    it(`finds ${what}`, () => {
      expect(violations(log).map((one) => one.what)).to.include(found);
    });
  }
});
