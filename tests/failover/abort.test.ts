import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { fold, readLines, toLine } from '../../failover/journal';
import type { Plan, RunResult, StepId } from '../../failover/model';
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
    expect(failed.ended, 'nothing else is taken').to.include({ next: '`standby abort`' });
    expect(outcome(await resume(world, plan))).to.match(/^RunOver: .*standby abort/);
    expect(outcome(await run(world, plan))).to.match(/^RunUnfinished: .*: `standby abort` comes first/);
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
    // Whoever reads of it later must not believe that the business is where it was.
    const why = /abandoned where it stood: put right by hand/;
    expect(fold(entriesOf(world, plan))).to.deep.include({ outcome: 'aborted', abandoned: 'put right by hand' });
    expect(ran.ended).to.deep.include({ abandoned: 'put right by hand' });
    expect(outcome(await resume(world, plan)))
      .to.match(/^RunOver/)
      .and.to.match(why);
    expect(outcome(await takeBack(world, plan)))
      .to.match(/^RunOver/)
      .and.to.match(why);
    expect(outcome(await run(world, plan)))
      .to.match(/^RunOver/)
      .and.to.match(why);
  });

  it('returns to the rows that a replica lacks which somebody promoted, and nobody opened', async () => {
    const world = scenario!.world();
    const plan = planFor(scenario!, world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name === 'leases.take') world.server('psql-moodtalk-intg-e1').role = 'primary';
      },
    });
    expect(outcome(ran)).to.match(/PromotedOutOfBand .*say standby abort/);
    expect(outcome(await takeBack(world, plan))).to.equal('aborted');
    restored(world, plan, 'without its replica');
  });

  it('needs an entry to go back from', async () => {
    const world = scenario!.world();
    const plan = planFor(scenario!, world);
    const ran = await takeBack(world, plan);
    expect(ran.ended).to.be.instanceOf(StandbyError);
    expect(outcome(ran)).to.match(/JournalEmpty/);
  });
});

