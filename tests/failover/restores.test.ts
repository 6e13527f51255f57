import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { headline } from '../../failover/messages';
import type { Observation, Plan, Wish } from '../../failover/model';
import { assess, plan } from '../../failover/planner';
import { change, healthy, keptBackups, lose, now, promoted, restored, rules, silent, value } from './observations';

const prod = 'psql-moodtalk-prod';
const away: Wish = { kind: 'failover', to: 'intg' };
const words = { lost: 'the data centre burns', acceptLoss: true };
const make = (seen: Observation, wish: Wish): Plan => plan(seen, wish, now, rules);
const ids = ({ steps }: Plan) => steps.map(({ id }) => id).join(' ');
const names = 'verify-inside reroute-internal reroute verify-outside converge check-previews announce';

function refusal(seen: Observation, wish: Wish): StandbyError {
  try {
    make(seen, wish);
  } catch (cause) {
    if (cause instanceof StandbyError) return cause;
    throw cause;
  }
  throw new Error('there is a plan');
}

describe('a failover to the last backup', () => {
  const minutes = 60_000;
  const gone = lose(healthy(), 'prod');
  const azure = (reading: Observation['backups'][string]) => change(gone, { backups: { [prod]: reading } });
  const withKept = (seen: Observation, minutesAgo: number, skipped: Record<string, number> = {}) =>
    change(seen, { vault: value(keptBackups(now - minutesAgo * minutes, skipped)) });
  const lastResort = { ...away, ...words };
  const imports = {
    'database/moodtalk': '20260201T020000Z-aaaaaa',
    identity: '20260201T010000Z-bbbbbb',
  };
  const way = (made: Plan) => made.options[1]?.way;

  it('restores Azure’s backup while that is known and newer, and says what was proved', () => {
    const made = make(withKept(gone, 30, { BackupCorrupt: 2, NeverVerified: 1 }), lastResort);
    expect(made).to.include({ branch: '1b', lossSeconds: 600 });
    expect([way(made), made.after.recoveries[0]?.method]).to.deep.equal(['geoRestore', 'geoRestore']);
    expect(ids(made)).not.to.contain('import-backup');
    expect(made.options[1]?.lossWhy)
      .to.match(/02:50.*a drill restored it at 2026-01-31.*kept backups that passed a restore check reach to .*02:29/)
      .and.match(/skipped are 3 newer backups of database\/moodtalk \(2 BackupCorrupt, 1 never verified\)/);
    expect(made.warnings.join()).to.match(/2 BackupCorrupt/);
  });

  it('imports what was proved where that loses less', () => {
    const made = make(withKept(azure(value({ recoveryPoint: now - 90 * minutes })), 30), lastResort);
    // The oldest of what is imported counts: the identity provider's is a minute older.
    expect(made).to.include({ branch: '1b', lossSeconds: 31 * 60, targetSeconds: 100 });
    expect(made.after.recoveries).to.deep.equal([
      { epoch: 2, site: 'intg', method: 'import', from: prod, backups: imports },
    ]);
    expect(ids(made)).to.equal(
      `lookup-names restore take-lease import-backup record-recovery-point open-database bind ${names}`,
    );
    const step = made.steps.find(({ id }) => id === 'import-backup');
    expect(step?.args).to.deep.include({
      server: 'psql-moodtalk-intg-e2',
      backups: Object.fromEntries(Object.entries(imports).map(([set, id]) => [set, { id, vault: 'intg' }])),
    });
    expect(made.options[1]?.lossWhy)
      .to.match(/database\/moodtalk after .*02:30.*verified .*, identity after .*02:29/)
      .and.match(/Azure's own backup is older: it reaches to .*01:30/);
    expect(headline(made)).to.match(/import the last backup that verified/);
    expect(made.warnings.join()).not.to.match(/restore check/);
  });

  it('restores Azure’s backup, though an import would lose less, when a person says so', () => {
    const seen = withKept(azure(value({ recoveryPoint: now - 90 * minutes })), 30);
    const made = make(seen, { ...lastResort, database: 'restored' });
    expect(made).to.include({ branch: '1b', lossSeconds: 90 * 60 });
    expect(way(made)).to.equal('geoRestore');
  });

  it('imports where Azure’s backup is unknown or refused, or a person says so', () => {
    const unknown = withKept(azure(silent('its backups are not copied to another region')), 30);
    expect(way(make(unknown, lastResort))).to.equal('import');
    expect(make(unknown, lastResort).why).to.match(/only one that is possible/);
    expect(assess(unknown, away, now, rules)[1]?.lossWhy).to.match(/can't be relied on.*not copied/);
    const replica = withKept(lose(healthy(promoted), 'intg'), 30);
    expect(way(make(replica, { kind: 'failover', to: 'prod', ...words }))).to.equal('import');
    const back = withKept(lose(healthy(restored), 'intg'), 30);
    expect(way(make(back, { kind: 'failover', to: 'prod', ...words })), 'made while its pair was gone').to.equal(
      'import',
    );
    const newer = withKept(gone, 30);
    const asked = make(newer, { ...lastResort, database: 'imported' });
    expect([way(asked), asked.lossSeconds]).to.deep.equal(['import', 31 * 60]);
    expect(refusal(newer, { ...away, lost: 'it burns', database: 'imported' })).to.deep.include({
      code: 'LossNotAccepted',
    });
  });

  it('says why nothing can be imported', () => {
    const kept = keptBackups(now - 30 * minutes);
    const { newest: _newest, ...unproved } = { ...kept.dataSets['identity'], skipped: { BackupTruncated: 1 } };
    const cases: readonly (readonly [Observation['vault'], RegExp])[] = [
      [undefined, /no backups of the plan are configured/],
      [silent('no answer within 4.2 s'), /vault of kept backups is unknown.*4.2 s/],
      [value({ ...kept, sealed: 'STANDBY_AGE_IDENTITY_FILE is not set' }), /can't open.*STANDBY_AGE_IDENTITY_FILE/],
      [
        value({ dataSets: { ...kept.dataSets, identity: unproved } }),
        /no kept backup of identity ever passed.*1 newer backup of identity \(1 BackupTruncated\)/,
      ],
      [value(kept, now - 31_000), /was seen 31 s ago/],
    ];
    for (const [vault, why] of cases) {
      const seen = vault ? change(gone, { vault }) : gone;
      const fault = refusal(seen, { ...lastResort, database: 'imported' });
      expect([fault.code, fault.exit]).to.deep.equal(['BranchImpossible', 'refused']);
      expect(fault.message).to.match(why);
      expect(make(seen, lastResort).options[1]).to.include({ way: 'geoRestore', lossSeconds: 600 });
    }
  });
});
