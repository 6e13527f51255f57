/** People and their machines: two operators, a full disk, second thoughts, and a world that changes behind their backs. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { ClientSecretCredential } from '@azure/identity';
import { at, lastRun } from '../harness/command';
import { exits, leaveWorld, Scenario, until } from '../harness/kit';
import { recordsOf, serversOf } from '../harness/state';
import type { ChaosWorld } from '../harness/world';

const switchover = ['switchover', '--from', 'prod', '--to', 'intg'];
const takeOver = ['failover', '--to', 'intg', '--prod-is-lost', 'the region does not answer', '--accept-loss'];

describe('people', function () {
  this.timeout('30m');
  let scenario: Scenario | undefined;
  afterEach(() => scenario?.end());
  after(leaveWorld);

  const begin = async (base: 'plain' | 'replica' = 'replica') => {
    scenario = await Scenario.begin(base, 243);
    scenario.expectMove();
    return scenario;
  };
  const stillAtProd = async (one: Scenario, since = Date.now()) =>
    until('writes that go on at PROD', () => one.wrote('prod', 1, since), 120_000);

  it('two operators at once: one wins, the other is told who and since when', async () => {
    const one = await begin();
    const outcomes = await Promise.all([one.standby(switchover), one.standby(switchover)]);
    const [winner, loser] = outcomes.sort((a, b) => (a.code ?? 99) - (b.code ?? 99));
    expect(winner?.code, winner?.stderr).to.equal(exits.done);
    expect(loser?.code, loser?.stderr).to.equal(exits.refused);
    expect(loser?.stderr).to.match(/ since /);
    one.moved();
    await one.expectEnd();
  });

  it('a disk of the journal that is full: nothing is done without its record, and the run goes on when there is room', async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can make a small disk
    const one = await begin();
    const small = path.join(one.world.home, 'small');
    fs.mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    try {
      const filler = path.join(small, 'filler');
      const env = { STANDBY_RUNS: path.join(small, 'runs') };
      const fill = () => {
        const { bavail, bsize } = fs.statfsSync(small);
        fs.writeFileSync(filler, Buffer.alloc(bavail * bsize));
      };
      let filled = false;
      const before = await one.writesOf(async () => {
        fill();
        const { code, stderr } = await one.standby(switchover, { env });
        expect([exits.refused, exits.resumable], stderr).to.include(code);
        expect(stderr).to.match(/journal/i);
      });
      expect(before, 'done without a record').to.deep.equal([]);
      await stillAtProd(one);
      fs.rmSync(filler);
      const { code, stderr } = await one.standby(switchover, {
        env,
        on: (event) => {
          if (filled || event.code !== 'StepStarted' || event.step !== 'fence-database') return;
          filled = true;
          fill();
        },
      });
      expect(code, stderr).to.equal(exits.resumable);
      one.expectOneWriter();
      fs.rmSync(filler);
      expect((await one.standby(['resume'], { env })).code).to.equal(exits.done);
      one.moved();
      await one.expectEnd();
    } finally {
      execFileSync('umount', [small]);
    }
  });

  it('INTG fails its verification: names do not move, and the run says what is wrong', async () => {
    const one = await begin();
    const before = await recordsOf(one.world);
    // The applications answer, their pages do not: what a release does that is broken at this site alone.
    const { code, stderr } = await one.standby(switchover, {
      killAt: async (entry) => {
        if (at('result', 'prepare')(entry)) {
          await one.world.kubectl('intg', 'scale', 'deployment', 'survey', '--replicas=0', '-n', 'moodtalk');
        }
        return false;
      },
    });
    expect([exits.resumable, exits.person], stderr).to.include(code);
    expect(stderr).to.match(/survey/);
    expect(await recordsOf(one.world)).to.deep.equal(before);
    one.expectOneWriter();
    await one.world.kubectl('intg', 'scale', 'deployment', 'survey', '--replicas=1', '-n', 'moodtalk');
    expect((await one.insist(['resume'], {}, 5)).code).to.equal(exits.done);
    one.moved();
    await one.expectEnd();
  });

  it('a replica that was promoted behind our back is seen, and nothing is done that loses rows unasked', async () => {
    const one = await begin();
    const replica = Object.entries(await serversOf(one.world)).find(([, { role }]) => role === 'replica')?.[0] ?? '';
    await promote(one.world, replica);
    const count = await one.writesOf(async () => {
      const { code, stderr } = await one.standby(switchover);
      expect([exits.refused, exits.person], stderr).to.include(code);
      expect(stderr).to.match(new RegExp(replica));
    });
    expect(count).to.deep.equal([]);
    await stillAtProd(one);
    one.expectOneWriter();
  });

  it('PROD comes back in the middle of a failover: it stays fenced, and the run ends as it would have', async () => {
    const one = await begin();
    const { silence } = one.world.modules;
    silence.setSilence('prod', 'site');
    const { code, stderr } = await one.standby(takeOver, {
      killAt: (entry) => {
        if (at('intent', 'promote')(entry)) silence.setSilence('prod', 'none');
        return false;
      },
    });
    expect([exits.done, exits.resumable], stderr).to.include(code);
    one.expectOneWriter();
    if (code !== exits.done) expect((await one.insist(['resume'], {}, 5)).code).to.equal(exits.done);
    one.moved();
    one.expectOneWriter();
    // PROD's own stack keeps it as it is.
    await one.world.update('prod');
    one.expectOneWriter();
  });

  for (const step of ['prepare', 'fence-workloads', 'fence-database', 'prove-fence', 'take-lease'] as const) {
    it(`a run that was killed at ${step} is taken back: PROD serves as before`, async () => {
      const one = await begin();
      const killed = await one.standby(switchover, { killAt: at('intent', step) });
      expect(killed.code).to.equal(undefined);
      const { code, stderr } = await one.standby(['abort']);
      expect([exits.done, exits.safe], stderr).to.include(code);
      const since = Date.now();
      await until(
        'writes at PROD',
        () => one.writers.accepted().some(({ site, at: when }) => site === 'prod' && when > since),
        120_000,
      );
      one.expectOneWriter();
      expect(lastRun(one.world).at(-1)?.what).to.deep.include({ type: 'end', outcome: 'aborted' });
    });
  }

  it('a run past the point of no return is not taken back, and says so', async () => {
    const one = await begin();
    await one.standby(switchover, { killAt: at('result', 'promote') });
    const { code, stderr } = await one.standby(['abort']);
    expect(code).to.equal(exits.resumable);
    expect(stderr).to.match(/resume/);
    expect((await one.insist(['resume'])).code).to.equal(exits.done);
    one.moved();
    await one.expectEnd();
  });
});

/** As somebody does it in the portal. */
async function promote(world: ChaosWorld, name: string): Promise<void> {
  const value = (key: string) => world.env[key] ?? '';
  const { outside, ports } = world.modules.world;
  const tlsOptions = { ca: fs.readFileSync(value('SSL_CERT_FILE'), 'utf8') };
  const credential = new ClientSecretCredential(
    value('ARM_TENANT_ID'),
    value('ARM_CLIENT_ID'),
    value('ARM_CLIENT_SECRET'),
    { authorityHost: `https://${outside.login}:${ports.https}`, disableInstanceDiscovery: true, tlsOptions },
  );
  const endpoint = `https://${outside.arm}:${ports.https}`;
  const client = new PostgreSQLManagementFlexibleServerClient(credential, value('ARM_SUBSCRIPTION_ID'), {
    endpoint,
    credentialScopes: [`${endpoint}/.default`],
    tlsOptions,
  });
  const group =
    world
      .servers()
      .find((one) => one.name === name)
      ?.resourceId.split('/')[4] ?? '';
  await client.servers.beginUpdateAndWait(
    group,
    name,
    { replica: { role: 'None', promoteMode: 'Standalone', promoteOption: 'Forced' } },
    { updateIntervalInMs: 200 },
  );
}
