import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { fold, readLines } from '../../failover/journal';
import type { Plan, RunResult } from '../../failover/model';
import { abort, type AbortOptions } from '../../failover/runner';
import { changes, Process, type Calling, type Mishap } from './process';
import { options, outcome, planFor, resume, run, scenarios, type Ran, type Scenario } from './scenarios';
import type { World } from './world';

const entriesOf = (world: World, plan: Plan) => readLines(world.journal.get(plan.id) ?? '').entries;

async function takeBack(
  world: World,
  plan: Plan,
  more: Partial<AbortOptions> = {},
  mishapAt?: { readonly index: number; readonly mishap: Mishap },
): Promise<Ran & { readonly calls: readonly Calling[] }> {
  const process = new Process(world, mishapAt);
  const ended = await abort(entriesOf(world, plan), process.ports(), { ...options, ...more }).catch(
    (cause: unknown) => cause as Error,
  );
  process.end();
  return { process, ended, calls: process.calls };
}

/** The business runs where it ran, on what it ran on, and nothing else does. */
function restored(world: World, plan: Plan, where: string): void {
  expect(world.violations, where).to.deep.equal([]);
  expect(world.serves(plan.from), `${where}: ${plan.from} serves`).to.equal(true);
  expect(world.serves(plan.to), `${where}: ${plan.to} serves`).to.equal(false);
  expect(world.names, where).to.deep.equal({
    public: plan.from,
    internal: plan.from,
    server: world.inUse(plan.before).name,
  });
  expect(world.file, where).to.deep.equal(world.applied);
  expect(world.file.activeSite, where).to.equal(plan.from);
  expect(world.running[plan.from]?.epoch, where).to.equal(world.file.epoch);
  expect(world.file.prepared, where).to.equal(plan.before.prepared);
  if (world.lease.mode === 'on') {
    expect(world.lease, where).to.include({ holder: plan.from, epoch: world.file.epoch, released: false });
  }
}

const committed = (world: World, plan: Plan): boolean => fold(entriesOf(world, plan)).committed;

/** Stops a run at a call, as a kill does. */
async function stopped(scenario: Scenario, index: number, when: 'before' | 'after') {
  const world = scenario.world();
  const plan = planFor(scenario, world);
  const { process } = await run(world, plan, { mishapAt: { index, mishap: { kind: 'crash', when } } });
  return { world, plan, name: process.calls.at(-1)?.name ?? '' };
}

const lengthOf = async (scenario: Scenario): Promise<number> => {
  const world = scenario.world();
  return (await run(world, planFor(scenario, world))).process.calls.length;
};

describe('a run that is taken back', function () {
  this.timeout(120_000);

  // Variants differ from the others by steps that fall away.
  for (const scenario of scenarios.filter(({ name }) => !/beside|lives|after 1c/.test(name))) {
    it(`leaves the business where it was, from every call before there is no return, ${scenario.name}`, async () => {
      const length = await lengthOf(scenario);
      let [back, forward] = [0, 0];
      for (let index = 0; index < length; index += 1) {
        for (const when of ['before', 'after'] as const) {
          const { world, plan, name } = await stopped(scenario, index, when);
          const where = `${when} ${index} ${name}`;
          if (entriesOf(world, plan).length === 0) continue;
          const { outcome: over } = fold(entriesOf(world, plan));
          const gone = committed(world, plan);
          const before = world.snapshot();
          // What was lost is back: without that there is nothing to go back to.
          if (!gone) world.heal(plan.from);
          const ran = await takeBack(world, plan);
          if (over || gone) {
            expect(outcome(ran), where).to.match(over ? /RunOver/ : /PointOfNoReturn/);
            expect(world.snapshot(), where).to.deep.equal(before);
            forward += 1;
            continue;
          }
          expect(outcome(ran), where).to.equal('aborted');
          restored(world, plan, where);
          back += 1;
          expect(outcome(await takeBack(world, plan)), where).to.match(/RunOver/);
          expect(outcome(await resume(world, plan)), where).to.match(/RunOver/);
        }
      }
      expect(back, 'ways back').to.be.greaterThan(5);
      expect(forward, 'ways forward').to.be.greaterThan(5);
    });
  }

  const chosen = scenarios.filter(({ name }) => ['switchover 1c', 'failover 1b'].includes(name));
  for (const scenario of chosen) {
    it(`goes on with taking back after a kill at every call of that, ${scenario.name}`, async () => {
      let last = await lengthOf(scenario);
      for (;;) {
        const { world, plan } = await stopped(scenario, (last -= 1), 'before');
        if (!committed(world, plan)) break;
      }
      const find = () => stopped(scenario, last, 'before');
      const { world: whole, plan: wholePlan } = await find();
      whole.heal(wholePlan.from);
      const { calls } = await takeBack(whole, wholePlan);
      for (const { index, name } of calls) {
        const { world, plan } = await find();
        world.heal(plan.from);
        await takeBack(world, plan, {}, { index, mishap: { kind: 'crash', when: 'after' } });
        if (!fold(entriesOf(world, plan)).outcome) {
          expect(outcome(await takeBack(world, plan)), `${index} ${name}`).to.equal('aborted');
        }
        restored(world, plan, `${index} ${name}`);
      }
    });
  }

  const [scenario] = scenarios.filter(({ name }) => name === 'switchover 1c');

  it('ends without what is gone, by a person’s word, and a failover can be planned then', async () => {
    const world = scenario!.world();
    const plan = planFor(scenario!, world);
    await run(world, plan, {
      before: ({ name }, process) => {
        if (name !== 'databases.promote' && name !== 'databases.caughtUp') return;
        world.cutOff('prod');
        process.end();
      },
    });
    expect(committed(world, plan)).to.equal(false);
    const failed = await takeBack(world, plan);
    expect((failed.ended as RunResult).outcome).to.equal('failed');
    const back = await takeBack(world, plan, { lost: 'PROD burns' });
    expect(outcome(back)).to.equal('aborted');
    // An update would wait for what is lost, and so would whoever has a failover to begin.
    expect(back.calls.map(({ name }) => name))
      .to.include('stacks.configure')
      .and.not.include('stacks.update');
    expect(world.violations).to.deep.equal([]);
    const wish = { kind: 'failover', to: 'intg', lost: 'PROD burns', acceptLoss: true } as const;
    const next = planFor({ wish }, world);
    expect(outcome(await run(world, next))).to.equal('done');
    expect(world.serves('intg')).to.equal(true);
    expect(world.violations).to.deep.equal([]);
  });

  it('is ended where it stands when a person abandons it', async () => {
    const length = await lengthOf(scenario!);
    const { world, plan } = await stopped(scenario!, length - 12, 'before');
    expect(committed(world, plan)).to.equal(true);
    const before = world.snapshot();
    const ran = await takeBack(world, plan, { abandon: 'put right by hand' });
    expect(outcome(ran)).to.equal('aborted');
    expect(ran.calls.filter((call) => changes(call) && call.name !== 'journal.append')).to.deep.equal([]);
    expect(world.snapshot()).to.deep.equal(before);
  });

  it('needs an entry to go back from', async () => {
    const world = scenario!.world();
    const plan = planFor(scenario!, world);
    const ran = await takeBack(world, plan);
    expect(ran.ended).to.be.instanceOf(StandbyError);
    expect(outcome(ran)).to.match(/JournalEmpty/);
  });
});
