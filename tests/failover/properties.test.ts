import { expect } from 'chai';
import fc from 'fast-check';
import type { Recovery, Switch } from '../../config/failover';
import { otherSite, sites, type Site } from '../../config/fields';
import { productionServers } from '../../config/servers';
import { StandbyError } from '../../failover/errors';
import { fingerprint } from '../../failover/fingerprint';
import {
  known,
  type Observation,
  type Plan,
  type Reading,
  type ServerReading,
  type StepId,
  type VaultReading,
  type Wish,
} from '../../failover/model';
import { plan } from '../../failover/planner';
import { accepts } from '../../failover/situation';
import {
  atHome,
  bound,
  healthy,
  keptBackups,
  now,
  promoted,
  restored,
  returning,
  rules,
  withReplica,
} from './observations';

const maybe = <T>(reading: Reading<T>): fc.Arbitrary<Reading<T>> =>
  fc.oneof(
    { weight: 40, arbitrary: fc.constant(reading) },
    { weight: 1, arbitrary: fc.constant({ at: now, unknown: 'it does not answer' }) },
    { weight: 1, arbitrary: fc.constant({ ...reading, at: now - 60_000 }) },
  );

const warm = (values: Switch): Switch => ({ ...values, prepared: true });
const importOf = ({ method }: Pick<Recovery, 'method'>) =>
  method === 'import' ? { backups: { 'database/moodtalk': '20260101T010000Z' } } : {};
const wild: fc.Arbitrary<Switch> = fc
  .record({
    activeSite: fc.constantFrom(...sites),
    database: fc.constantFrom('prod' as const, 'restored' as const),
    epoch: fc.integer({ min: 1, max: 4 }),
    unreachable: fc.constantFrom('none' as const, 'prod-cluster' as const, 'prod' as const, 'intg' as const),
    prepared: fc.boolean(),
    recoveries: fc.array(
      fc.record(
        {
          site: fc.constantFrom(...sites),
          method: fc.constantFrom('geoRestore' as const, 'replica' as const, 'import' as const),
          from: fc.constantFrom('psql-moodtalk-prod', 'psql-moodtalk-intg-e1', 'psql-moodtalk-intg-e2'),
          promoted: fc.boolean(),
        },
        { requiredKeys: ['site', 'method', 'from'] },
      ),
      { maxLength: 3 },
    ),
  })
  .map(({ recoveries, ...rest }): Switch => ({
    ...{ ...atHome, ...rest, identity: rest.database },
    recoveries: recoveries.map((one, index): Recovery => ({ epoch: index + 1, ...one, ...importOf(one) })),
  }))
  .filter((values) => rules.validateSwitch(values).length === 0);

const switches = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(atHome, withReplica, warm(withReplica), bound, restored, promoted, returning),
  },
  { weight: 1, arbitrary: wild },
);

const server = (reading: Reading<ServerReading>): fc.Arbitrary<Reading<ServerReading>> => {
  const value = known(reading);
  if (!value) return fc.constant(reading);
  const twisted = fc.record({
    role: fc.constantFrom('primary' as const, 'replica' as const),
    writable: fc.boolean(),
    token: fc.record({ epoch: fc.integer({ min: 1, max: 3 }), open: fc.boolean() }),
    position: fc.constant('0/1'),
    streaming: fc.boolean(),
    lagSeconds: fc.constantFrom(0, 0.5, 90, 7_000),
    mayLackSeconds: fc.constantFrom(0.1, 90, 7_000),
    sessions: fc.constant(0),
  });
  return fc.oneof(
    { weight: 9, arbitrary: maybe(reading) },
    { weight: 1, arbitrary: twisted.map((what) => ({ at: now, value: what })) },
  );
};

