/** Azure, Cloudflare, Kubernetes and the store answer late, with errors, or not at all while roles change. */
import { expect } from 'chai';
import type { ChaosRule, ChaosService } from '../../../sandbox/chaos/rules';
import { exits, leaveWorld, Scenario, until } from '../harness/kit';

type Fault = Omit<ChaosRule, 'id' | 'match'>;

const faults: Readonly<Record<string, Fault>> = {
  'throttles twice': { status: 429, retryAfter: 1, times: 2 },
  'fails twice': { status: 500, times: 2 },
  'does it and loses the answer, twice': { lost: true, times: 2 },
  'cuts connections, twice': { refuse: true, times: 2 },
  'takes 5 s for everything': { latencyMs: 5_000 },
};

/** What a switchover asks of each, by what its requests look like. */
const requests: readonly (readonly [ChaosService, string])[] = [
  ['azure', '^(GET|PUT|PATCH|POST) /+subscriptions/'],
  ['cloudflare', '^(POST|PUT|PATCH) '],
  ['cloudflare', '^GET '],
  ['kube-prod', '^(PATCH|PUT|POST) /apis/'],
  ['kube-intg', '^(PATCH|PUT|POST) /apis/'],
  ['kube-intg', '^GET /apis/'],
  ['blob', '^(PUT|HEAD) /stmoodtalkstandby/'],
];

const switchover = ['switchover', '--from', 'prod', '--to', 'intg'];
const slow = 'takes 5 s for everything';

describe('vendors in trouble', function () {
  this.timeout('30m');
  let scenario: Scenario | undefined;
  afterEach(() => scenario?.end());
  after(leaveWorld);

  for (const [service, match] of requests) {
    for (const [what, fault] of Object.entries(faults)) {
      if (service === 'blob' && what === slow) continue;
      it(`${service} ${what} (${match}): the switchover gets there`, async () => {
        scenario = await Scenario.begin('replica', 243);
        scenario.expectMove();
        scenario.world.modules.rules.order(service, { id: `${match} ${what}`, match, ...fault });
        const { code, stderr } = await scenario.insist(switchover, {}, 3);
        scenario.world.heal();
        expect(code, stderr).to.equal(exits.done);
        scenario.moved();
        await scenario.expectEnd();
      });
    }
  }

  it(`blob ${slow}: the lease can’t be renewed in time, so no change of role begins, and PROD goes on`, async () => {
    scenario = await Scenario.begin('replica', 243);
    const { rules } = scenario.world.modules;
    rules.order('blob', { id: slow, match: '/stmoodtalkstandby/', ...faults[slow] });
    const since = Date.now() + 15_000; // longer than a lease lasts
    const blind = /agents of intg do not see the lease/;
    const planned = async () => blind.test((await scenario!.standby(['plan', ...switchover])).stderr);
    await until('agents that know that they see nothing', planned, 120_000);
    const refused = await scenario.standby(switchover);
    expect(refused.code, refused.stderr).to.equal(exits.refused);
    expect(refused.stderr).to.match(blind);
    await until('writes that go on', () => scenario!.wrote('prod', 1, since), 60_000);
    scenario.world.heal();
    scenario.expectMove();
    const { code, stderr } = await scenario.insist(switchover, {}, 3);
    expect(code, stderr).to.equal(exits.done);
    scenario.moved();
    await scenario.expectEnd();
  });
});
