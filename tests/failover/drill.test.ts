import { expect } from 'chai';
import fc from 'fast-check';
import { drillHosts, drillServer } from '../../config/drill';
import { loadDrill, type RawConfig } from '../../config/loader';
import { productionServers } from '../../config/servers';
import {
  compareProduction,
  drillNumber,
  drillSource,
  isOver,
  lossOf,
  parseLife,
  parseMoment,
  verdictOf,
  type DrillPlan,
  type Evidence,
  type ProductionReading,
} from '../../failover/drill';
import { evidenceMarkdown } from '../../failover/drillReport';
import type { Switch } from '../../config/failover';

const steady: Switch = {
  ...{ company: 'moodtalk', activeSite: 'prod', database: 'prod', identity: 'prod', epoch: 1 },
  ...{ stage: 'complete', prepared: false, unreachable: 'none', recoveries: [] },
};
const hosts = {
  ...{ admin: 'admin.moodtalk.ch', api: 'api.moodtalk.ch', id: 'id.moodtalk.ch' },
  ...{ idp: 'idp.moodtalk.ch', static: 'static.moodtalk.ch', survey: 'survey.moodtalk.ch' },
};

describe('what a drill copies', () => {
  const source = (config: Switch, moment = false) => drillSource(productionServers(config), moment);
  const restored = {
    ...steady,
    activeSite: 'intg',
    database: 'restored',
    identity: 'restored',
    epoch: 2,
    recoveries: [{ epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' }],
  } as const satisfies Switch;

  it("is PROD's server, from the backup that reached INTG, or by a clone of a moment", () => {
    expect(source(steady)).to.deep.equal({ server: 'psql-moodtalk-prod', site: 'prod', method: 'geoRestore' });
    expect(source(steady, true)).to.include({ server: 'psql-moodtalk-prod', method: 'clone' });
  });

  it('is a clone where the data is at INTG, and where a replica has no backup that reaches it', () => {
    expect(source(restored)).to.deep.equal({ server: 'psql-moodtalk-intg-e2', site: 'intg', method: 'clone' });
    const home: Switch = {
      ...restored,
      ...{ activeSite: 'prod', database: 'prod', identity: 'prod', epoch: 3 },
      recoveries: [
        ...restored.recoveries,
        { epoch: 2, site: 'prod', method: 'replica', from: 'psql-moodtalk-intg-e2', promoted: true },
      ],
    };
    expect(source(home)).to.deep.equal({ server: 'psql-moodtalk-prod-e2', site: 'prod', method: 'clone' });
  });
});

describe('the words of a drill', () => {
  it('are a life of ten minutes to a day', () => {
    expect([parseLife('4h', 24), parseLife('90m', 24)]).to.deep.equal([4 * 3_600_000, 90 * 60_000]);
    for (const wrong of ['', '9m', '25h', '4', '4d', '-1h', '1h30m'])
      expect(() => parseLife(wrong, 24), wrong).to.throw(/--ttl is .*; allowed is 10m to 24h/);
  });

  it('are a moment that is past, in UTC', () => {
    const now = Date.parse('2026-02-01T00:00:00Z');
    expect(parseMoment('2026-01-31T22:00:00Z', now)).to.equal(Date.parse('2026-01-31T22:00:00Z'));
    for (const wrong of ['2026-02-02T00:00:00Z', '2026-01-31', 'yesterday', '2026-01-31T22:00:00+01:00'])
      expect(() => parseMoment(wrong, now), wrong).to.throw(/--at is .*allowed is a time in UTC/);
  });

  it('number drills in the order of their beginning', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1_700_000_000, max: 4_000_000_000 }),
        fc.integer({ min: 1, max: 1e6 }),
        (at, later) => {
          expect(drillNumber((at + later) * 1000)).to.be.greaterThan(drillNumber(at * 1000));
          expect(drillServer('moodtalk', drillNumber(at * 1000))).to.match(/^psql-moodtalk-intg-drill-\d{14}$/);
        },
      ),
    ));
});

describe('the configuration of a drill', () => {
  const raw = {
    'standby:company': 'moodtalk',
    'standby:zone': 'moodtalk.ch',
    'standby:hosts': JSON.stringify(drillHosts(hosts)),
    'standby:release': `1.4.1@sha256:${'0'.repeat(64)}`,
    'standby:image': 'ghcr.io/moodtalk/platform',
    'standby:number': '20260131220000',
    'standby:startedAt': '2026-01-31T22:00:00.000Z',
    'standby:expiresAt': '2026-02-01T02:00:00.000Z',
    'standby:from': 'psql-moodtalk-prod',
    'standby:fromSite': 'prod',
    'standby:method': 'geoRestore',
    'standby:pointInTime': '2026-01-31T22:00:00.000Z',
    'standby:stage': 'restored',
  } satisfies RawConfig;

  it('is accepted as the command writes it', () => expect(loadDrill(raw).number).to.equal(20260131220000));

  it("refuses production's hosts, and a life of more than a day", () => {
    expect(() => loadDrill({ ...raw, 'standby:hosts': JSON.stringify(hosts) })).to.throw(
      /hosts\.admin.*begins with drill-/,
    );
    expect(() => loadDrill({ ...raw, 'standby:expiresAt': '2026-02-02T00:00:00.000Z' })).to.throw(
      /expiresAt.*24 hours/,
    );
    expect(() => loadDrill({ ...raw, 'standby:expiresAt': '2026-01-31T21:00:00.000Z' })).to.throw(/expiresAt/);
  });
});

