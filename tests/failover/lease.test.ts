import { expect } from 'chai';
import * as fc from 'fast-check';
import { begin, decide, observe, stateOf, type Memory } from '../../failover/lease';
import { times } from '../../failover/leaseTimes';
import { World, type Fault, type Scenario } from './leaseWorld';

const lengthMs = 100_000;
const quiet: Scenario = { seed: 1, faults: [], moves: [] };
const cut = (a: 'store' | 'prod' | 'intg', b: 'store' | 'prod' | 'intg', from: number, ms: number): Fault => ({
  kind: 'cut',
  between: [a, b],
  agent: 0,
  from,
  ms,
});
const whole = (from: number, ms: number): Fault[] => [cut('store', 'prod', from, ms), cut('prod', 'intg', from, ms)];

const cuts = fc
  .record({
    between: fc.constantFrom<readonly ['store' | 'prod', 'prod' | 'intg']>(
      ['store', 'prod'],
      ['store', 'intg'],
      ['prod', 'intg'],
    ),
    from: fc.integer({ min: 0, max: 80_000 }),
    ms: fc.integer({ min: 500, max: 60_000 }),
  })
  .map(({ between, from, ms }): Fault => ({ kind: 'cut', between, agent: 0, from, ms }));

/** Of a site's two agents one is always there: what happens when both are gone is in the decision page. */
const oneAtATime = (faults: readonly Fault[]): Fault[] => {
  let free = 12_000;
  return [...faults]
    .sort((a, b) => a.from - b.from)
    .map((fault) => {
      const from = Math.max(fault.from, free);
      free = from + fault.ms + 12_000;
      return { ...fault, from };
    });
};
const processes = (site: 'prod' | 'intg') =>
  fc
    .array(
      fc.record({
        kind: fc.constantFrom('pause' as const, 'restart' as const),
        agent: fc.integer({ min: 0, max: 1 }),
        from: fc.integer({ min: 12_000, max: 70_000 }),
        ms: fc.integer({ min: 500, max: 25_000 }),
      }),
      { maxLength: 3 },
    )
    .map((list) => oneAtATime(list.map((one) => ({ ...one, between: [site, site] as const }))));

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    seed: fc.integer(),
    cuts: fc.array(cuts, { maxLength: 5 }),
    prod: processes('prod'),
    intg: processes('intg'),
    moves: fc.array(fc.integer({ min: 3_000, max: 70_000 }), { maxLength: 2 }),
  })
  .map(({ seed, cuts: links, prod, intg, moves }) => ({ seed, faults: [...links, ...prod, ...intg], moves }));

const story = (world: World) => `${world.violation}\n${world.story.join('\n')}`;

