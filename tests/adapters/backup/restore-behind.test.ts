import { expect } from 'chai';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { findClean, isClean } from '../../../adapters/backup/clean';
import { PgBackRestRecovery } from '../../../adapters/backup/recovery/pgbackrest';
import { targetOf } from '../../../adapters/backup/recovery/recovery';
import { exitCodes } from '../../../failover/errors';
import { program } from '../../../sandbox/azure/postgres/programs';
import { repository } from '../../../sandbox/world';
import { standby } from '../../cli/standby';
import { TestWorld, until } from '../../kubernetes/world';
import { call, secondBetween, SelfRun } from './selfRun';

type Event = Readonly<Record<string, unknown>> & { readonly code: string };

/** The newest segment came into the archive late: its time there is later than what was committed after its end. */
describe('cli: restore from an archive that is behind', function () {
  this.timeout(300_000);
  const world = new TestWorld(239);
  const own = new SelfRun(world, 'psql-own', 0);
  const assertion = "SELECT count(*) = 0 FROM bookings WHERE what = 'spoiled'";
  const args = (...more: string[]) => ['restore', '--from', 'pgbackrest', ...more];
  /** The last second that is archived, a second before the damage, and when the newest segment came. */
  let [archived, clean, pushed] = [0, 0, 0];

  const environment = () => ({ ...own.environment, STANDBY_SUPERUSER: 'azuresu' });
  const eventsOf = (out: string, code: string) =>
    out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event)
      .filter((event) => event.code === code);
  /** At a terminal: one answer to each question. */
  const typed = (words: readonly string[], answers: readonly string[]) => {
    const command = `stty -echo; exec ${[process.execPath, path.join(repository, 'bin', 'standby.js'), ...words].join(' ')}`;
    const env = { ...process.env, STANDBY_PROJECT: repository, ...environment() };
    const child = spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    const left = [...answers];
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (text.includes('anything else to leave it:')) child.stdin.write(`${left.shift() ?? ''}\n`);
    });
    return new Promise<{ code: number | null; out: string }>((resolve, reject) => {
      child.once('error', reject).once('close', (code) => resolve({ code, out }));
    });
  };
  const search = async (question = assertion, since = 0) => {
    const { earliest, latest } = await own.recovery.range(call());
    const range = { earliest: Math.max(earliest, since), latest };
    const asked = { recovery: own.recovery, source: 'own', database: 'shop', assertion: question, range };
    return { range, ...(await findClean({ ...asked, folder: path.join(world.home, 'search') }, call())) };
  };

  before(async () => {
    await world.modules.authority.createAuthority();
    await own.create();
  });
  after(() => world.remove());

  it('answers for a server to which nobody has committed since its backup, and does not keep what may change', async () => {
    await secondBetween();
    await own.live.sql("SELECT pg_create_restore_point('no commit')");
    await own.archived();
    const { finding, range, restores } = await search('SELECT true');
    expect(range.latest).to.be.above(range.earliest);
    expect(finding).to.deep.equal({ outcome: 'newestClean', clean: range.earliest });
    expect(restores).to.equal(2);
    expect(fs.existsSync(path.join(world.home, 'search'))).to.equal(false);
  });

  it('says again what is lost, as of where the server really came to, before it is handed over', async () => {
    const session = await own.live.session();
    await session.query(`CREATE TABLE sentinel (seq bigserial PRIMARY KEY, written_at timestamptz DEFAULT clock_timestamp());
      CREATE TABLE bookings (id int PRIMARY KEY, what text)`);
    await secondBetween();
    archived = await secondBetween();
    await session.query("INSERT INTO bookings SELECT n, 'b' || n FROM generate_series(1, 10) n");
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    await own.archived();
    await own.holdBack(true);
    clean = await secondBetween();
    await session.query("UPDATE bookings SET what = 'spoiled' WHERE id IN (5, 6)");
    await session.query('INSERT INTO sentinel DEFAULT VALUES');
    pushed = await secondBetween();
    await session.end();
    own.pushedAt(pushed);

    expect((await own.recovery.range(call())).latest).to.equal(pushed);
    const { code, out, err } = await standby(args('--latest', '--name', 'short', '--json', '--yes'), environment());
    expect(code, err).to.equal(exitCodes.done);
    const told = eventsOf(out, 'RestoreLoss') as unknown as { recoveryPoint: number; loss: { rows: object } }[];
    expect(told.map(({ loss }) => loss.rows)).to.deep.equal([{}, { 'shop.bookings': 2, 'shop.sentinel': 1 }]);
    expect(told[0]?.recoveryPoint).to.equal(pushed);
    expect(told[1]?.recoveryPoint).to.be.above(archived).and.below(clean);
    expect(out.lastIndexOf('RestoreLoss')).to.be.below(out.indexOf('"Restored"'));
    await own.recovery.remove('short', call());
  });

  it('asks again before it hands over what loses more than was said, and leaves nothing to who declines', async () => {
    const { code, out } = await typed(args('--latest', '--name', 'short'), ['short', 'no']);
    expect(code).to.equal(exitCodes.refused);
    expect(out).to.contain('keep short').and.to.contain('declined');
    expect(out.split('lost: ')).to.have.length(3);
    expect(out).not.to.contain('restored: ');
    expect(fs.readdirSync(own.restores)).to.deep.equal([]);
  });

  it('calls no second clean that the archive does not reach', async () => {
    const { finding } = await search(assertion, archived - 2_000);
    expect(finding.outcome).to.equal('newestClean');
    expect((finding as { clean: number }).clean)
      .to.be.at.least(archived)
      .and.below(clean);
  });

  it('does not go beyond the moment where more of the log comes while it replays', async () => {
    const folder = path.join(world.home, 'programs');
    fs.mkdirSync(folder);
    fs.chmodSync(folder, 0o777);
    // Its second start waits until the archive has it all; who comes when it has ended is turned away, and the log says so.
    fs.writeFileSync(
      path.join(folder, 'pg_ctl'),
      `#!/bin/sh
cd ${folder}
if [ "$1" = start ] && ! mkdir first 2>/dev/null; then touch second; until [ -e complete ]; do sleep 0.1; done; fi
${program('pg_ctl')} "$@" || { code=$?; echo 'FATAL:  the database system is not accepting connections' >> "$3/../postgres.log"; exit $code; }`,
      { mode: 0o755 },
    );
    const environment = { ...own.environment, STANDBY_POSTGRES_BIN: folder };
    const recovery = new PgBackRestRecovery({ ...own.recovery['options'], environment });
    const restored = recovery.restore(pushed, call());
    const completed = until('it starts again', () => Promise.resolve(fs.existsSync(path.join(folder, 'second')))).then(
      async () => {
        await own.holdBack(false);
        await own.archived();
        fs.writeFileSync(path.join(folder, 'complete'), '');
      },
    );
    const [server] = await Promise.all([restored, completed]);
    expect(await isClean(targetOf(server, 'shop'), assertion, call())).to.equal(true);
    expect(server.recoveryPoint).to.be.at.least(archived).and.below(clean);
    await server.remove();
  });

  it('finds the damage once the archive reaches it', async () => {
    const { finding } = await search(assertion, archived - 2_000);
    expect(finding.outcome).to.equal('found');
    expect((finding as { clean: number }).clean)
      .to.be.at.least(clean)
      .and.below(pushed);
  });
});