describe('a drill that is found', () => {
  const day = 24 * 3_600_000;
  it('is over at its end; one that can not tell it, when it is older than any may be', () => {
    expect(isOver({ startedAt: 0, expiresAt: 1000 }, 999, day)).to.equal(false);
    expect(isOver({ startedAt: 0, expiresAt: 1000 }, 1000, day)).to.equal(true);
    expect(isOver({ startedAt: 0 }, day - 1, day)).to.equal(false);
    expect(isOver({ startedAt: 0 }, day, day)).to.equal(true);
    expect(isOver({}, 5, day)).to.equal(true);
  });
});

const at = 0;
const production: ProductionReading = {
  stacks: { prod: { at, value: 1 }, intg: { at, value: 2 }, failover: { at, value: 3 } },
  names: { '1.1.1.1': { at, value: { 'admin.moodtalk.ch': ['192.0.2.1'] } } },
  servers: { 'psql-moodtalk-prod': { at, value: 'primary, epoch 1 open' } },
  firewalls: { 'psql-moodtalk-prod': { at, value: ['192.0.2.7-192.0.2.7'] } },
};

describe('what a drill may not change', () => {
  const outcomes = (before: ProductionReading, after: ProductionReading) =>
    compareProduction(before, after).map(({ outcome }) => outcome);

  it('is the same before and after', () =>
    expect(outcomes(production, production)).to.deep.equal(['passed', 'passed', 'passed', 'passed']));

  it('is told when it is another: a stack, a name, a server, a firewall', () => {
    const changed: Partial<ProductionReading>[] = [
      { stacks: { ...production.stacks, failover: { at, value: 4 } } },
      { names: { '1.1.1.1': { at, value: { 'admin.moodtalk.ch': ['192.0.2.2'] } } } },
      { servers: { 'psql-moodtalk-prod': { at, value: 'primary, epoch 2 open' } } },
      { firewalls: { 'psql-moodtalk-prod': { at, value: [] } } },
    ];
    changed.forEach((change, index) => {
      const expected = ['passed', 'passed', 'passed', 'passed'].map((word, one) => (one === index ? 'failed' : word));
      expect(outcomes(production, { ...production, ...change })).to.deep.equal(expected);
    });
  });

  it('is unknown when it could not be read, before or after', () => {
    const silent = { ...production, servers: { 'psql-moodtalk-prod': { at, unknown: 'no answer' } } };
    for (const [before, after] of [
      [silent, production],
      [production, silent],
    ] as const) {
      const [, , servers] = compareProduction(before, after);
      expect(servers).to.deep.include({ outcome: 'unknown', detail: 'psql-moodtalk-prod: no answer' });
    }
  });
});

describe('what a drill measures', () => {
  it('is the time between the newest row of production and that of the copy', () => {
    const copy = { tables: { sentinel: 7 }, newest: { at: 5_000, seq: 7 } };
    const loss = lossOf(copy, { at, value: { at: 8_500, seq: 42 } }, 35);
    expect(loss).to.deep.equal({ recoveryPoint: 5_000, dataLossSeconds: 3.5, rowsLost: 35 });
    expect(lossOf(copy, { at, value: copy.newest }, 0)).to.include({ dataLossSeconds: 0, rowsLost: 0 });
  });

  it('is unknown, never 0, where one of them could not be read', () => {
    const copy = { tables: {}, newest: { at: 5_000, seq: 7 } };
    expect(lossOf(copy, { at, unknown: 'no answer' }, undefined)).to.deep.equal({
      recoveryPoint: 5_000,
      dataLossSeconds: 'unknown',
      rowsLost: 'unknown',
    });
    expect(lossOf({ tables: {} }, { at, value: copy.newest }, undefined).dataLossSeconds).to.equal('unknown');
    expect(lossOf(undefined, { at, value: copy.newest }, undefined).recoveryPoint).to.equal('unknown');
  });
});

describe('the verdict', () => {
  const outcome = fc.constantFrom('passed', 'failed', 'unknown');
  it('is passed only when every check passed, and failed as soon as one failed', () =>
    fc.assert(
      fc.property(fc.array(outcome), (outcomes) => {
        const verdict = verdictOf(outcomes.map((one) => ({ name: one, outcome: one, detail: '' })));
        if (outcomes.includes('failed')) expect(verdict).to.equal('failed');
        else if (outcomes.includes('unknown') || outcomes.length === 0) expect(verdict).to.equal('incomplete');
        else expect(verdict).to.equal('passed');
      }),
    ));

  it('is a page that people can read', () => {
    const plan: DrillPlan = {
      ...{ number: 1, who: 'me@here', startedAt: 0, expiresAt: 3_600_000, pointInTime: 0, keep: false },
      source: { server: 'psql-moodtalk-prod', site: 'prod', method: 'geoRestore' },
      ...{ server: 'psql', namespace: 'moodtalk-drill', group: 'rg-moodtalk-drill', hosts, release: '1.4.1' },
    };
    const evidence: Evidence = {
      ...{ format: 1, plan, endedAt: 1000, verdict: 'failed', fault: 'a | b', removed: true, production: {} },
      checks: [{ name: 'rows', outcome: 'unknown', detail: 'no answer' }],
      figures: {
        recoveryTimeSeconds: 76.44,
        recoveryPoint: 'unknown',
        dataLossSeconds: 'unknown',
        rowsLost: 'unknown',
      },
      tables: { flights: 3 },
      steps: [{ what: 'copy', seconds: 12.34 }],
    };
    const text = evidenceMarkdown(evidence);
    for (const part of [
      '# Drill 1: failed',
      '| recovery time | 76.4 s |',
      '| rows lost | unknown |',
      '| flights | 3 |',
    ])
      expect(text).to.include(part);
  });
});