describe('a run is not taken back', () => {
  const scenarioOf = (name: string) => scenarios.find((one) => one.name === name)!;

  /** Stops a run before its first call of that name after a step has begun. */
  async function stoppedIn(name: string, step: StepId, call: string) {
    const world = scenarioOf(name).world();
    const plan = planFor(scenarioOf(name), world);
    await run(world, plan, {
      before: ({ name: made }, process) => {
        if (made === call && intentOf(world, plan, step) >= 0) process.end();
      },
    });
    return { world, plan };
  }
  const intentOf = (world: World, plan: Plan, step: StepId): number =>
    entriesOf(world, plan).findIndex(({ what }) => what.type === 'intent' && what.step === step);
  /** The machine that carried it out reached nothing but its own disk from that step on, and is gone. */
  function forget(world: World, plan: Plan, step: StepId): void {
    const left = entriesOf(world, plan).slice(0, intentOf(world, plan, step));
    world.journal.set(plan.id, left.map(toLine).join(''));
  }

  /** In one line with a way out, and not a thing is changed. */
  async function refused(world: World, plan: Plan, why: RegExp, exit = 'person'): Promise<void> {
    expect(committed(world, plan)).to.equal(false);
    const before = world.snapshot();
    const ran = await takeBack(world, plan);
    expect(outcome(ran))
      .to.match(why)
      .and.to.match(/--abandon/);
    expect(ran.ended).to.include({ exit });
    expect(ran.calls.filter(changes)).to.deep.equal([]);
    expect(world.snapshot()).to.deep.equal(before);
  }

  it('when a person has finished it by plain Pulumi, whose rows would be left behind', async () => {
    const { world, plan } = await stoppedIn('failover 1b', 'record-recovery-point', 'databases.read');
    world.file = plan.after;
    world.apply(plan.after);
    world.heal('prod');
    expect(world.serves('intg')).to.equal(true);
    await refused(world, plan, /^Superseded: .*has the business at intg, .*-intg-e2 takes writes in epoch 2, .*names/);
    expect(outcome(await takeBack(world, plan, { abandon: 'done by hand' }))).to.equal('aborted');
    expect(world.serves('intg')).to.equal(true);
    expect(world.violations).to.deep.equal([]);
  });

  it('when a machine opened the other site and could tell nobody: the run goes on', async () => {
    for (const name of ['switchover 1c', 'failover 1c', 'failover 1b']) {
      const { world, plan } = await stoppedIn(name, 'open-database', 'verifier.inside');
      forget(world, plan, name === 'failover 1b' ? 'open-database' : 'promote');
      world.file = world.applied = plan.before;
      world.heal('prod');
      await refused(world, plan, /^Superseded: .*: psql-moodtalk-intg-e\d takes writes in epoch 2;/);
      expect(outcome(await resume(world, plan)), name).to.equal('done');
      expect(world.violations, name).to.deep.equal([]);
    }
  });

  const signs: Readonly<Record<string, readonly [RegExp, (world: World, plan: Plan) => void]>> = {
    'the configuration': [/: the configuration has the business at intg;/, (world, plan) => (world.file = plan.after)],
    'a server that is open': [
      /: psql-moodtalk-intg-e1 takes writes in epoch 2;/,
      (world) => {
        world.promote(world.server('psql-moodtalk-intg-e1'), 'forced');
        world.admit(world.server('psql-moodtalk-intg-e1'), 2);
      },
    ],
    'a later server at home': [
      /: psql-moodtalk-prod-e3 takes writes in epoch 3;/,
      (world) => {
        world.lease = { ...world.lease, epoch: 3 };
        const later = { ...world.server('psql-moodtalk-prod'), name: 'psql-moodtalk-prod-e3' };
        world.servers.set(later.name, later);
        world.admit(later, 3);
      },
    ],
    'a lease that this run did not take': [
      /: intg has the lease in epoch 2, not by this run;/,
      (world) => (world.lease = { ...world.lease, holder: 'intg', epoch: 2 }),
    ],
    'names that have moved': [/: public names lead to intg;/, (world) => (world.names.public = 'intg')],
  };
  for (const [what, [why, goFurther]] of Object.entries(signs)) {
    it(`when there is a sign that somebody has gone further: ${what}`, async () => {
      const { world, plan } = await stoppedIn('failover 1c, the database lives', 'prove-fence', 'databases.tryWrite');
      goFurther(world, plan);
      await refused(world, plan, why);
    });
  }

  it('when another one works on the same database', async () => {
    const { world, plan } = await stoppedIn('failover 1a', 'prove-fence', 'databases.tryWrite');
    world.admit(world.server('psql-moodtalk-prod'), 2);
    await refused(world, plan, /: psql-moodtalk-prod takes writes in epoch 2;/);
  });

  it('while nobody can tell: the server of the site that has the lease is silent, which says nothing before that', async () => {
    const { world, plan } = await stoppedIn('switchover 1c', 'record-recovery-point', 'databases.caughtUp');
    world.reach.intg.servers = false;
    await refused(world, plan, /^Unknown: psql-moodtalk-intg-e1 is unknown .*whether intg has written/, 'refused');
    world.reach.intg.servers = true;
    expect(outcome(await takeBack(world, plan))).to.equal('aborted');
    restored(world, plan, 'when it answers');
    const earlier = await stoppedIn('switchover 1c', 'take-lease', 'leases.take');
    earlier.world.reach.intg.servers = false;
    expect(outcome(await takeBack(earlier.world, earlier.plan))).to.equal('aborted');
    restored(earlier.world, earlier.plan, 'before the lease has moved');
  });

  it('unless what is silent may never have been made', async () => {
    const world = scenarioOf('failover 1b').world();
    world.clock.advance(20_000); // PROD's lease has run out
    const plan = planFor(scenarioOf('failover 1b'), world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name !== 'stacks.update') return;
        world.apply(world.file);
        world.reach.intg.servers = false;
        throw new StandbyError('PulumiFailed', 'the region is full');
      },
    });
    expect(outcome(ran)).to.match(/^failed at restore/);
    expect(world.lease.holder).to.equal('intg');
    world.heal('prod');
    expect(outcome(await takeBack(world, plan))).to.equal('aborted');
    restored(world, plan, 'without the server');
  });
});
