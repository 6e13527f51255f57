import { expect } from 'chai';
import { changes } from './process';
import { outcome, planFor, resume, run, scenarios } from './scenarios';

describe('a run', () => {
  for (const scenario of scenarios) {
    it(`carries out ${scenario.name}`, async () => {
      const world = scenario.world();
      const plan = planFor(scenario, world);
      expect(plan.branch).to.equal(scenario.branch);
      const ran = await run(world, plan);
      expect(outcome(ran)).to.equal('done');
      expect(world.violations).to.deep.equal([]);
      expect(world.serves(plan.to), 'the new site serves').to.equal(true);
      expect(world.running[plan.from]).to.equal(undefined);
      expect(world.names).to.include({ public: plan.to, internal: plan.to });
      expect(world.applied).to.deep.equal(plan.after);
      expect(world.file).to.deep.equal(plan.after);
      const again = await resume(world, plan);
      expect(outcome(again)).to.equal('done');
      expect(again.process.calls.filter(changes)).to.deep.equal([]);
    });
  }
});
