/** Sites, stores and clocks that go away or wrong: at no moment may two sites write, and a healthy one goes on. */
import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { stepIds, type StepId } from '../../../failover/model';
import { at, lastRun, planOf } from '../harness/command';
import { exits, leaveWorld, Scenario, until } from '../harness/kit';

const lost = ['--prod-is-lost', 'the region does not answer', '--accept-loss'];
const takeOver = ['failover', '--to', 'intg', ...lost];
const switchover = ['switchover', '--from', 'prod', '--to', 'intg'];
/** An agent fences its site within this, by its own clock; doubled for a busy machine. */
const fencedWithinMs = 15_000;

/** The plan of a switchover to a replica has all but these; looking names up touches no site. */
const ofOtherPlans = new Set<StepId>([
  'lookup-names',
  'reprotect',
  'export-diverged',
  'restore',
  'import-backup',
  'bind',
]);
const steps = stepIds.filter((id) => !ofOtherPlans.has(id));

describe('partitions', function () {
  this.timeout('30m');
  let scenario: Scenario | undefined;
  afterEach(() => scenario?.end());
  after(leaveWorld);

  const begin = async (base: 'plain' | 'replica' = 'replica') => (scenario = await Scenario.begin(base, 243));
  const writesOn = (one: Scenario) => {
    const since = Date.now();
    return until('writes that go on', () => one.wrote('prod', 1, since), 30_000);
  };

  for (const base of ['replica', 'plain'] as const) {
    it(`PROD isolated from all but its users fences itself, and INTG takes over (${base})`, async () => {
      const one = await begin(base);
      one.world.modules.silence.setSilence('prod', 'isolated');
      const isolatedAt = Date.now();
      one.expectMove();
      const { code, stderr } = await one.insist(takeOver, {}, 5);
      expect(code, stderr).to.equal(exits.done);
      one.moved();
      const last = one.writers
        .accepted()
        .filter(({ epoch }) => epoch === 1)
        .at(-1);
      expect((last?.after ?? 0) - isolatedAt, 'ms that PROD wrote on').to.be.lessThan(fencedWithinMs);
      one.world.heal();
      await delay(5_000); // whatever PROD would do now that it is back
      one.expectOneWriter();
      expect(one.wrote('prod', 1, isolatedAt + fencedWithinMs)).to.equal(false);
    });
  }

  it('PROD isolated and back before anybody acts goes on by itself', async () => {
    const one = await begin();
    const { silence } = one.world.modules;
    silence.setSilence('prod', 'isolated');
    const isolatedAt = Date.now();
    await until(
      'the fence',
      () => Date.now() - isolatedAt > fencedWithinMs && !one.wrote('prod', 1, Date.now() - 2_000),
      60_000,
    );
    silence.setSilence('prod', 'none');
    await writesOn(one);
    await one.expectEnd();
  });

  it('a store that is down stops nobody while the other site does not claim', async () => {
    const one = await begin();
    one.world.modules.rules.order('blob', { id: 'down', match: '/stmoodtalkstandby/', silent: true });
    await delay(30_000);
    await writesOn(one);
    one.world.heal();
    await one.expectEnd();
  });

  it('a store that is down for PROD alone, which also can’t ask INTG, fences PROD', async () => {
    const one = await begin();
    const { rules, silence, world } = one.world.modules;
    const from = world.plan.prod.publicIp(0).replace(/\d+$/, '');
    rules.order('blob', { id: 'down', match: '/stmoodtalkstandby/', from, silent: true });
    silence.setSilence('intg', 'site');
    const cutAt = Date.now();
    await until(
      'the fence',
      () => Date.now() - cutAt > fencedWithinMs && !one.wrote('prod', 1, Date.now() - 2_000),
      90_000,
    );
    one.world.heal();
    await writesOn(one);
    await one.expectEnd();
  });

  it('a store that is down while roles change lets the switchover end, or go on later', async () => {
    const one = await begin();
    one.expectMove();
    const { code, stderr } = await one.standby(switchover, {
      killAt: (entry) => {
        if (at('intent', 'fence-database')(entry))
          one.world.modules.rules.order('blob', { id: 'down', match: '/stmoodtalkstandby/', refuse: true });
        return false;
      },
    });
    expect([exits.done, exits.resumable], stderr).to.include(code);
    one.expectOneWriter();
    one.world.heal();
    expect((await one.insist(['resume'], {}, 5)).code).to.equal(exits.done);
    one.moved();
    await one.expectEnd();
  });

  for (const [site, seconds] of [
    ['prod', 300],
    ['prod', -300],
    ['intg', 300],
    ['intg', -300],
  ] as const) {
    it(`the clocks of ${site}'s agents are off by ${seconds} s`, async () => {
      const one = await begin();
      one.world.modules.clocks.setClocks(site, seconds, '^standby-agent');
      await delay(12_000); // longer than a lease lasts
      await writesOn(one);
      one.world.modules.silence.setSilence('prod', 'isolated');
      one.expectMove();
      const { code, stderr } = await one.insist(takeOver, {}, 5);
      expect(code, stderr).to.equal(exits.done);
      one.moved();
      one.world.heal();
      one.expectOneWriter();
    });
  }

  it('agents of PROD that stand still: no switchover begins on what they can’t say, one that has begun overtakes them', async () => {
    const one = await begin();
    const { frozen } = one.world.modules;
    const freeze = (whether: boolean) => frozen.setFrozen('pod/prod/moodtalk/standby-agent', whether);
    freeze(true);
    const refused = await one.standby(switchover);
    expect(refused.code, refused.stderr).to.equal(exits.refused);
    expect(refused.stderr).to.match(/agent of prod is unknown/);
    freeze(false);
    await writesOn(one);
    await until('every instance is ready', () => one.world.ready(), 60_000, 500);
    one.expectMove();
    const { code, stderr } = await one.insist(
      switchover,
      {
        killAt: (entry) => {
          if (at('intent', 'take-lease')(entry)) freeze(true);
          return false;
        },
      },
      5,
    );
    expect(code, stderr).to.equal(exits.done);
    freeze(false);
    one.moved();
    await delay(5_000); // whatever they would do now that they are awake
    await one.expectEnd();
  });

  describe('PROD falls silent at every step of a switchover', () => {
    for (const step of steps) {
      it(`when ${step} begins`, async function () {
        const one = await begin();
        one.expectMove();
        let silenced = false;
        const first = await one.standby(switchover, {
          killAt: (entry) => {
            if (!silenced && at('intent', step)(entry)) {
              one.world.modules.silence.setSilence('prod', 'site');
              silenced = true;
            }
            return false;
          },
        });
        if (!silenced) this.skip(); // this plan has no such step
        one.expectOneWriter();
        const ends: readonly (number | undefined)[] = [
          exits.done,
          exits.resumable,
          exits.safe,
          exits.person,
          exits.refused,
        ];
        expect(ends, first.stderr).to.include(first.code);
        if (first.code !== exits.done) {
          // A person tries once more; then goes back for a failover in its place, or forward where it is too late for that.
          const why = 'the region does not answer';
          const resumed = await one.standby(['resume']);
          if (resumed.code !== exits.done) {
            const back = await one.standby(['abort', '--site-is-lost', why]);
            const forward = back.code === exits.done ? takeOver : ['resume', '--site-is-lost', why];
            const { code, stderr } = await one.insist(forward, {}, 5);
            expect(code, stderr).to.equal(exits.done);
          }
        }
        one.moved();
        const since = Date.now();
        await until('writes at INTG', () => one.wrote('intg', 2, since), 60_000);
        one.world.heal();
        await delay(5_000);
        one.expectOneWriter();
        expect(planOf(lastRun(one.world)).to).to.equal('intg');
      });
    }
  });
});
