import { expect } from 'chai';
import fc from 'fast-check';
import { failoverSchema, type Recovery, type Switch } from '../../config/failover';
import { preparation, productionServers } from '../../config/servers';
import { cautions, validateSwitch } from '../../config/switch';
import { planOf } from '../stacks/engine';

const home: Switch = failoverSchema.parse(planOf('failover'));
const restore: Recovery = { epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' };
const replica: Recovery = { epoch: 3, site: 'prod', method: 'replica', from: 'psql-moodtalk-intg-e2' };
const change = (what: Partial<Switch>): Switch => ({ ...home, ...what });
const imported: Recovery = {
  ...{ ...restore, method: 'import' },
  backups: { 'database/moodtalk': '20260201T020000Z-aaaaaa', identity: '20260201T010000Z' },
};
const behind: Recovery = {
  ...{ epoch: 2, site: 'prod', method: 'pointInTimeRestore', from: 'psql-moodtalk-prod' },
  pointInTime: '2026-01-31T22:00:00Z',
};
const restored = { activeSite: 'intg', database: 'restored', identity: 'restored' } as const;
const keys = (what: Partial<Switch>) => validateSwitch(change(what)).map(({ key }) => key);

describe('the switch', () => {
  const allowed: Readonly<Record<string, Partial<Switch>>> = {
    home: {},
    '1a': { activeSite: 'intg', unreachable: 'prod-cluster', epoch: 2 },
    '1a with all of PROD answering': { activeSite: 'intg', epoch: 2 },
    '1b': { ...restored, unreachable: 'prod', epoch: 2, recoveries: [restore] },
    '1b by import': { ...restored, unreachable: 'prod', epoch: 2, recoveries: [imported] },
    'an import from what was a replica': {
      ...{ ...restored, unreachable: 'prod', epoch: 5 },
      recoveries: [restore, { ...replica, promoted: true }, { ...imported, epoch: 5, from: 'psql-moodtalk-prod-e3' }],
    },
    'a return prepared after an import': { ...restored, epoch: 3, recoveries: [imported, replica] },
    'a restore prepared while PROD works': { epoch: 2, recoveries: [restore] },
    'the identity provider restored alone': {
      activeSite: 'intg',
      identity: 'restored',
      epoch: 2,
      recoveries: [restore],
    },
    'a return prepared in the same epoch': { ...restored, epoch: 2, recoveries: [restore, { ...replica, epoch: 2 }] },
    'a return prepared': { ...restored, epoch: 3, recoveries: [restore, replica] },
    'home on the replica': { epoch: 4, recoveries: [restore, { ...replica, promoted: true }] },
    '1a on the replica': {
      ...{ activeSite: 'intg', unreachable: 'prod-cluster', epoch: 5 },
      recoveries: [restore, { ...replica, promoted: true }],
    },
    'a return without the rows of INTG, by a person’s word': {
      ...{ epoch: 3, recoveries: [{ ...restore, abandoned: 'test data only, decided by J. P.' }] },
    },
    'PROD behind data that somebody destroyed': { epoch: 2, recoveries: [behind] },
    'INTG behind data that somebody destroyed': {
      ...{ ...restored, epoch: 3 },
      recoveries: [restore, { ...behind, epoch: 3, site: 'intg', from: 'psql-moodtalk-intg-e2' }],
    },
    'all of PROD lost after it went back': {
      ...{ ...restored, unreachable: 'prod', epoch: 3 },
      recoveries: [behind, { ...restore, epoch: 3, from: 'psql-moodtalk-prod-e2' }],
    },
    'INTG lost': { unreachable: 'intg' },
    'a restore that is made and not opened': {
      ...{ ...restored, unreachable: 'prod', epoch: 2, recoveries: [restore], stage: 'made' },
    },
    'a platform that is bound and not yet named': { activeSite: 'intg', epoch: 2, stage: 'bound', prepared: true },
    'a warm standby': { prepared: true },
    'a warm standby that is lost': { prepared: true, unreachable: 'intg' },
  };
  for (const [what, config] of Object.entries(allowed)) {
    it(`allows ${what}`, () => expect(validateSwitch(change(config))).to.deep.equal([]));
  }

  const refused: Readonly<Record<string, readonly [key: string, config: Partial<Switch>, why: RegExp]>> = {
    'PROD on what was restored into INTG': [
      'database',
      { database: 'restored', recoveries: [restore], epoch: 2 },
      /add a recovery at prod/,
    ],
    'PROD with INTG’s identity provider': [
      'identity',
      { identity: 'restored', recoveries: [restore], epoch: 2 },
      /add a recovery at prod/,
    ],
    'a restored database without a restore': [
      'database',
      { activeSite: 'intg', database: 'restored', epoch: 2 },
      /method: geoRestore/,
    ],
    'a restored identity provider without a restore': [
      'identity',
      { activeSite: 'intg', identity: 'restored', epoch: 2 },
      /method: geoRestore/,
    ],
    'the active site out of reach': ['activeSite', { unreachable: 'prod-cluster' }, /set activeSite to intg/],
    'a database out of reach': [
      'database',
      { activeSite: 'intg', identity: 'restored', unreachable: 'prod', epoch: 2, recoveries: [restore] },
      /set it to restored/,
    ],
    'an identity provider out of reach': [
      'identity',
      { activeSite: 'intg', database: 'restored', unreachable: 'prod', epoch: 2, recoveries: [restore] },
      /set it to restored/,
    ],
    'two servers of one name': [
      'recoveries[1].epoch',
      { ...restored, epoch: 2, recoveries: [restore, restore] },
      /raise epoch/,
    ],
    'epochs that do not ascend': [
      'recoveries[1].epoch',
      { ...restored, epoch: 3, recoveries: [restore, { ...replica, epoch: 1 }] },
      /oldest first/,
    ],
    'a recovery from the future': [
      'recoveries[0].epoch',
      { ...restored, epoch: 1, recoveries: [restore] },
      /raise epoch/,
    ],
    'a recovery from an unknown server': [
      'recoveries[0].from',
      { ...restored, epoch: 2, recoveries: [{ ...restore, from: 'psql-moodtalk-intg' }] },
      /older than this entry/,
    ],
    'a recovery in the region of its source': [
      'recoveries[0].from',
      { epoch: 2, recoveries: [{ ...restore, site: 'prod' }] },
      /does not outlive it/,
    ],
    'a geo-restore from what was a replica': [
      'recoveries[2].from',
      {
        epoch: 5,
        recoveries: [restore, { ...replica, promoted: true }, { ...restore, epoch: 5, from: 'psql-moodtalk-prod-e3' }],
      },
      /use method replica/,
    ],
    'a geo-restore from what was restored itself': [
      'recoveries[1].from',
      { epoch: 3, recoveries: [restore, { ...restore, epoch: 3, site: 'prod', from: 'psql-moodtalk-intg-e2' }] },
      /use method replica, or import/,
    ],
    'a recovery from a replica that still follows': [
      'recoveries[2].from',
      {
        ...restored,
        epoch: 4,
        recoveries: [restore, replica, { ...replica, epoch: 4, site: 'intg', from: 'psql-moodtalk-prod-e3' }],
      },
      /promoted: true/,
    ],
    'work on a replica that still follows': [
      'recoveries[1].promoted',
      { epoch: 4, recoveries: [restore, replica] },
      /set promoted to true/,
    ],
    'a promoted replica that nobody works on': [
      'recoveries[1].promoted',
      { ...restored, epoch: 4, recoveries: [restore, { ...replica, promoted: true }] },
      /or remove promoted/,
    ],
    'a promotion of what stands alone': [
      'recoveries[0].promoted',
      { ...restored, epoch: 2, recoveries: [{ ...restore, promoted: true }] },
      /stands alone/,
    ],
    'an import of nothing': [
      'recoveries[0].backups',
      { ...restored, epoch: 2, recoveries: [{ epoch: 2, site: 'intg', method: 'import', from: 'psql-moodtalk-prod' }] },
      /standby backup list/,
    ],
    'an import of the identity provider alone': [
      'recoveries[0].backups',
      { ...restored, epoch: 2, recoveries: [{ ...imported, backups: { identity: '20260201T010000Z' } }] },
      /add database\/NAME/,
    ],
    'backups for a geo-restore': [
      'recoveries[0].backups',
      { ...restored, epoch: 2, recoveries: [{ ...imported, method: 'geoRestore' }] },
      /set method to import/,
    ],
    'a point in time for an import': [
      'recoveries[0].pointInTime',
      { ...restored, epoch: 2, recoveries: [{ ...imported, pointInTime: '2026-01-31T22:00:00Z' }] },
      /time of its backups/,
    ],
    'a promotion of what was imported': [
      'recoveries[0].promoted',
      { ...restored, epoch: 2, recoveries: [{ ...imported, promoted: true }] },
      /stands alone/,
    ],
    'a return that leaves the rows of an import behind': [
      'database',
      { epoch: 3, recoveries: [imported] },
      /psql-moodtalk-intg-e2 would be left behind/,
    ],
    'a point in time for a replica': [
      'recoveries[1].pointInTime',
      { ...restored, epoch: 3, recoveries: [restore, { ...replica, pointInTime: '2026-01-31T22:00:00Z' }] },
      /follows its source/,
    ],
    'a way back to no moment': [
      'recoveries[0].pointInTime',
      { epoch: 2, recoveries: [{ epoch: 2, site: 'prod', method: 'pointInTimeRestore', from: 'psql-moodtalk-prod' }] },
      /names the last clean one/,
    ],
    'a point-in-time restore in another region': [
      'recoveries[0].from',
      { ...restored, epoch: 2, recoveries: [{ ...behind, site: 'intg' }] },
      /own region alone/,
    ],
    'a server made at a lost site': [
      'recoveries[1].site',
      { ...restored, unreachable: 'prod', epoch: 3, recoveries: [restore, replica] },
      /nothing can be made at prod/,
    ],
    'a replica of a server that is lost': [
      'recoveries[0].method',
      { ...restored, unreachable: 'prod', epoch: 2, recoveries: [{ ...restore, method: 'replica', promoted: true }] },
      /restore its last backup/,
    ],
    'a stage of no change of role': ['stage', { stage: 'bound' }, /raises epoch/],
    'a return that leaves INTG’s rows behind': [
      'database',
      { epoch: 3, recoveries: [restore] },
      /psql-moodtalk-intg-e2 would be left behind/,
    ],
  };
  for (const [what, [key, config, why]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      const issues = validateSwitch(change(config)).filter((issue) => issue.key === key);
      expect(issues, keys(config).join()).to.have.length.greaterThan(0);
      expect(issues.map(({ fix }) => fix).join('\n')).to.match(why);
    });
  }

  it('warns of a planned promotion whose source is lost', () => {
    const standby: Recovery = { epoch: 2, site: 'intg', method: 'replica', from: 'psql-moodtalk-prod', promoted: true };
    const lost = change({ ...restored, unreachable: 'prod', epoch: 3, recoveries: [standby] });
    expect(cautions(lost)).to.have.length(1);
    expect(cautions({ ...lost, recoveries: [{ ...standby, promotion: 'forced' }] })).to.deep.equal([]);
  });

  it('says that names stay behind, and when there is nothing to prepare', () => {
    expect(cautions(change({ activeSite: 'intg', epoch: 2, stage: 'bound' })).join()).to.match(/stage is bound.*intg/);
    expect(cautions(change({ prepared: true }))).to.deep.equal([]);
    expect(cautions(change({ prepared: true, unreachable: 'intg' })).join()).to.match(/nobody can reach intg/);
    const away = change({ ...restored, epoch: 2, recoveries: [restore], prepared: true });
    expect(cautions(away).join()).to.match(/prod has no streaming replica of psql-moodtalk-intg-e2/);
  });

  describe('what is prepared', () => {
    const follower: Recovery = { epoch: 1, site: 'intg', method: 'replica', from: 'psql-moodtalk-prod' };
    const prepared = (what: Partial<Switch>) => {
      const found = preparation(change({ prepared: true, ...what }));
      return found && [found.site, found.epoch, found.server.name];
    };
    const cases: Readonly<Record<string, readonly [Partial<Switch>, ReturnType<typeof prepared>]>> = {
      'INTG on PROD’s database': [{}, ['intg', 2, 'psql-moodtalk-prod']],
      'INTG on its replica': [{ recoveries: [follower] }, ['intg', 2, 'psql-moodtalk-intg-e1']],
      'PROD on its own database, while INTG works on that': [
        { activeSite: 'intg', epoch: 2 },
        ['prod', 3, 'psql-moodtalk-prod'],
      ],
      'PROD on its replica of what was restored': [
        { ...restored, epoch: 3, recoveries: [restore, replica] },
        ['prod', 4, 'psql-moodtalk-prod-e3'],
      ],
      'nothing on a server that only the other site has': [{ ...restored, epoch: 2, recoveries: [restore] }, undefined],
      'nothing at a lost site': [{ unreachable: 'intg-cluster' }, undefined],
      'nothing while a change of role goes on': [{ activeSite: 'intg', epoch: 2, stage: 'bound' }, undefined],
      'nothing that was not asked for': [{ prepared: false }, undefined],
    };
    for (const [what, [config, expected]] of Object.entries(cases))
      it(what, () => expect(prepared(config)).to.deep.equal(expected));
  });

  it('leaves exactly one server to write to, at a site that answers, whatever is allowed', () => {
    const site = fc.constantFrom('prod' as const, 'intg' as const);
    const choice = fc.constantFrom('prod' as const, 'restored' as const);
    const recovery = fc.record(
      {
        site,
        method: fc.constantFrom<Recovery['method']>('geoRestore', 'replica', 'import', 'pointInTimeRestore'),
        from: fc.constantFrom(
          'psql-moodtalk-prod',
          'psql-moodtalk-intg-e1',
          'psql-moodtalk-intg-e2',
          'psql-moodtalk-prod-e2',
        ),
        promoted: fc.boolean(),
      },
      { requiredKeys: ['site', 'method', 'from'] },
    );
    const arbitrary = fc.record({
      activeSite: site,
      database: choice,
      identity: choice,
      epoch: fc.integer({ min: 1, max: 4 }),
      prepared: fc.boolean(),
      unreachable: fc.constantFrom('none' as const, 'prod-cluster' as const, 'prod' as const, 'intg' as const),
      recoveries: fc.array(recovery, { maxLength: 3 }).map((list) =>
        list.map((one, index) => ({
          ...{ epoch: index + 1, ...one },
          ...(one.method === 'import' ? { backups: imported.backups! } : {}),
          ...(one.method === 'pointInTimeRestore' ? { pointInTime: '2026-01-31T22:00:00Z' } : {}),
        })),
      ),
    });
    let seen = 0;
    fc.assert(
      fc.property(arbitrary, (what) => {
        const config: Switch = { ...home, ...what };
        if (validateSwitch(config).length > 0) return;
        seen += 1;
        const writable = productionServers(config).filter((server) => server.database);
        expect(writable).to.have.length(1);
        expect(writable[0]?.streaming).to.equal(false);
        expect(writable[0]?.site).not.to.equal(config.unreachable);
        expect(config.unreachable.startsWith(config.activeSite)).to.equal(false);
        const next = preparation(config);
        if (next) expect(next.site).not.to.equal(config.activeSite);
        if (next && next.server.name !== writable[0]?.name) expect(next.server.streaming).to.equal(true);
      }),
      { numRuns: 5_000 },
    );
    expect(seen, 'switches that are allowed').to.be.greaterThan(100);
  });
});
