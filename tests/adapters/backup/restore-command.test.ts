import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { findClean, isClean, parseAssertion } from '../../../adapters/backup/clean';
import { describeLoss, lossAfter } from '../../../adapters/backup/loss';
import { exitCodes, StandbyError } from '../../../failover/errors';
import { standby } from '../../cli/standby';
import { TestWorld } from '../../kubernetes/world';
import { call, secondBetween, SelfRun } from './selfRun';

type Event = Readonly<Record<string, unknown>> & { readonly code: string };

describe('cli: restore of a server of one’s own', function () {
  this.timeout(300_000);
  const world = new TestWorld(241);
  const own = new SelfRun(world, 'psql-own', 0);
  const sql = (text: string) => own.live.sql(text, 'shop');
  let past = 0;
  /** The second in which the last clean row was written, and before anything was spoiled. */
  let clean = 0;

  async function run(...args: string[]): Promise<{ code: number | null; err: string; events: Event[] }> {
    const { code, out, err } = await standby(['restore', '--from', 'pgbackrest', '--json', ...args], {
      ...own.environment,
      STANDBY_SUPERUSER: 'azuresu',
    });
    const events = out
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event);
    return { code, err, events };
  }
  const eventOf = (events: readonly Event[], code: string) => events.find((event) => event.code === code);

  before(async () => {
    await world.modules.authority.createAuthority();
    await own.create();
    const session = await own.live.session();
    await own.live.sql('CREATE TABLE user_entity (id int PRIMARY KEY); INSERT INTO user_entity VALUES (1)', 'keycloak');
    await session.query(`CREATE TABLE sentinel (seq bigserial PRIMARY KEY, written_at timestamptz DEFAULT clock_timestamp());
      CREATE TABLE bookings (id int PRIMARY KEY, what text)`);
    await session.query("INSERT INTO bookings SELECT n, 'b' || n FROM generate_series(1, 10) n");
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    past = await secondBetween();
    await own.live.sql('INSERT INTO user_entity VALUES (2), (3)', 'keycloak');
    await session.query('DELETE FROM bookings WHERE id <= 3');
    await session.query("INSERT INTO bookings VALUES (11, 'new'), (12, 'new')");
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    clean = await secondBetween();
    await session.query("UPDATE bookings SET what = 'spoiled' WHERE id IN (5, 6)");
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    await secondBetween();
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    await session.end();
    await own.archived();
  });
  after(() => world.remove());

  it('names what is lost before it begins, and is refused without a person’s word', async () => {
    const { code, err, events } = await run('--at', new Date(past).toISOString());
    expect(code).to.equal(exitCodes.refused);
    expect(err).to.contain('say --yes');
    const rows = { 'keycloak.user_entity': 2, 'shop.bookings': 4, 'shop.sentinel': 3 };
    expect(eventOf(events, 'RestoreLoss')?.['loss']).to.deep.include({ rows }).and.not.to.have.property('unread');
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
  });

  it('says unknown where nobody can tell what is lost, never none', async () => {
    const silent = await lossAfter({ ...own.target, port: 1 }, past, call().signal);
    expect(describeLoss(silent, past)).to.contain('unknown how many rows');
    const early = await lossAfter(own.target, Date.parse('2020-01-01'), call().signal);
    expect(early).to.have.property('unknown');
  });

  it('says unknown of a database that it can’t read, and counts the others', async () => {
    await own.live.sql('CREATE DATABASE customer');
    await own.live.sql('REVOKE CONNECT ON DATABASE customer FROM PUBLIC');
    const loss = await lossAfter(own.target, past, call().signal);
    expect(loss).to.have.nested.property('rows.shop\\.bookings', 4);
    expect(loss).to.have.nested.property('unread.customer').that.contains('permission denied');
    expect(describeLoss(loss, past)).to.contain('4 of shop.bookings').and.contain('unknown how many of customer');
    const now = await lossAfter(own.target, Date.now() + 60_000, call().signal);
    expect(describeLoss(now, past)).to.contain('unknown how many of customer').and.not.contain('no row');
    await own.live.sql('DROP DATABASE customer');
  });

  it('restores into a new server that stays until a clean-up after its time', async () => {
    const at = new Date(past).toISOString();
    const { code, err, events } = await run('--at', at, '--name', 'looked-at', '--ttl', '10m', '--yes');
    expect(code, err).to.equal(exitCodes.done);
    const restored = eventOf(events, 'Restored')?.['server'] as { host: string; port: number; recoveryPoint: number };
    expect(restored).to.include({ host: '127.0.0.1', recoveryPoint: past });
    expect(JSON.stringify(events)).not.to.contain(own.target.password);
    const again = await run('--at', at, '--name', 'looked-at', '--yes');
    expect([again.code, again.err]).to.satisfy(([, text]: [number, string]) => text.includes('looked-at exists'));
    const early = await run('--cleanup', '--yes');
    expect(eventOf(early.events, 'RemainsRemoved')?.['removed']).to.deep.equal([]);
    const file = path.join(own.restores, 'looked-at', 'restore.json');
    const record = JSON.parse(fs.readFileSync(file, 'utf8')) as object;
    fs.writeFileSync(file, JSON.stringify({ ...record, expiresAt: Date.now() - 1 }));
    expect(eventOf((await run('--cleanup', '--yes')).events, 'RemainsRemoved')?.['removed']).to.deep.equal([
      'looked-at',
    ]);
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
  });

  it('brings deleted rows of one table back, and asks for more before it overwrites', async () => {
    const at = new Date(past).toISOString();
    const copied = await run('--tables', 'bookings', '--at', at, '--into', 'recovered_bookings', '--yes');
    expect(copied.code, copied.err).to.equal(exitCodes.done);
    expect(eventOf(copied.events, 'Copied')?.['rows']).to.deep.equal({ bookings: 10 });
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
    const diff = await run('--into', 'recovered_bookings', '--diff');
    expect(eventOf(diff.events, 'Compared')?.['difference']).to.deep.equal({
      bookings: { deleted: 3, changed: 2, added: 2 },
    });
    const refused = await run('--into', 'recovered_bookings', '--merge');
    expect(refused.code).to.equal(exitCodes.refused);
    const merged = await run('--into', 'recovered_bookings', '--merge', '--yes');
    expect(merged.code, merged.err).to.equal(exitCodes.done);
    expect(await sql('SELECT count(*)::int AS n FROM bookings')).to.deep.equal([{ n: 12 }]);
    expect(await sql("SELECT count(*)::int AS n FROM bookings WHERE what = 'spoiled'")).to.deep.equal([{ n: 2 }]);
  });

  it('finds the last clean second, says what is lost after it, and leaves a server of it', async () => {
    const assertion = "SELECT count(*) = 0 FROM bookings WHERE what = 'spoiled'";
    const { code, err, events } = await run(
      '--find-clean',
      assertion,
      '--name',
      'clean-one',
      '--yes',
      '--since',
      new Date(past).toISOString(),
    );
    expect(code, err).to.equal(exitCodes.done);
    const ended = eventOf(events, 'SearchEnded') as unknown as {
      finding: { outcome: string; clean: number };
      restores: number;
    };
    const [spoiled] = await sql('SELECT written_at AS at FROM sentinel WHERE seq = 3');
    const at = (spoiled?.['at'] as Date).getTime();
    expect(ended.finding.outcome).to.equal('found');
    expect(ended.finding.clean).to.be.at.least(clean).and.at.most(at);
    expect(ended.finding.clean).to.equal(Math.floor(at / 1_000) * 1_000);
    expect(ended.restores).to.be.at.most(
      (eventOf(events, 'SearchPlanned') as unknown as { mostRestores: number }).mostRestores,
    );
    const lost = eventOf(events, 'RestoreLoss')?.['loss'] as { rows: Record<string, number> };
    expect(lost.rows['shop.bookings']).to.be.at.least(2);
    const left = eventOf(events, 'Restored')?.['server'] as { host: string; port: number };
    const { host, port } = left;
    expect(await isClean({ ...own.target, host, port, plain: true }, assertion, call())).to.equal(true);
    await own.recovery.remove('clean-one', call());
  });

  it('goes on with a search that was cut off, and asks no second twice', async () => {
    const range = { earliest: past, latest: (await own.recovery.range(call())).latest };
    const folder = path.join(world.home, 'search');
    const assertion = parseAssertion("SELECT count(*) = 0 FROM bookings WHERE what = 'spoiled';");
    const search = { recovery: own.recovery, source: 'own', database: 'shop', assertion, range, folder };
    const stop = new AbortController();
    const asked: string[] = [];
    const progress = (line: string) => {
      if (/ is (clean|dirty)$/.test(line)) asked.push(line);
      if (asked.length === 2) stop.abort(new StandbyError('Interrupted', 'stopped'));
    };
    const cut = await findClean(search, { signal: stop.signal, progress }).catch((cause: StandbyError) => cause.code);
    expect(cut).to.equal('Interrupted');
    await findClean(search, {
      ...call(),
      progress: (line) => void (/ is (clean|dirty)$/.test(line) && asked.push(line)),
    });
    expect(new Set(asked).size).to.equal(asked.length);
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
  });

  it('is told by an assertion that gives no boolean, and by one that would write', async () => {
    const codeOf = (text: string) =>
      isClean(own.target, parseAssertion(text), call()).then(String, (cause: StandbyError) => cause.code);
    expect(await codeOf('SELECT true')).to.equal('true');
    for (const text of [
      'SELECT 1',
      'SELECT true, true',
      'SELECT true FROM bookings',
      'SELECT NULL::boolean',
      'TABLE nothing',
    ]) {
      expect(await codeOf(text), text).to.equal('AssertionUnclear');
    }
    expect(await codeOf('WITH gone AS (DELETE FROM bookings RETURNING id) SELECT count(*) > 0 FROM gone')).to.equal(
      'AssertionUnclear',
    );
    expect(await sql('SELECT count(*)::int AS n FROM bookings')).to.deep.equal([{ n: 12 }]);
  });

  it('does not pretend to stop writes where there is no fence', async () => {
    const { code, err } = await run('--find-clean', 'SELECT true', '--stop-writes', '--yes');
    expect(code).to.equal(exitCodes.refused);
    expect(err).to.contain('has no epochs to close');
  });
});
