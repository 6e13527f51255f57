import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { readLines } from '../../failover/journal';
import type { Plan, RunEvent, StepId } from '../../failover/model';
import { steps, type Step, type StepTable } from '../../failover/steps';
import { changes, observe, Process, type Calling } from './process';
import { lose, rules } from './observations';
import { outcome, planFor, resume, run, scenarios, type Ran, type Scenario } from './scenarios';
import type { World } from './world';

const scenario = (name: string): Scenario => {
  const found = scenarios.find((one) => one.name === name);
  if (!found) throw new Error(`there is no scenario ${name}`);
  return found;
};
const follow = scenario('switchover 1c');
const entriesOf = (world: World, plan: Plan) => readLines(world.journal.get(plan.id) ?? '').entries;
const attemptsOf = (events: readonly RunEvent[], id: StepId) =>
  events.filter((event) => event.code === 'StepStarted' && event.step === id).length;

/** Nothing at all is written, to the journal neither. */
const untouched = (process: Process) => expect(process.calls.filter(changes)).to.deep.equal([]);

/** Before anything is written. */
const looks = ({ process: { calls } }: Ran) => {
  const names = calls.map(({ name }) => name);
  return names.slice(0, names.indexOf('journal.append')).filter((name) => name === 'observer.observe').length;
};

describe('a run is refused', () => {
  it('when the world is another one than the plan saw', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    world.serial += 1;
    const ran = await run(world, plan);
    expect(outcome(ran)).to.match(/^PlanStale: .*another world/);
    untouched(ran.process);
  });

  it('when the plan is too old', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    world.clock.advance(900_001);
    const ran = await run(world, plan);
    expect(outcome(ran)).to.match(/^PlanStale: .*expired at/);
    untouched(ran.process);
  });

  it('while another one goes on, and until one that was cut off has ended', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const other = new Process(world);
    await other.ports().lock.acquire('other');
    const meanwhile = await run(world, plan);
    expect(outcome(meanwhile)).to.match(/^RunInProgress/);
    untouched(meanwhile.process);
    other.end();
    await run(world, plan, { mishapAt: { index: 12, mishap: { kind: 'crash', when: 'after' } } });
    const next = await run(world, { ...plan, id: '00000000-0000-8000-a000-000000000000' });
    expect(outcome(next)).to.match(/^RunUnfinished: .*standby resume/);
    untouched(next.process);
    expect(outcome(await run(world, plan)), 'not even as it was').to.match(/^RunUnfinished/);
    expect(outcome(await resume(world, plan))).to.equal('done');
    expect(outcome(await run(world, plan))).to.match(/^RunOver/);
  });

  it('when somebody has gone further since it was cut off', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    await run(world, plan, { mishapAt: { index: 12, mishap: { kind: 'crash', when: 'after' } } });
    world.file = { ...world.file, epoch: plan.epoch + 1 };
    const ran = await resume(world, plan);
    expect(outcome(ran)).to.match(/^Superseded: .*epoch 3/);
    untouched(ran.process);
  });

  it('when somebody has finished it by plain Pulumi since it was cut off', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    await run(world, plan, { before: ({ name }, process) => name === 'leases.take' && process.end() });
    world.file = plan.after;
    world.apply(plan.after);
    const ran = await resume(world, plan);
    expect(outcome(ran)).to.match(
      /^Superseded: .*configuration has that complete, and .* takes writes in it.*--abandon/,
    );
    untouched(ran.process);
  });

  it('does not look again at what was seen a moment ago, unless a run has ended since', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const seen = observe(world);
    const ran = await run(world, plan, { seen });
    expect(outcome(ran)).to.equal('done');
    expect(looks(ran)).to.equal(0);
    const again = await run(world, { ...plan, id: '00000000-0000-8000-a000-000000000000' }, { seen });
    expect(outcome(again)).to.match(/^PlanStale/);
  });

  it('only after a second look, when the first one missed something', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const seen = lose(observe(world), 'prod');
    const ran = await run(world, plan, { seen });
    expect(outcome(ran)).to.equal('done');
    expect(looks(ran)).to.equal(1);
  });
});