const each = <T>(all: Readonly<Record<string, T>>, of: (one: T) => fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.record(Object.fromEntries(Object.entries(all).map(([name, one]) => [name, of(one)])));

/** As old as anything, now and then with nothing in it that was proved. */
const vaults: fc.Arbitrary<Reading<VaultReading>> = fc
  .record({ age: fc.constantFrom(60_000, 6_000_000), sealed: fc.boolean(), unproved: fc.boolean() })
  .map(({ age, sealed, unproved }): Reading<VaultReading> => {
    const { dataSets } = keptBackups(now - age);
    const identity = unproved ? { skipped: { BackupCorrupt: 1 } } : dataSets['identity']!;
    return { at: now, value: { dataSets: { ...dataSets, identity }, ...(sealed ? { sealed: 'no key' } : {}) } };
  })
  .chain(maybe);

const observations: fc.Arbitrary<Observation> = switches.chain((values) => {
  const base = healthy(values);
  return fc.record({
    ...{ at: fc.constant(now), configuration: fc.constant(base.configuration), ingress: fc.constant(base.ingress) },
    stacks: each(base.stacks, maybe) as fc.Arbitrary<Observation['stacks']>,
    sites: each(base.sites, (site) =>
      fc.record({
        cluster: maybe(site.cluster),
        identity: maybe(site.identity),
        agent: maybe(site.agent),
        front: maybe(site.front),
      }),
    ) as fc.Arbitrary<Observation['sites']>,
    servers: each(base.servers, server),
    backups: each(base.backups, maybe),
    vault: vaults,
    names: fc.constant(base.names),
    records: maybe(base.records),
    lease: fc.oneof(
      { weight: 12, arbitrary: maybe(base.lease) },
      { weight: 1, arbitrary: fc.constant({ at: now, value: { mode: 'off' as const } }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(...sites).map((holder) => ({
          at: now,
          value: { mode: 'on' as const, holder, epoch: 2, ageSeconds: 3 },
        })),
      },
    ),
    apis: each(base.apis, maybe) as fc.Arbitrary<Observation['apis']>,
  });
});

const wishes = fc
  .record({
    kind: fc.constantFrom('failover' as const, 'failover' as const, 'switchover' as const, 'failback' as const),
    database: fc.constantFrom(
      undefined,
      undefined,
      undefined,
      'prod' as const,
      'restored' as const,
      'imported' as const,
      'replica' as const,
    ),
    lost: fc.constantFrom(undefined, 'it burns'),
    acceptLoss: fc.constantFrom(true, true, false),
    // Now and then to where the business runs.
    stays: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  })
  .map(({ database, lost, stays, ...rest }) => (from: Site): Wish => ({
    ...{ ...rest, to: stays ? from : otherSite(from) },
    ...(database ? { database } : {}),
    ...(lost ? { lost } : {}),
  }));

/** What must have ended before a step begins. */
function before(made: Plan, id: StepId): ReadonlySet<StepId> {
  const found = new Set<StepId>();
  const visit = (step: StepId): void => {
    for (const earlier of made.steps.find((one) => one.id === step)?.after ?? []) {
      if (found.has(earlier)) continue;
      found.add(earlier);
      visit(earlier);
    }
  };
  visit(id);
  return found;
}

const has = (made: Plan, id: StepId) => made.steps.some((step) => step.id === id);

/** Every property of a plan, whatever was seen. */
function check(seen: Observation, wish: Wish, made: Plan): void {
  const ids = made.steps.map(({ id }) => id);
  expect(new Set(ids).size, 'no step twice').to.equal(ids.length);
  made.steps.forEach(({ id, after }, index) => {
    for (const earlier of after) expect(ids.indexOf(earlier), `${id} after ${earlier}`).to.be.within(0, index - 1);
  });
  const leased = known(seen.lease)?.mode === 'on';
  const open = (['promote', 'open-database'] as const).filter((id) => has(made, id));
  for (const id of open) {
    const earlier = before(made, id);
    if (leased) expect([...earlier], id).to.include('take-lease');
    expect(earlier.has('prove-fence') || wish.lost !== undefined, `${id} behind a fence, or a person's word`).to.equal(
      true,
    );
    expect([...earlier], id).to.include('record-recovery-point');
  }
  expect(has(made, 'open-database')).to.equal(true);
  const imported = made.after.recoveries.slice(made.before.recoveries.length).find(({ method }) => method === 'import');
  expect(has(made, 'import-backup'), 'an import for a server that is made for one').to.equal(imported !== undefined);
  if (imported) {
    expect([...before(made, 'import-backup')]).to.include('restore');
    expect([...before(made, 'open-database')]).to.include('import-backup');
    expect(imported.backups).to.have.all.keys('database/moodtalk', 'identity');
    expect(wish.database).to.be.oneOf([undefined, 'restored', 'imported']);
  } else expect(wish.database).not.to.equal('imported');
  if (has(made, 'prove-fence')) expect([...before(made, 'prove-fence')]).to.include('fence-database');
  if (leased && has(made, 'prove-fence')) expect([...before(made, 'take-lease')]).to.include('prove-fence');
  for (const id of ['reroute', 'reroute-internal'] as const) {
    expect([...before(made, id)], id).to.include.members(['verify-inside', 'open-database']);
  }
  expect([...before(made, 'reroute')]).to.include.members(['lookup-names', 'reroute-internal']);
  expect([...before(made, 'converge')]).to.include.members(['verify-outside', 'reroute']);
  expect([...before(made, 'announce')]).to.have.length(ids.length - 1);
  expect(made.steps.filter(({ pointOfNoReturn }) => pointOfNoReturn)).to.have.length(1);
  expect(rules.validateSwitch(made.after)).to.deep.equal([]);
  expect(made.after).to.include({ activeSite: wish.to, epoch: made.before.epoch + 1 });
  const kept = new Set(productionServers(made.after).map(({ name }) => name));
  for (const { name } of productionServers(made.before)) expect(kept.has(name), `${name} is kept`).to.equal(true);
  if (wish.kind !== 'failover') expect(made.lossSeconds).to.equal(0);
  if (made.lossSeconds !== 0) expect(wish.acceptLoss).to.equal(true);
  const promoted = made.steps.find(({ id }) => id === 'promote');
  if (promoted?.args['how'] === 'forced') expect(made.lossSeconds, 'of a source that nobody could ask').not.to.equal(0);
  expect(made.fingerprint).to.equal(fingerprint(seen));
}

const isFresh = <T>(reading: Reading<T>): boolean => now - reading.at <= 30_000;

describe('every plan, whatever is seen and wished', function () {
  this.timeout(60_000);

  it('fences before it opens, verifies before it reroutes, and loses only what was accepted', () => {
    const made = new Map<string, number>();
    const refused = new Map<string, number>();
    fc.assert(
      fc.property(observations, wishes, (seen, wishFrom) => {
        const wish = wishFrom(seen.configuration.values.activeSite);
        try {
          const one = plan(seen, wish, now, rules);
          check(seen, wish, one);
          const primaries = Object.values(seen.servers).filter(
            (reading) => isFresh(reading) && accepts(known(reading)),
          );
          expect(primaries.length, 'primaries').to.be.lessThan(2);
          const key = `${one.kind} ${one.branch}${has(one, 'import-backup') ? ' import' : ''}`;
          made.set(key, (made.get(key) ?? 0) + 1);
        } catch (cause) {
          if (!(cause instanceof StandbyError)) throw cause;
          expect(cause.exit, cause.message).to.be.oneOf(['refused', 'person']);
          refused.set(cause.code, (refused.get(cause.code) ?? 0) + 1);
        }
      }),
      { numRuns: 3_000 },
    );
    const plans = [...made.values()].reduce((sum, count) => sum + count, 0);
    expect(plans, 'plans').to.be.greaterThan(300);
    expect([...made.keys()], JSON.stringify([...refused])).to.include.members([
      'failover 1a',
      'failover 1b',
      'failover 1b import',
      'failover 1c',
      'switchover 1a',
      'switchover 1c',
      'failback 1a',
      'failback 1c',
    ]);
    expect([...refused.keys()]).to.include.members(['TwoPrimaries', 'Unknown', 'LossNotAccepted']);
    expect([...refused.keys()]).not.to.include('PlanInvalid');
  });

  it('is bound to what decides, and to nothing that always moves', () => {
    const moved = fc.record({ lag: fc.double({ min: 0, max: 9, noNaN: true }), position: fc.string() });
    fc.assert(
      fc.property(observations, moved, (seen, { lag, position }) => {
        const servers = Object.fromEntries(
          Object.entries(seen.servers).map(([name, reading]) => [
            name,
            'value' in reading
              ? { at: reading.at + 5_000, value: { ...reading.value, lagSeconds: lag, position, sessions: 99 } }
              : reading,
          ]),
        );
        const later = { ...seen, at: seen.at + 5_000, servers };
        expect(fingerprint(later)).to.equal(fingerprint(seen));
        for (const [name, reading] of Object.entries(seen.servers)) {
          if (!('value' in reading)) continue;
          const value = { ...reading.value, writable: !reading.value.writable };
          const other = { ...seen, servers: { ...seen.servers, [name]: { at: reading.at, value } } };
          expect(fingerprint(other), name).not.to.equal(fingerprint(seen));
        }
      }),
      { numRuns: 300 },
    );
  });
});
