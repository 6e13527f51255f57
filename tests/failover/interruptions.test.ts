import { expect } from 'chai';
import type { Plan } from '../../failover/model';
import { changes, Crash } from './process';
import { outcome, planFor, resume, run, scenarios, type Scenario } from './scenarios';
import type { World } from './world';

/** What every interrupted run must come to. */
async function uninterrupted(scenario: Scenario) {
  const world = scenario.world();
  const plan = planFor(scenario, world);
  const ran = await run(world, plan);
  expect(outcome(ran)).to.equal('done');
  return { calls: ran.process.calls, end: world.snapshot() };
}

async function sameEnd(world: World, plan: Plan, end: object, where: string): Promise<void> {
  // A process that died before the plan was in the journal has begun nothing.
  const second = world.journal.get(plan.id)?.includes('\n') ? await resume(world, plan) : await run(world, plan);
  expect(outcome(second), where).to.equal('done');
  expect(world.violations, where).to.deep.equal([]);
  expect(world.snapshot(), where).to.deep.equal(end);
  const third = await resume(world, plan);
  expect(outcome(third), where).to.equal('done');
  expect(third.process.calls.filter(changes), where).to.deep.equal([]);
}

const crashes = (['before', 'during', 'after'] as const).map((when) => ({ kind: 'crash', when }) as const);
const faults = (['before', 'after'] as const).map((when) => ({ kind: 'fault', retryable: false, when }) as const);

describe('a run that is interrupted', function () {
  this.timeout(120_000);

  for (const scenario of scenarios) {
    it(`ends the same after a kill at every call, ${scenario.name}`, async () => {
      const { calls, end } = await uninterrupted(scenario);
      for (const { index, name } of calls) {
        for (const mishap of crashes) {
          if (mishap.when === 'during' && !/append|update|importBackups/.test(name)) continue;
          const world = scenario.world();
          const plan = planFor(scenario, world);
          const first = await run(world, plan, { mishapAt: { index, mishap } });
          expect(first.ended, `${mishap.when} ${name}`).to.be.instanceOf(Crash);
          await sameEnd(world, plan, end, `${mishap.when} ${index} ${name}`);
        }
      }
    });

    // Variants differ from these by steps that fall away.
    if (/beside|prepared|lives|after 1c/.test(scenario.name)) continue;
    it(`stops at a fault that does not pass, at every call, and goes on, ${scenario.name}`, async () => {
      const { calls, end } = await uninterrupted(scenario);
      for (const { index, name } of calls) {
        for (const mishap of faults) {
          const world = scenario.world();
          const plan = planFor(scenario, world);
          const first = await run(world, plan, { mishapAt: { index, mishap } });
          const where = `${index} ${name}: ${outcome(first)}`;
          // What is asked only whether a step is needed may stay unanswered.
          const asked = name === 'databases.read' && outcome(first) === 'done';
          if (!asked) expect(outcome(first), where).to.match(/Shaken/);
          if (!(first.ended instanceof Error) && first.ended.outcome === 'failed') {
            expect(first.ended.exit, where).to.be.oneOf(['resumable', 'safe']);
          }
          await sameEnd(world, plan, end, where);
        }
      }
    });
  }

  const short = scenarios.filter(({ name }) => ['switchover 1c', 'failover 1a', 'failback after 1b'].includes(name));
  for (const scenario of short) {
    it(`tries again what may succeed a moment later, ${scenario.name}`, async () => {
      const { calls, end } = await uninterrupted(scenario);
      const steady = calls.filter(({ name }) => !/^(journal|lock|observer)/.test(name));
      for (const { index, name } of steady) {
        for (const when of ['before', 'after'] as const) {
          const world = scenario.world();
          const plan = planFor(scenario, world);
          const mishap = { kind: 'fault', retryable: true, when } as const;
          const first = await run(world, plan, { mishapAt: { index, mishap } });
          expect(outcome(first), `${index} ${name}`).to.equal('done');
          expect(world.violations, name).to.deep.equal([]);
          expect(world.snapshot(), name).to.deep.equal(end);
        }
      }
    });

    it(`cuts off what takes too long, says what it waited for, and goes on, ${scenario.name}`, async () => {
      const { calls, end } = await uninterrupted(scenario);
      for (const { index, name } of calls.filter((call) => !/^(journal|lock|observer)/.test(call.name))) {
        const world = scenario.world();
        const plan = planFor(scenario, world);
        const first = await run(world, plan, { mishapAt: { index, mishap: { kind: 'hang' } } });
        expect(outcome(first), `${index} ${name}`).to.match(/^done|StepTimeout .* it was: .* waits for somebody$/);
        await sameEnd(world, plan, end, `${index} ${name}`);
      }
    });
  }
});