describe('the writer lease', function () {
  this.timeout(240_000);

  it('leaves time for a fence: whoever was confirmed last has stopped before anybody may take over', () => {
    const slowest = (1 + times.drift) * times.fencedByMs;
    expect(slowest).to.be.below((1 - times.drift) * times.takeAfterMs - times.storeResolutionMs);
    expect(times.fenceAfterMs + times.tickMs).to.be.below(times.fencedByMs);
    // A first attempt at each way of confirmation fits in, and an admission ends before its lease can.
    expect(times.doubtAfterMs + times.answerMs + times.tickMs).to.be.below(times.fenceAfterMs);
    expect(times.renewEveryMs + times.answerMs).to.be.below(times.fenceAfterMs);
    expect(times.openWithinMs).to.be.below(times.fenceAfterMs);
    expect(2 * times.claimUsableMs).to.be.below(times.claimLapsesMs);
  });

  it('lets PROD write from its first seconds on, whatever its clocks show, and keeps it so', () => {
    const world = new World(quiet).run(4_000);
    expect(world.servers.prod.open, world.story.join('\n')).to.equal(true);
    world.run(120_000);
    expect(world.story.filter((line) => line.includes('closed'))).to.deep.equal([]);
  });

  it('goes on without the store while the other site says that nobody takes over', () => {
    const faults = [cut('store', 'prod', 10_000, 60_000), cut('store', 'intg', 10_000, 60_000)];
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const world = new World({ ...quiet, seed, faults }).run(lengthMs);
        expect(world.violation).to.equal(undefined);
        expect(world.servers.prod.open, world.story.join('\n')).to.equal(true);
      }),
      { numRuns: 30 },
    );
  });

  it('stops PROD in time when neither the store nor the other site answers, and lets it go on afterwards', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const world = new World({ ...quiet, seed, faults: whole(20_000, 40_000) });
        expect(world.run(20_000 + times.fencedByMs).servers.prod.open, world.story.join('\n')).to.equal(false);
        expect(world.run(lengthMs).servers.prod.open, world.story.join('\n')).to.equal(true);
      }),
      { numRuns: 30 },
    );
  });

  it('moves to INTG when PROD lets go, and when PROD is gone', () => {
    for (const faults of [[], whole(20_000, 70_000)]) {
      const world = new World({ seed: 7, faults, moves: [25_000] }).run(89_000);
      expect(world.violation).to.equal(undefined);
      expect(world.servers.intg, world.story.join('\n')).to.include({ open: true, epoch: 2 });
      expect(world.servers.prod.open).to.equal(false);
    }
  });

  it('lives on what INTG confirmed until a claim was heard: whoever takes over waits from there', () => {
    const faults: Fault[] = [{ kind: 'cut', between: ['prod', 'store'], agent: 0, from: 20_000, ms: 70_000 }];
    const late = fc.record({ seed: fc.integer(), claimMs: fc.integer({ min: 0, max: 17_000 }) });
    fc.assert(
      fc.property(late, (drawn) => {
        const world = new World({ ...drawn, faults, moves: [35_000] }).run(89_000);
        expect(world.violation, world.story.join('\n')).to.equal(undefined);
      }),
      { numRuns: 60 },
    );
  });

  it('moves by the switch alone, without an engine', () => {
    const world = new World({ seed: 3, faults: whole(20_000, 70_000), moves: [], switchAt: 25_000 }).run(89_000);
    expect(world.violation).to.equal(undefined);
    expect(world.servers.intg, world.story.join('\n')).to.include({ open: true, epoch: 2 });
  });

  it('never lets two sites write: links cut, answers late and lost, one agent asleep or gone, clocks apart', () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        const world = new World(scenario).run(lengthMs);
        expect(world.violation, story(world)).to.equal(undefined);
      }),
      { numRuns: Number(process.env['STANDBY_LEASE_RUNS'] ?? 150) },
    );
  });

  it('is tried by worlds that would show two writers: without the fence they do', () => {
    const found = fc.check(
      fc.property(scenarios, (scenario) => new World(scenario, ['fence']).run(lengthMs).violation === undefined),
      { numRuns: 300, endOnFailure: true },
    );
    expect(found.failed).to.equal(true);
  });

  it('says of itself when it has not seen the lease for a while, also when it never did', () => {
    const lease = { holder: 'prod' as const, epoch: 1, released: false, ageMs: 0, version: '1' };
    const young = begin({ site: 'intg', active: false, epoch: 1, mode: 'on' }, 0);
    const seen = observe(young, { saw: 'lease', lease, sentAt: 20_000 });
    const states = (memory: Memory, from: number) =>
      [from + times.blindAfterMs - 1, from + times.blindAfterMs].map((now) => stateOf(memory, now));
    expect(states(young, 0)).to.deep.equal(['standby', 'blind']);
    expect(states(seen, 20_000)).to.deep.equal(['standby', 'blind']);
    expect(stateOf(begin({ ...young.post, mode: 'off' }, 0), 60_000)).to.equal('standby');
  });

  it('begins with the fence when its process has slept', () => {
    let memory: Memory = begin({ site: 'prod', active: true, epoch: 1, mode: 'on' }, 0);
    const lease = { holder: 'prod' as const, epoch: 1, released: false, ageMs: 0, version: '1' };
    memory = observe(memory, { saw: 'lease', lease, sentAt: 0 });
    memory = observe(memory, { saw: 'admitted', epoch: 1 });
    memory = decide(memory, 100).memory;
    const thawed = decide(observe(memory, { saw: 'renewed', epoch: 1, sentAt: 100 }), 30_000);
    expect(thawed.actions[0]).to.deep.equal({ do: 'fence', epoch: 1, final: false });
    expect(thawed.actions.map((action) => action.do)).not.to.include('admit');
  });

  it('needs no lease when it is off, and opens the active site alone', () => {
    const first = (active: boolean, epoch: number) =>
      decide(begin({ site: 'intg', active, epoch, mode: 'off' }, 0), 0).actions;
    expect(first(true, 2)).to.deep.equal([{ do: 'admit', epoch: 2 }]);
    expect(first(false, 2)).to.deep.equal([{ do: 'fence', epoch: 1, final: true }]);
    expect(first(false, 1)).to.deep.equal([]);
  });
});
