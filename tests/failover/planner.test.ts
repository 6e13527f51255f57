import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { describeOptions, headline } from '../../failover/messages';
import { known, type Observation, type Plan, type Wish } from '../../failover/model';
import { assess, plan } from '../../failover/planner';
import {
  atHome,
  bound,
  change,
  healthy,
  lose,
  now,
  promoted,
  restored,
  returning,
  rules,
  serverChange,
  silent,
  value,
  withReplica,
} from './observations';

const out: Wish = { kind: 'switchover', to: 'intg' };
const away: Wish = { kind: 'failover', to: 'intg' };
const home: Wish = { kind: 'failback', to: 'prod' };
const words = { lost: 'the data centre burns', acceptLoss: true };
const make = (seen: Observation, wish: Wish, at = now): Plan => plan(seen, wish, at, rules);
const ids = ({ steps }: Plan) => steps.map(({ id }) => id).join(' ');

const prod = 'psql-moodtalk-prod';
const standby = 'psql-moodtalk-intg-e1';

function refusal(seen: Observation, wish: Wish, at = now): StandbyError {
  try {
    make(seen, wish, at);
  } catch (cause) {
    if (cause instanceof StandbyError) return cause;
    throw cause;
  }
  throw new Error('there is a plan');
}

const names = 'verify-inside reroute-internal reroute verify-outside converge check-previews announce';
const fences = 'fence-workloads fence-database prove-fence take-lease record-recovery-point';

const blindAgent = { site: 'intg' as const, epoch: 1, state: 'blind' as const, why: 'look: no answer' };

