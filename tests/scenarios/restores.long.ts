/**
 * The database as it was, on the whole sandbox: beside the live one, behind rows that somebody destroyed; and with all of PROD gone INTG
 * takes over on what was imported.
 */
import { expect } from 'chai';
import { Scenario, until } from '../chaos/harness/kit';
import { endState } from '../chaos/harness/state';
import { stacks } from '../chaos/harness/world';
import { bookings, everywhere, minuteMs, one, prod, theBusiness } from '../support/business';

interface Restored {
  readonly server: { readonly name: string; readonly host: string; readonly recoveryPoint: number };
  readonly next: readonly string[];
}

describe('restores on the whole sandbox', function () {
  this.timeout('60m');
  const business = theBusiness();
  const { world } = business;
  before(() => business.start());

  describe('the database as it was', () => {
    const iso = (at: number) => new Date(at).toISOString();
    const now = async () =>
      Number(
        (await business.sql<{ ms: number }>('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms'))[0]
          ?.ms,
      );
    /** A whole second in which nothing is written. */
    async function quiet(): Promise<number> {
      const second = Math.ceil((await now()) / 1_000) * 1_000;
      await until('a second without writes', async () => (await now()) > second + 1_000, 10_000);
      return second;
    }
    const clean = `SELECT count(*) = 0 FROM bookings WHERE what LIKE '%.locked'`;
    let past = 0;

    before(async () => {
      await business.rewindToTaken();
      past = await quiet();
      await business.sql('DELETE FROM bookings WHERE id <= 100');
      expect(await business.write()).to.equal(201);
    });

    it('--latest: in a new server, which a clean-up leaves until its time is over', async () => {
      const events = await business.standby(['restore', '--latest', '--ttl', '1h', '--yes']);
      const { server } = one<Restored>(events, 'Restored');
      expect(await business.count('bookings', server.name)).to.equal(bookings - 100);
      const { remains } = one<{ remains: { name: string }[] }>(
        await business.standby(['restore', '--cleanup', '--yes']),
        'RemainsFound',
      );
      expect(remains.map(({ name }) => name)).to.deep.equal([server.name]);
      expect(world.servers().map(({ name }) => name)).to.include(server.name);
    });

    it('--at TIME: before the rows were deleted', async () => {
      const events = await business.standby([
        'restore',
        '--at',
        iso(past),
        '--from',
        'azure',
        '--name',
        'psql-look',
        '--yes',
      ]);
      expect(one<Restored>(events, 'Restored').server.name).to.equal('psql-look');
      expect(await business.count('bookings', 'psql-look')).to.equal(bookings);
    });

    it('stops writes and gives them back', async () => {
      const asked = ['restore', '--find-clean', clean, '--since', iso(past), '--stop-writes', '--yes'];
      const { finding } = one<{ finding: { outcome: string } }>(await business.standby(asked), 'SearchEnded');
      expect(finding.outcome).to.equal('newestClean');
      expect(await business.write()).to.not.equal(201);
      await business.standby(['restore', '--open-writes', '--yes']);
      await until('a write', async () => (await business.write()) === 201, 5 * minuteMs);
    });

    it('--find-clean: names the last clean second and what is lost, and the plan goes on from it by the lines that are printed', async () => {
      const since = await quiet();
      await business.sql(`UPDATE bookings SET what = what || '.locked' WHERE id > ${bookings / 2}`);
      const spoiled = await now();
      await business.sql(
        `SET ROLE moodtalk_owner; INSERT INTO bookings SELECT n, 't1', 'late' FROM generate_series(10001, 10007) n`,
      );
      const asked = ['restore', '--find-clean', clean, '--since', iso(since - 30_000), '--stop-writes', '--yes'];
      const events = await business.standby(asked);
      const { finding, restores } = one<{ finding: { outcome: string; clean: number }; restores: number }>(
        events,
        'SearchEnded',
      );
      expect(finding.outcome).to.equal('found');
      expect(finding.clean).to.be.within(since, spoiled);
      expect(restores).to.be.at.most(one<{ mostRestores: number }>(events, 'SearchPlanned').mostRestores);
      const { loss } = one<{ loss: { rows?: Record<string, number> } }>(events, 'RestoreLoss');
      console.log(`      last clean second ${iso(finding.clean)}, ${restores} restores, lost ${JSON.stringify(loss)}`);
      const { server, next } = one<Restored>(events, 'Restored');
      expect(await business.count(`bookings WHERE what LIKE '%.locked'`, server.name)).to.equal(0);
      expect(await business.write()).to.not.equal(201);

      const lines = next.filter((line) => line.startsWith('pulumi '));
      for (const line of lines) {
        const typed = `${line} --cwd "$STANDBY_PROJECT"${line.startsWith('pulumi up') ? ' --yes --skip-preview' : ''}`;
        const { code, stdout, stderr } = await world.command('bash', ['-c', typed], world.env);
        expect(code, `${typed}: ${(stdout + stderr).slice(-3_000)}`).to.equal(0);
      }
      const state = await endState(world);
      expect(state).to.deep.include({ activeSite: 'prod', epoch: 2, database: 'psql-moodtalk-prod-e2' });
      expect(state.servers[prod]).to.deep.include({ writers: [] });
      for (const stack of stacks) expect(state.previews[stack], stack).to.equal('');
      expect(
        await business.count(`bookings WHERE what LIKE '%.locked' OR id > 10000`, 'psql-moodtalk-prod-e2'),
      ).to.equal(0);
      await until('a write', async () => (await business.write()) === 201, 5 * minuteMs);
      expect(await business.answers()).to.deep.equal(everywhere('prod'));
      await business.standby(['switchover', '--from', 'prod', '--to', 'intg', '--yes']);
      expect(await business.answers()).to.deep.equal(everywhere('intg'));
    });
  });

  describe('with all of PROD gone', () => {
    let scenario: Scenario | undefined;
    before(() => business.rewindToTaken());
    afterEach(() => scenario?.end());

    it('INTG takes over on what was imported, and the business goes home', async () => {
      const { modules } = world;
      scenario = await Scenario.in(world);
      modules.silence.setSilence('prod', 'site');
      scenario.expectMove();
      const why = 'the region does not answer, the provider confirms';
      const events = await business.standby([
        ...['failover', '--to', 'intg', '--database', 'imported', '--prod-is-lost', why, '--accept-loss', '--yes'],
      ]);
      const ended = one<{ result: { outcome: string; seconds: number } }>(events, 'RunEnded');
      console.log(`      on the imported database after ${ended.result.seconds.toFixed(1)} s`);
      scenario.moved();
      expect(await business.answers()).to.deep.equal(everywhere('intg'));
      expect(await business.count('bookings', 'psql-moodtalk-intg-e2')).to.equal(bookings);
      world.heal();
      const answers = () =>
        world.kubectl('prod', 'get', '--raw', '/readyz').then(
          () => true,
          () => false,
        );
      await until('PROD answers', answers, 5 * minuteMs, 1_000);
      scenario.expectMove();
      await business.standby(['failback', '--yes']);
      scenario.moved();
      expect(await business.answers()).to.deep.equal(everywhere('prod'));
      const { database } = await scenario.expectEnd();
      expect(database).to.not.equal(prod);
      expect(await business.count('bookings', database)).to.equal(bookings);
    });
  });
});
