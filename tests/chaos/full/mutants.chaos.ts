/** The project without its fences: the two writers must find out. tests/chaos/core has the one of a switchover. */
import { expect } from 'chai';
import { exits, leaveWorld, Scenario } from '../harness/kit';
import { mutate } from '../harness/mutant';

const takeOver = ['failover', '--to', 'intg', '--prod-is-lost', 'the region does not answer', '--accept-loss'];

describe('without fences', function () {
  this.timeout('30m');
  let scenario: Scenario | undefined;
  afterEach(() => scenario?.end());
  after(leaveWorld);

  for (const base of ['replica', 'plain'] as const) {
    it(`an isolated PROD writes on while INTG takes over (${base})`, async () => {
      scenario = await Scenario.begin(base, 243);
      scenario.expectMove();
      const { program } = await mutate(scenario.world);
      scenario.world.modules.silence.setSilence('prod', 'isolated');
      const { code, stderr } = await scenario.insist(takeOver, { program }, 3);
      expect(code, stderr).to.equal(exits.done);
      expect(scenario.writers.violations()).to.not.deep.equal([]);
    });
  }
});