describe('the planner', () => {
  const planned: Readonly<Record<string, readonly [Observation, Wish, steps: string]>> = {
    'a switchover to PROD’s database': [healthy(), out, `prepare lookup-names ${fences} open-database ${names}`],
    'a switchover to the replica': [
      healthy(withReplica),
      out,
      `prepare lookup-names ${fences} promote open-database ${names}`,
    ],
    'a failover with the database alive': [
      lose(healthy(), 'prod', 'cluster'),
      away,
      `lookup-names fence-database prove-fence take-lease record-recovery-point open-database bind ${names}`,
    ],
    'a failover to the replica': [
      lose(healthy(withReplica), 'prod'),
      { ...away, ...words },
      `lookup-names take-lease record-recovery-point promote open-database bind ${names}`,
    ],
    'a failover to the last backup': [
      lose(healthy(), 'prod'),
      { ...away, ...words },
      `lookup-names restore take-lease record-recovery-point open-database bind ${names}`,
    ],
    'a failback from PROD’s database': [healthy(bound), home, `prepare lookup-names ${fences} open-database ${names}`],
    'a failback from a restored server': [
      healthy(restored),
      home,
      `export-diverged reprotect prepare lookup-names ${fences} promote open-database ${names}`,
    ],
    'a failback from a promoted replica': [
      healthy(promoted),
      home,
      `export-diverged reprotect prepare lookup-names ${fences} promote open-database ${names}`,
    ],
    'a failback to a replica that stands': [
      healthy(returning),
      home,
      `export-diverged prepare lookup-names ${fences} promote open-database ${names}`,
    ],
  };
  for (const [what, [seen, wish, steps]] of Object.entries(planned)) {
    it(`makes ${what}`, () => {
      const made = make(seen, wish);
      expect(ids(made)).to.equal(steps);
      expect(rules.validateSwitch(made.after)).to.deep.equal([]);
      expect(made.after).to.include({ activeSite: wish.to, epoch: made.before.epoch + 1, stage: 'complete' });
      expect(JSON.parse(JSON.stringify(made)), 'it is plain data').to.deep.equal(made);
      expect(make(seen, wish), 'the same again').to.deep.equal(made);
      expect(headline(made)).to.match(new RegExp(`^${wish.kind} from`));
      expect(describeOptions(made)).to.have.length(3);
    });
  }

  const refused: Readonly<Record<string, readonly [Observation, Wish, code: string, exit: string, why: RegExp]>> = {
    'to the active site': [
      healthy(),
      { kind: 'switchover', to: 'prod' },
      'AlreadyActive',
      'refused',
      /prod is the active/,
    ],
    'a failback away from home': [healthy(), { kind: 'failback', to: 'intg' }, 'NotHome', 'refused', /leads home/],
    'two primaries': [
      serverChange(healthy(withReplica), standby, { role: 'primary', writable: true }),
      out,
      'TwoPrimaries',
      'person',
      /psql-moodtalk-prod and psql-moodtalk-intg-e1 both take writes/,
    ],
    'two primaries, also to a failover': [
      serverChange(healthy(restored), prod, { writable: true, token: { epoch: 1, open: true } }),
      home,
      'TwoPrimaries',
      'person',
      /nothing was changed/,
    ],
    'a half-done change of role': [
      healthy({ ...bound, stage: 'bound' }),
      home,
      'HalfDone',
      'refused',
      /standby resume/,
    ],
    'a stack that is being updated': [
      change(healthy(), { stacks: { ...healthy().stacks, failover: value({ serial: 7, pending: true }) } }),
      away,
      'StackPending',
      'refused',
      /pulumi cancel/,
    ],
    'a stack whose state is unknown': [
      change(healthy(), { stacks: { ...healthy().stacks, failover: silent('timeout', now - 4_000) } }),
      away,
      'Unknown',
      'refused',
      /state of stack failover is unknown \(timeout; asked 4 s ago\).*store/,
    ],
    'an old look': [healthy(), out, 'Unknown', 'refused', /looked at 31 s ago/],
    'a lease that nobody sees': [
      change(healthy(), { lease: silent() }),
      away,
      'Unknown',
      'refused',
      /the writer lease is unknown/,
    ],
    'a later epoch in a server': [
      serverChange(healthy(), prod, { token: { epoch: 4, open: true } }),
      out,
      'StaleConfiguration',
      'refused',
      /has admitted epoch 4, the configuration says 1/,
    ],
    'a later epoch of the lease': [
      change(healthy(), { lease: value({ mode: 'on', holder: 'prod', epoch: 3 }) }),
      out,
      'StaleConfiguration',
      'refused',
      /lease is prod's in epoch 3/,
    ],
    'a target that is silent': [
      lose(healthy(), 'intg', 'cluster'),
      away,
      'Unknown',
      'refused',
      /the cluster of intg is unknown/,
    ],
    'a target that could not keep the right to write': [
      change(healthy(), {
        sites: { ...healthy().sites, intg: { ...healthy().sites.intg, agent: value(blindAgent) } },
      }),
      away,
      'AgentBlind',
      'refused',
      /the agents of intg do not see the lease \(look: no answer\).*reach the store/,
    ],
    'a switchover with a stale reading': [
      change(healthy(), { records: value({}, now - 31_000) }),
      out,
      'Unknown',
      'refused',
      /public DNS records was seen 31 s ago/,
    ],
    'a switchover of a sick site': [
      change(healthy(), {
        sites: {
          ...healthy().sites,
          prod: {
            ...healthy().sites.prod,
            cluster: value({ apps: [{ app: 'api', wanted: 2, ready: 1, release: 'r', epoch: 1 }] }),
          },
        },
      }),
      out,
      'NotHealthy',
      'refused',
      /api at prod has 1 of 2/,
    ],
    'a switchover from a database that is closed': [
      serverChange(healthy(), prod, { token: { epoch: 1, open: false } }),
      out,
      'NotHealthy',
      'refused',
      /closed token of epoch 1/,
    ],
    'a switchover from who does not hold the lease': [
      change(healthy(), { lease: value({ mode: 'on', holder: 'intg', epoch: 1 }) }),
      out,
      'NotHealthy',
      'refused',
      /not prod's in epoch 1/,
    ],
    'a switchover to a replica that lags': [
      serverChange(healthy(withReplica), standby, { lagSeconds: 31 }),
      out,
      'NotHealthy',
      'refused',
      /31 s behind/,
    ],
    'a switchover that would lose rows': [
      healthy(),
      { ...out, database: 'restored' },
      'BranchImpossible',
      'refused',
      /--database restored \(branch 1b\)/,
    ],
    'a switchover home without a replica': [
      healthy(restored),
      { kind: 'switchover', to: 'prod' },
      'NoBranch',
      'refused',
      /PROD never works on a server at INTG/,
    ],
    'a failover from who can’t be fenced': [
      lose(healthy(withReplica), 'prod'),
      away,
      'LostNotStated',
      'person',
      /prod can't be fenced.*goes on writing.*--prod-is-lost/,
    ],
    'a failover that loses rows': [
      lose(healthy(), 'prod'),
      { ...away, lost: 'it burns' },
      'LossNotAccepted',
      'person',
      /branch 1b loses up to 600 s.*--accept-loss/,
    ],
    'a failover that loses nobody knows what': [
      change(lose(healthy(), 'prod'), { backups: {} }),
      { ...away, lost: 'it burns' },
      'LossNotAccepted',
      'person',
      /an unknown number of rows.*was not looked at/,
    ],
    'a failback whose old server is silent': [
      change(healthy(restored), { servers: { ...healthy(restored).servers, [prod]: silent() } }),
      home,
      'Unknown',
      'refused',
      /can't be exported.*--accept-loss/,
    ],
    'many records': [
      change(healthy(), {
        records: value(Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`h${index}`, '203.0.10.2']))),
      }),
      out,
      'ManyNames',
      'refused',
      /12 of 12 records/,
    ],
    'an identity provider elsewhere': [
      healthy({ ...restored, database: 'prod', unreachable: 'none' }),
      home,
      'SplitServers',
      'refused',
      /identity provider works on psql-moodtalk-intg-e2/,
    ],
  };
  for (const [what, [seen, wish, code, exit, why]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      const fault = refusal(seen, wish, what === 'an old look' ? now + 31_000 : now);
      expect(fault.code, fault.message).to.equal(code);
      expect(fault.exit).to.equal(exit);
      expect(fault.message).to.match(why);
      expect(fault.message).not.to.contain('\n');
    });
  }

  it('takes what loses least, then what takes least, unless a person wants another', () => {
    const both = lose(healthy(withReplica), 'prod', 'cluster');
    expect(make(both, away)).to.include({ branch: '1c', lossSeconds: 0 });
    expect(make(both, away).why).to.match(/less time than 1a/);
    expect(make(both, { ...away, database: 'prod' })).to.include({ branch: '1a', why: '--database prod asks for it' });
    const lagging = serverChange(both, standby, { streaming: false, mayLackSeconds: 40 });
    expect(make(lagging, away)).to.include({ branch: '1a', lossSeconds: 0 });
    const dead = serverChange(lose(healthy(withReplica), 'prod'), standby, {
      streaming: false,
      mayLackSeconds: 700,
    });
    expect(make(dead, { ...away, ...words }).branch, 'a backup newer than the replica').to.equal('1b');
    expect(make(dead, { ...away, ...words, database: 'replica' })).to.include({ branch: '1c', lossSeconds: 700 });
  });

  it('says what each branch loses and takes, and whether a backup was ever verified', () => {
    const options = assess(lose(healthy(withReplica), 'prod'), away, now, rules);
    expect(options.map(({ branch, lossSeconds }) => [branch, lossSeconds])).to.deep.equal([
      ['1a', 'unknown'],
      ['1b', 600],
      ['1c', 0.2],
    ]);
    expect(options[0]?.impossible).to.match(/psql-moodtalk-prod is unknown \(.*; asked 0 s ago\)/);
    expect(options[1]?.lossWhy).to.match(/02:50.*a drill restored it at 2026-01-31/);
    const never = change(lose(healthy(), 'prod'), { backups: { [prod]: value({ recoveryPoint: now - 5_000 }) } });
    expect(assess(never, away, now, rules)[1]?.lossWhy).to.match(/no drill that restored it/);
    expect(make(never, { ...away, ...words }).warnings.join()).to.match(/no drill that restored Azure's backup/);
  });

  it('goes on from a replica that was promoted behind the switch, when its source is gone', () => {
    const seen = serverChange(lose(healthy(withReplica), 'prod'), standby, { role: 'primary', writable: true });
    const made = make(seen, { ...away, ...words });
    expect(made).to.include({ branch: '1c', lossSeconds: 'unknown' });
    expect(made.options[1]?.impossible).to.match(/takes writes/);
    expect(made.after.recoveries[0]).to.include({ promoted: true, promotion: 'forced' });
    const closed = serverChange(
      serverChange(healthy(withReplica), standby, { role: 'primary', writable: true }),
      prod,
      { token: { epoch: 1, open: false } },
    );
    const option = assess(lose(closed, 'prod', 'cluster'), away, now, rules)[2];
    expect(option?.impossible).to.match(/promoted behind the switch while psql-moodtalk-prod answers/);
  });

  it('names what an update must leave alone', () => {
    expect(make(lose(healthy(), 'prod', 'cluster'), away).after.unreachable).to.equal('prod-cluster');
    expect(make(lose(healthy(), 'prod'), { ...away, ...words }).after.unreachable).to.equal('prod');
    expect(make(healthy(withReplica), away).after.unreachable).to.equal('none');
    const back = lose(healthy(returning), 'intg');
    expect(make(back, { kind: 'failover', to: 'prod', ...words }).after.unreachable).to.equal('intg');
    expect(make(healthy(restored), home).after.unreachable).to.equal('none');
  });

  it('leaves out the lease where there is none, and says what that means', () => {
    const seen = change(lose(healthy(withReplica), 'prod'), { lease: value({ mode: 'off' as const }) });
    const made = make(seen, { ...away, ...words });
    expect(ids(made)).not.to.contain('take-lease');
    expect(made.warnings.join('\n'))
      .to.match(/nothing closes it/)
      .and.match(/the writer lease is off/);
  });

  it('knows that what is prepared need not be started', () => {
    const warm = { ...withReplica, prepared: true };
    const bind = make(lose(healthy(warm), 'prod'), { ...away, ...words }).steps.find(({ id }) => id === 'bind');
    expect(bind?.args['stands']).to.equal(true);
    const cold = healthy(warm);
    const lame = change(cold, {
      sites: {
        ...cold.sites,
        intg: { ...cold.sites.intg, cluster: value({ apps: known(healthy().sites.intg.cluster)!.apps }) },
      },
    });
    const started = make(lose(lame, 'prod'), { ...away, ...words }).steps.find(({ id }) => id === 'bind');
    expect(started?.args['stands']).to.equal(false);
    expect(make(healthy(warm), out).after.prepared, 'a lasting setting stays').to.equal(true);
    expect(make(healthy(atHome), out).after.prepared).to.equal(false);
  });
});
