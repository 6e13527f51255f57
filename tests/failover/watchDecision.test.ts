/** What a watcher says, and what it may do by itself; plans are the engine's own. */
import { expect } from 'chai';
import type { Observation } from '../../failover/model';
import { plan } from '../../failover/planner';
import type { Alarm, Scope } from '../../failover/watch';
import { headline, mayStart, suggestion } from '../../failover/watchDecision';
import { change, healthy, lose, now, rules, silent, value, withReplica } from './observations';

const alarm = (scope: Scope, sight: Alarm['sight'] = 'lost'): Alarm => ({ sight, site: 'prod', scope, since: now });
const decide = (observation: Observation, scope: Scope, maxLoss = 0) =>
  mayStart(alarm(scope), observation, (wish) => plan(observation, wish, now, rules), maxLoss);
const lease = (ageSeconds: number, mode: 'on' | 'off' = 'on') =>
  value({ mode, holder: 'prod' as const, epoch: 1, released: false, ageSeconds, version: 'v' });

describe('what an alarm says', () => {
  it('names the command, with the branch that fits', () => {
    expect(suggestion(alarm('cluster'), false)).to.equal('standby failover --to intg --database prod');
    expect(suggestion(alarm('site'), true)).to.match(/^standby failover --to intg --database replica --prod-is-lost/);
    expect(suggestion(alarm('site'), false)).to.match(/--database restored --prod-is-lost/);
    expect(suggestion(alarm('unknown'), true)).to.equal('standby failover --to intg');
    expect(suggestion({ ...alarm('site'), site: 'intg' }, false)).to.equal('standby failover --to prod');
  });

  it('offers no failover for what a failover does not mend', () => {
    for (const sight of ['public-way', 'both-silent'] as const) {
      expect(suggestion(alarm('site', sight), true)).to.equal('standby status');
      expect(headline(alarm('site', sight))).to.not.match(/PROD (is down|does not serve)/);
    }
  });
});

describe('a failover that a watcher starts by itself', () => {
  const clusterLost = lose(healthy(), 'prod', 'cluster');
  const siteLost = (values = withReplica) => lose(healthy(values), 'prod');

  it('begins where the database can be fenced, and nothing is lost', () => {
    const decision = decide(clusterLost, 'cluster');
    expect(decision.start && decision.plan).to.deep.include({ branch: '1a', lossSeconds: 0 });
    expect(decision.start && decision.plan.wish).to.deep.equal({ kind: 'failover', to: 'intg' });
  });

  it('does not begin for a silent site whose lease may still be held, off or unknown', () => {
    const cases: [Observation, RegExp][] = [
      [change(siteLost(), { lease: lease(4) }), /still holds the lease/],
      [change(siteLost(), { lease: lease(60, 'off') }), /writerLease is off/],
      [change(siteLost(), { lease: silent() }), /lease/],
    ];
    for (const [observation, why] of cases) {
      const decision = decide(observation, 'site', 3600);
      expect(decision.start ? 'starts' : decision.why).to.match(why);
    }
  });

  it('begins for a silent site whose lease has run out, within the loss that is allowed, and not beyond', () => {
    const observation = change(siteLost(), { lease: lease(12) });
    expect(decide(observation, 'site', 0)).to.deep.equal({
      start: false,
      why: 'the plan may lose 0.2 s of writes; allowed is 0 s',
    });
    const decision = decide(observation, 'site', 1);
    expect(decision.start && decision.plan).to.deep.include({ branch: '1c', lossSeconds: 0.2 });
    expect(decision.start && decision.plan.wish.lost).to.match(/lease of prod in epoch 1 was last renewed 12 s ago/);
  });

  it('never begins where what is lost is unknown', () => {
    const observation = change(lose(healthy(), 'prod'), { lease: lease(60) });
    const decision = decide({ ...observation, backups: {} }, 'site', 86_400);
    expect(decision.start).to.equal(false);
  });

  it('never begins for another alarm, or when the business runs elsewhere already', () => {
    for (const sight of ['public-way', 'both-silent'] as const)
      expect(mayStart(alarm('site', sight), clusterLost, () => expect.fail('no plan is made'), 0).start).to.equal(
        false,
      );
    const away = { ...alarm('cluster'), site: 'intg' as const };
    expect(mayStart(away, clusterLost, () => expect.fail('no plan is made'), 0)).to.deep.equal({
      start: false,
      why: 'the business runs on prod',
    });
  });
});
