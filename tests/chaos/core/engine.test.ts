/** The core of the chaos suite: what is most likely to go wrong, in one world, in a few minutes. `npm run test:chaos` has the rest. */
import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunEvent } from '../../../failover/model';
import { at, type Ended, type Killing } from '../harness/command';
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

  it('a switchover is killed three times and ends as if it had not been, beside a second operator; a second run writes nothing', async () => {
    const one = await begin();
    const points = [at('intent', 'fence-database'), at('intent', 'promote'), at('result', 'reroute')];
    for (const [n, killAt] of points.entries()) {
      const killing: Killing = n % 2 === 0 ? 'machine' : 'process';
      const { code, stderr } = await one.standby(n === 0 ? switchover : ['resume'], { killAt, killing });
      expect(code, `ended before it was killed: ${stderr}`).to.equal(undefined);
    }
    let second: Promise<Ended> | undefined;
    const on = ({ code }: RunEvent) => {
      if (code === 'RunStarted') second ??= one.standby(switchover);
    };
    const { code, stderr } = await one.insist(['resume'], { on }, 3);
    expect(code, stderr).to.equal(exits.done);
    expect((await second)?.code).to.equal(exits.refused);
    one.moved();
    await one.expectEnd();
    expect(await one.writesOf(() => one.standby(['resume']))).to.deep.equal([]);
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