describe('a run stops', () => {
  it('before the next act when its lock is lost, and writes nothing more', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    let after = 0;
    const ran = await run(world, plan, {
      before: (calling, process) => {
        if (process.lockLost.signal.aborted && changes(calling)) after += 1;
        if (calling.name === 'databases.fence') process.lockLost.abort();
      },
    });
    expect(outcome(ran)).to.match(/failed at fence-\w+: LockLost/);
    expect(after).to.equal(0);
    expect(outcome(await resume(world, plan))).to.equal('done');
  });

  it('when it is asked to', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const asked = new AbortController();
    const ran = await run(world, plan, {
      signal: asked.signal,
      before: ({ name }) => name === 'stacks.update' && asked.abort(),
    });
    expect(outcome(ran)).to.match(/failed at prepare: Interrupted/);
    expect(ran.ended).to.include({ exit: 'safe', next: '`standby resume`, or `standby abort`' });
    expect(outcome(await resume(world, plan))).to.equal('done');
  });

  it('without waiting for a site that has fallen silent, and goes on when it answers', async () => {
    const ends = [
      [
        'switchover 1c',
        'prepare',
        'safe',
        /^failed at prepare: SiteSilent the cluster of prod .* abort --site-is-lost/,
      ],
      ['failback after 1b', 'reprotect', 'safe', /SiteSilent the cluster of intg .* abort --site-is-lost/],
      ['switchover 1c', 'converge', 'resumable', /SiteSilent the cluster of prod .* resume --site-is-lost/],
      ['switchover 1c', 'check-previews', 'resumable', /SiteSilent the cluster of prod .* resume --site-is-lost/],
    ] as const;
    for (const [name, step, exit, message] of ends) {
      const one = scenario(name);
      const world = one.world();
      const plan = planFor(one, world);
      const asks = step === 'check-previews' ? 'stacks.previews' : 'stacks.update';
      const before = ({ name: call }: Calling, process: Process) => {
        const begun = entriesOf(world, plan).at(-1)?.what;
        if (call !== asks || begun?.type !== 'intent' || begun.step !== step) return;
        world.cutOff(plan.from);
        const updates = process.calls.filter(({ name: made }) => made === call);
        expect(updates, `${name}: tried again`).to.have.length(step === 'converge' ? 2 : 1);
        throw new StandbyError('PulumiFailed', 'the region does not answer', { retryable: true });
      };
      const ran = await run(world, plan, { before });
      expect(outcome(ran), name).to.match(message);
      expect(ran.ended, name).to.deep.include({ exit });
      const again = await resume(world, plan);
      expect(outcome(again), name).to.match(message);
      expect(again.process.calls.filter(({ name: call }) => call === asks)).to.deep.equal([]);
      world.heal(plan.from);
      expect(outcome(await resume(world, plan)), name).to.equal('done');
      expect(world.violations).to.deep.equal([]);
    }
  });

  it('before the names move when the new site does not serve, and goes on when it does', async () => {
    for (const name of ['switchover 1a', 'failover 1c', 'failover 1b']) {
      const one = scenario(name);
      const world = one.world();
      const plan = planFor(one, world);
      const sick: StepTable = {
        ...steps,
        'verify-inside': { run: () => Promise.reject(new StandbyError('VerificationFailed', 'api answers 503')) },
      };
      const ran = await run(world, plan, { table: sick });
      expect(outcome(ran)).to.match(/failed at verify-inside: VerificationFailed/);
      expect(ran.ended).to.include({ exit: 'resumable', resumable: true, next: '`standby resume`' });
      expect(world.names).to.include({ public: 'prod', internal: 'prod' });
      expect(outcome(await resume(world, plan))).to.equal('done');
      expect(world.violations).to.deep.equal([]);
    }
  });

  it('where a fence leaks: nothing is promoted', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    world.fence = () => undefined;
    const ran = await run(world, plan);
    expect(outcome(ran)).to.match(/failed at prove-fence: FenceLeaks .*accepted a write by epoch 1/);
    expect(attemptsOf(ran.process.events, 'prove-fence')).to.be.greaterThan(1);
    expect(world.server('psql-moodtalk-intg-e1').role).to.equal('replica');
  });

  it('where an answer is missing: silence is no proof', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name === 'databases.tryWrite') world.reach.prod.servers = false;
      },
    });
    expect(outcome(ran)).to.match(/failed at prove-fence: Unreachable/);
    expect(world.server('psql-moodtalk-intg-e1').role).to.equal('replica');
  });

  it('where the replica was promoted behind its back before it had every row', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name === 'leases.take') world.server('psql-moodtalk-intg-e1').role = 'primary';
      },
    });
    expect(outcome(ran)).to.match(/failed at record-recovery-point: PromotedOutOfBand/);
    expect(ran.ended).to.include({ exit: 'person' });
  });

  it('with a fault of its own told by name alone, and thrown', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const table: StepTable = {
      ...steps,
      'take-lease': { run: () => Promise.reject(new TypeError('postgres://user:secret@host')) },
    };
    const ran = await run(world, plan, { table });
    expect(ran.ended).to.be.instanceOf(TypeError);
    expect(world.journal.get(plan.id))
      .to.match(/TypeError/)
      .and.not.match(/secret/);
    expect(outcome(await resume(world, plan))).to.equal('done');
  });
});

