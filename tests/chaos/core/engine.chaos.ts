/** The core of the chaos suite: what is most likely to go wrong, in one world, in a few minutes. `npm run test:chaos` is the whole. */
import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { at, type Killing } from '../harness/command';
import { exits, leaveWorld, Scenario } from '../harness/kit';
import { mutate } from '../harness/mutant';

const switchover = ['switchover', '--from', 'prod', '--to', 'intg'];
const takeOver = ['failover', '--to', 'intg', '--prod-is-lost', 'the region does not answer', '--accept-loss'];

describe('the engine under chaos', function () {
  this.timeout('15m');
  let scenario: Scenario | undefined;
  afterEach(() => scenario?.end());
  after(leaveWorld);

  const begin = async () => {
    scenario = await Scenario.begin('replica', 227);
    scenario.expectMove();
    return scenario;
  };

  /** What the suite asks of every switchover; the mutant must not get through. */
  async function switchOver(one: Scenario, program?: string): Promise<void> {
    const { code, stderr } = await one.insist(switchover, program ? { program } : {}, 1);
    expect(code, stderr).to.equal(exits.done);
    one.moved();
    await one.expectEnd();
  }

  it('a switchover is killed three times and ends as if it had not been; a second run writes nothing; two operators go home at once', async () => {
    const one = await begin();
    const points = [at('intent', 'fence-database'), at('intent', 'promote'), at('result', 'reroute')];
    for (const [n, killAt] of points.entries()) {
      const killing: Killing = n % 2 === 0 ? 'machine' : 'process';
      const { code, stderr } = await one.standby(n === 0 ? switchover : ['resume'], { killAt, killing });
      expect(code, `ended before it was killed: ${stderr}`).to.equal(undefined);
    }
    expect((await one.insist(['resume'], {}, 3)).code).to.equal(exits.done);
    one.moved();
    const there = await one.expectEnd();
    expect(await one.writesOf(() => one.standby(['resume']))).to.deep.equal([]);

    one.expectMove();
    const outcomes = await Promise.all([one.standby(['failback']), one.standby(['failback'])]);
    const [winner, loser] = outcomes.sort((a, b) => (a.code ?? 99) - (b.code ?? 99));
    expect(winner?.code, winner?.stderr).to.equal(exits.done);
    expect(loser?.code, loser?.stderr).to.equal(exits.refused);
    one.moved();
    const home = await one.expectEnd();
    expect(Object.keys(home.servers)).to.include.members(Object.keys(there.servers));
  });

  it('PROD, isolated from all but its users, fences itself before INTG takes over, and stays so when it is back', async () => {
    const one = await begin();
    one.world.modules.silence.setSilence('prod', 'isolated');
    const { code, stderr } = await one.insist(takeOver, {}, 5);
    expect(code, stderr).to.equal(exits.done);
    one.moved();
    one.world.heal();
    await delay(3_000); // whatever PROD would do now that it is back
    one.expectOneWriter();
    expect(one.wrote('intg', 2)).to.equal(true);
  });

  it('without its fences the same switchover is found out', async () => {
    const one = await begin();
    const { program } = await mutate(one.world);
    const outcome = await switchOver(one, program).then(
      () => 'nobody noticed',
      () => 'found out',
    );
    expect(outcome).to.equal('found out');
    expect(one.writers.violations()).to.not.deep.equal([]);
  });
});
