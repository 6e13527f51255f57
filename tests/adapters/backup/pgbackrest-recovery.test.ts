import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { targetOf } from '../../../adapters/backup/recovery/recovery';
import { connected } from '../../../adapters/postgres/connection';
import type { ThrowAwayServer } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { TestWorld } from '../../kubernetes/world';
import { call, secondBetween, SelfRun } from './selfRun';

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    (cause: unknown) => (cause instanceof StandbyError ? cause.code : String(cause)),
  );

describe('adapters: recovery of a server of our own', function () {
  this.timeout(180_000);
  const world = new TestWorld(234);
  const own = new SelfRun(world, 'psql-own', 0);
  const seconds: number[] = [];
  const write = (n: number) => own.live.sql(`INSERT INTO sentinel VALUES (${n}, clock_timestamp())`, 'shop');
  const numbers = (server: ThrowAwayServer) =>
    connected(targetOf(server, 'shop'), call().signal, async (client) =>
      (await client.query<{ n: number }>('SELECT n FROM sentinel ORDER BY n')).rows.map(({ n }) => n),
    );

  before(async () => {
    await world.modules.authority.createAuthority();
    await own.create();
    await own.live.sql('CREATE TABLE sentinel (n int PRIMARY KEY, at timestamptz)', 'shop');
    for (const n of [1, 2, 3]) {
      await write(n);
      seconds.push(await secondBetween());
    }
    await write(4);
    await own.archived();
  });
  after(() => world.remove());

  it('brings back the rows of a second and none after it, on the loopback, and leaves nothing', async () => {
    const range = await own.recovery.range(call());
    expect(range.earliest).to.be.at.most(seconds[0] as number);
    expect(range.latest).to.be.above(seconds[2] as number);
    for (const [index, second] of seconds.entries()) {
      const server = await own.recovery.restore(second, call());
      expect(server).to.include({ host: '127.0.0.1', recoveryPoint: second });
      expect(JSON.stringify(server)).not.to.contain(server.password);
      expect(await numbers(server)).to.deep.equal([1, 2, 3, 4].slice(0, index + 1));
      await server.remove();
    }
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
  });

  it('takes writes, and archives none of them into the live server’s archive', async () => {
    const before = await own.live.sql('SELECT archived_count FROM pg_stat_archiver');
    const server = await own.recovery.restore('latest', call());
    const settings = await connected(targetOf(server, 'shop'), call().signal, async (client) => {
      await client.query('DELETE FROM sentinel; SELECT pg_switch_wal()');
      return (await client.query('SHOW archive_mode')).rows as unknown[];
    });
    expect(settings).to.deep.equal([{ archive_mode: 'off' }]);
    expect(server.recoveryPoint).to.be.above(seconds[2] as number);
    await server.remove();
    expect(await own.live.sql('SELECT count(*)::int AS n FROM sentinel', 'shop')).to.deep.equal([{ n: 4 }]);
    expect(before).to.have.length(1);
  });

  it('lets in with a password alone', async () => {
    const server = await own.recovery.restore(seconds[0] as number, call());
    const wrong = { ...targetOf(server, 'shop'), password: 'another one' };
    expect(await codeOf(connected(wrong, call().signal, (client) => client.query('SELECT 1')))).to.equal(
      'DatabaseRefused',
    );
    await server.remove();
  });

  it('refuses a moment outside of what the backups hold, and a name that is there', async () => {
    expect(await codeOf(own.recovery.restore(Date.now() + 3_600_000, call()))).to.equal('OutsideRange');
    expect(await codeOf(own.recovery.restore(Date.parse('2020-01-01'), call()))).to.equal('OutsideRange');
    const stay = { name: 'looked-at', expiresAt: Date.now() + 3_600_000 };
    const server = await own.recovery.restore(seconds[1] as number, call(), stay);
    expect(await codeOf(own.recovery.restore('latest', call(), stay))).to.equal('ServerExists');
    expect(await numbers(server)).to.deep.equal([1, 2]);
    expect(await own.recovery.remains()).to.deep.equal(
      [{ ...stay, who: 'eva@home', source: 'shop', stays: true }].map(({ name, ...rest }) => ({ name, ...rest })),
    );
    await own.recovery.remove('looked-at', call());
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
    expect(await codeOf(own.recovery.remove('../../etc', call()))).to.equal('NameNotAllowed');
  });

  it('ends at the last commit where the log ends before the moment, and says where that is', async () => {
    await own.archived();
    const { latest } = await own.recovery.range(call());
    const told: string[] = [];
    const server = await own.recovery.restore(latest, { ...call(), progress: (line) => told.push(line) });
    expect(await numbers(server)).to.deep.equal([1, 2, 3, 4]);
    expect(server.recoveryPoint).to.be.at.most(latest);
    expect(told.join()).to.contain('the archived log ends before');
    await server.remove();
  });

  it('leaves nothing of a restore that can’t be finished', async () => {
    const broken = own.recovery;
    const stop = new AbortController();
    const attempt = broken.restore('latest', {
      signal: stop.signal,
      progress: () => stop.abort(new StandbyError('Interrupted', 'x')),
    });
    expect(await codeOf(attempt)).to.equal('Interrupted');
    expect(fs.existsSync(path.join(own.restores)) && fs.readdirSync(own.restores)).to.deep.equal([]);
  });
});
