/**
 * The adapters against both sites as the stacks built them, from an operator's place. STANDBY_STANDING=1 takes the sandbox that
 * STANDBY_WORLD and STANDBY_HOME name, and leaves it up.
 */
import { expect } from 'chai';
import type { Facts, Observation } from '../../failover/model';
import type { Report } from './operator';
import { Stage } from './stage';

const standing = process.env['STANDBY_STANDING'] === '1';
const server = 'psql-moodtalk-prod';

/** @returns what the port gave. */
async function given<T>(report: Promise<Report>): Promise<T> {
  const { result, fault } = await report;
  if (fault) throw new Error(`${fault.code}: ${fault.message}`);
  return result as T;
}

describe('adapters: both sites, from an operator’s place', function () {
  this.timeout('4m');
  const { STANDBY_WORLD = '225', STANDBY_HOME } = process.env;
  const stage = new Stage({ STANDBY_WORLD, ...(STANDBY_HOME ? { STANDBY_HOME } : {}) });
  const observe = () => stage.ask('observer', 'observe');

  before(async function () {
    this.timeout('12m');
    await stage.start(standing);
  });
  after(async function () {
    this.timeout('2m');
    await stage.silence('prod', 'none');
    await stage.stop(standing);
  });

  it('sees everything at both sites', async () => {
    let seen = await given<Observation>(observe());
    const unknowns = () => JSON.stringify(seen).match(/"unknown":"[^"]*"/g) ?? [];
    // A machine that has much else to do may not answer within the time of one look.
    for (let looks = 1; unknowns().length > 0 && looks < 8; looks += 1) seen = await given<Observation>(observe());
    expect(unknowns()).to.deep.equal([]);
    expect(seen.servers[server]).to.have.nested.include({
      'value.role': 'primary',
      'value.writable': true,
      'value.token.epoch': 1,
      'value.token.open': true,
    });
    expect(seen.lease).to.have.nested.include({ 'value.mode': 'on', 'value.holder': 'prod', 'value.epoch': 1 });
    const { ingress, records, sites, configuration, names } = seen;
    if (!('value' in records) || !('value' in sites.prod.cluster)) throw new Error('nothing known');
    const hosts = Object.values(configuration.hosts).sort();
    expect(Object.keys(records.value).sort()).to.deep.equal(hosts);
    expect(new Set(Object.values(records.value))).to.deep.equal(new Set([ingress.prod]));
    expect(sites.prod.cluster.value.apps).to.have.length(5);
    for (const app of sites.prod.cluster.value.apps) {
      expect(app).to.include({ wanted: 2, ready: 2, epoch: 1, release: configuration.release });
    }
    for (const answer of Object.values(names)) {
      expect(answer).to.have.property('value');
      if ('value' in answer) expect(Object.keys(answer.value).sort()).to.deep.equal(hosts);
    }
    expect(sites.prod.front).to.have.nested.property('value');
  });

  it('proves that the active site serves, from inside and outside', async () => {
    const inside = await given<Facts>(stage.ask('verifier', 'inside', 'prod', server, 1));
    expect(inside['write']).to.equal(`${server} wrote a row and read it back`);
    const outside = await given<Facts>(stage.ask('verifier', 'outside', 'prod', 1));
    expect(outside['write']).to.equal(inside['write']);
    expect(outside['login']).to.deep.equal(inside['login']);
    expect(outside['api.moodtalk.ch']).to.equal(200);
  });

  it('moves public names in one call, and leaves them as the program would', async () => {
    const found = await given<Facts>(stage.ask('names', 'lookup'));
    const reroute = (to: string, facts: Facts) => stage.ask('names', 'reroute', to, facts);
    expect(await given(reroute('prod', found))).to.deep.equal({ changed: 0 });
    const large = { ...found, total: 11 };
    expect((await reroute('intg', large)).fault?.code).to.equal('ManyNames');
    expect(await given(reroute('intg', { ...large, manyNames: true }))).to.deep.equal({ changed: 6 });
    const { records, ingress } = await given<Observation>(observe());
    if (!('value' in records)) throw new Error(records.unknown);
    expect(new Set(Object.values(records.value))).to.deep.equal(new Set([ingress.intg]));
    expect(await given(reroute('prod', found))).to.deep.equal({ changed: 6 });
  });

  it('moves internal names in both zones, and what is right already not at all', async () => {
    const reroute = (to: string) => given(stage.ask('names', 'rerouteInternal', to, server));
    expect(await reroute('prod')).to.deep.equal({ changed: 0 });
    expect(await reroute('intg')).to.deep.equal({ changed: 10 });
    expect(await reroute('intg')).to.deep.equal({ changed: 0 });
    expect(await reroute('prod')).to.deep.equal({ changed: 10 });
    expect((await stage.preview('failover')).trim()).to.equal('clean');
  });

  it('closes the database to the epoch, proves it, and opens it again', async () => {
    const write = () => given<{ accepted: boolean; answer: string }>(stage.ask('databases', 'tryWrite', server, 1));
    expect((await write()).accepted).to.be.true;
    await given(stage.ask('databases', 'fence', server, 1, true));
    expect(await write()).to.deep.equal({ accepted: false, answer: 'role "moodtalk_e1" is not permitted to log in' });
    await given(stage.ask('databases', 'admit', server, 1));
    expect((await write()).accepted).to.be.true;
  });

  it('stops every application of a site and nothing else, and starts them again', async () => {
    expect(await given(stage.ask('workloads', 'running', 'prod'))).to.equal(10);
    expect(await given(stage.ask('workloads', 'stop', 'prod'))).to.deep.equal({ stopped: 10 });
    expect(await given(stage.ask('workloads', 'running', 'prod'))).to.equal(0);
    expect(await given(stage.ask('workloads', 'stop', 'prod'))).to.deep.equal({ stopped: 0 });
    await given(stage.ask('workloads', 'start', 'prod', 2));
    await given(stage.ask('verifier', 'inside', 'prod', server, 1));
  });

  it('sees what is left within 5 s while PROD says nothing, and why the rest is unknown', async () => {
    await stage.silence('prod', 'site');
    const looks = [await observe(), await observe()];
    await stage.silence('prod', 'none');
    expect(Math.min(...looks.map(({ ms }) => ms))).to.be.below(5_000);
    for (const look of looks) {
      const seen = await given<Observation>(Promise.resolve(look));
      const { prod } = seen.sites;
      for (const lost of [prod.cluster, prod.identity, prod.agent, prod.front, seen.servers[server]]) {
        expect(lost)
          .to.have.property('unknown')
          .that.matches(/no answer|no agent answers/);
      }
    }
    const { sites, records, lease, apis, names } = await given<Observation>(Promise.resolve(looks[1] as Report));
    for (const there of [sites.intg.cluster, records, lease, apis.azure, apis.cloudflare, ...Object.values(names)]) {
      expect(there).to.have.property('value');
    }
    // PROD may have stopped itself meanwhile; nobody took its place, so it comes back.
    await given(stage.ask('verifier', 'inside', 'prod', server, 1));
  });
});