describe('a run goes on', () => {
  it('when PROD comes back in the middle of it: PROD stays closed', async () => {
    for (const name of ['failover 1b', 'failover 1c', 'failover 1c, prepared before']) {
      const one = scenario(name);
      const length = (await run(one.world(), planFor(one, one.world()))).process.calls.length;
      for (let index = 0; index < length; index += 1) {
        const world = one.world();
        const plan = planFor(one, world);
        let back = false;
        const ran = await run(world, plan, {
          seen: observe(world),
          before: ({ index: at }) => {
            if (at < index || back) return;
            back = true;
            world.heal('prod');
          },
        });
        expect(outcome(ran), `${name} ${index}`).to.equal('done');
        expect(world.violations, `${name} ${index}`).to.deep.equal([]);
      }
    }
  });

  it('with the promotion of a replica that has every row, when its fenced source dies: nothing is lost', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name === 'databases.promote') world.cutOff('prod');
      },
    });
    expect(outcome(ran), 'the business runs').to.match(/^failed at converge/);
    expect(world.names).to.include({ public: 'intg' });
    expect(outcome(await resume(world, plan, { lost: 'PROD burns' }))).to.equal('done');
    expect(world.violations).to.deep.equal([]);
    const [taken, left] = [world.server('psql-moodtalk-intg-e1'), world.server('psql-moodtalk-prod')];
    expect(taken.role).to.equal('primary');
    expect(taken.position).to.be.at.least(left.position);
  });

  it('with previews that leave alone what was lost after the stacks had converged', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    const ran = await run(world, plan, {
      before: ({ name }) => {
        if (name !== 'stacks.previews') return;
        world.cutOff('prod');
        throw new StandbyError('PulumiFailed', 'the region does not answer');
      },
    });
    expect(outcome(ran)).to.match(/^failed at check-previews/);
    expect(outcome(await resume(world, plan, { lost: 'PROD burns' }))).to.equal('done');
    expect(world.file).to.deep.equal({ ...plan.after, unreachable: 'prod' });
  });

  it('without the fenced database, once the fence is proved', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    await run(world, plan, {
      before: ({ name }, process) => {
        if (name !== 'leases.take') return;
        world.cutOff('prod');
        process.end();
      },
    });
    world.clock.advance(20_000);
    const ran = await resume(world, plan);
    expect(ran.process.events.filter(({ code }) => code === 'StepProgress')).not.to.deep.equal([]);
    expect(outcome(ran)).to.match(/failed at converge/);
    expect(world.violations).to.deep.equal([]);
    expect(world.serves('intg')).to.equal(true);
    expect(world.names.public).to.equal('intg');
    // Pulumi waits for PROD's cluster until a person says that nobody can reach it.
    expect(outcome(await resume(world, plan, { lost: 'PROD burns' }))).to.equal('done');
    expect(world.applied).to.deep.equal({ ...plan.after, unreachable: 'prod' });
    expect(rules.validateSwitch(world.applied)).to.deep.equal([]);
    expect(world.violations).to.deep.equal([]);
  });

  it('with a proof of the fence that is made again', async () => {
    const world = follow.world();
    const plan = planFor(follow, world);
    await run(world, plan, {
      before: ({ name }, process) => {
        if (name === 'leases.take') process.end();
      },
    });
    const prod = world.server('psql-moodtalk-prod');
    world.admit(prod, 1);
    const ran = await resume(world, plan);
    expect(outcome(ran)).to.equal('done');
    expect(attemptsOf(ran.process.events, 'prove-fence')).to.equal(1);
    expect(prod.token.open).to.equal(false);
    expect(world.violations).to.deep.equal([]);
  });
});

describe('without a step that keeps the other site from writing', () => {
  const nothing: Step = { run: async () => ({}) };
  const lying: Step = { run: async () => ({ proved: true, answer: 'refused', position: '1' }) };

  const mutants: Readonly<Record<string, readonly [scenario: string, mode: 'on' | 'off', table: Partial<StepTable>]>> =
    {
      'the fence, where no lease is': [
        'switchover 1c',
        'off',
        { 'fence-database': nothing, 'fence-workloads': nothing, 'prove-fence': lying },
      ],
      'the lease, where nothing can be fenced': ['failover 1c', 'on', { 'take-lease': nothing }],
      'the lease, where a backup is restored': ['failover 1b', 'on', { 'take-lease': nothing }],
    };
  for (const [what, [name, mode, table]] of Object.entries(mutants)) {
    it(`two sites write: ${what}`, async () => {
      const one = scenario(mode === 'off' ? 'switchover 1c without a lease' : name);
      const world = one.world();
      const plan = planFor(one, world);
      await run(world, plan, { table: { ...steps, ...table } });
      expect(world.violations.join('\n')).to.match(/take writes|both sites write/);
    });
  }

  it('names lead to a site that does not serve: the verification', async () => {
    const one = scenario('failover 1b');
    const world = one.world();
    const plan = planFor(one, world);
    await run(world, plan, { table: { ...steps, 'verify-inside': nothing, bind: nothing } });
    expect(world.violations.join('\n')).to.match(/names lead to intg, which does not serve/);
  });
});
