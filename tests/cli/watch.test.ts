import { expect } from 'chai';
import { onceExit } from '../../cli/watch';
import { exitCodes } from '../../failover/errors';

describe('what `standby watch --once` ends with', () => {
  it('is well only where the active site was seen to serve', () => {
    expect(onceExit('serving')).to.equal(exitCodes.done);
    for (const sight of ['lost', 'public-way', 'both-silent', 'cut-off', 'strained', 'unclear'] as const) {
      expect(onceExit(sight), sight).to.equal(exitCodes.person);
    }
  });
});
