import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import type { Site } from '../../config/fields';
import { times } from '../../failover/leaseTimes';
import type { AgentReading, LeaseReading } from '../../failover/model';
import { until } from '../kubernetes/world';
import { AgentsWorld } from './world';

/** A machine that is busy with other tests is slower than a site. */
const patienceMs = 120_000;

describe('the agents of two sites', function () {
  this.timeout(300_000);
  const world = new AgentsWorld();
  const lease = () => world.order<LeaseReading>({ do: 'read' });
  const agent = (site: Site) => world.order<AgentReading>({ do: 'agent', site });
  const says = (site: Site, state: AgentReading['state']) =>
    until(
      `${site} says ${state}`,
      () =>
        agent(site).then(
          (reading) => (reading.state === state ? true : undefined),
          () => undefined, // none is there for a moment
        ),
      patienceMs,
    );
  const replicas = async (site: Site) =>
    Number(await world.kubectl(site, 'get', 'deployment', 'api', '-o', 'jsonpath={.spec.replicas}'));
  const instances = (site: Site) =>
    world.modules.process.running().filter(({ name }) => name.startsWith(`pod/${site}/acme/api`)).length;
  const writes = (site: Site, since: number) =>
    until(`${site} writes`, () => (world.lastWrite(site) > since ? true : undefined), patienceMs);
  const store = (rules: readonly object[]) => world.modules.rules.order('blob', ...(rules as never[]));

  before(async function () {
    this.timeout(400_000);
    await world.start();
    await world.agents('prod', true, 1);
    await world.agents('intg', false, 1);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(`${world.logs('prod')}\n---\n${world.logs('intg')}`);
    for (const site of ['prod', 'intg'] as const) world.modules.silence.setSilence(site, 'none');
  });
  after(() => world.stop());

  it('take the lease for the active site, admit its epoch, and are ready', async () => {
    await until('PROD is ready', async () => ((await world.ready('prod')) === 2 ? true : undefined), patienceMs);
    await until('INTG is ready', async () => ((await world.ready('intg')) === 2 ? true : undefined), patienceMs);
    expect(await lease()).to.include({ holder: 'prod', epoch: 1, released: false });
    expect(await agent('prod')).to.include({ site: 'prod', epoch: 1, state: 'holding' });
    expect(await agent('intg')).to.include({ state: 'standby' });
    await writes('prod', Date.now());
  });

  it('go on when one of them is killed', async () => {
    const began = Date.now();
    const [pod = ''] = (
      await world.kubectl('prod', 'get', 'pods', '-l', 'app.kubernetes.io/name=standby-agent', '-o', 'name')
    ).split('\n');
    await world.kubectl('prod', 'delete', pod.trim(), '--force', '--grace-period=0');
    await delay(times.takeAfterMs);
    expect(longestGap('prod', began)).to.be.below(3_000);
    await until('both are ready again', async () => ((await world.ready('prod')) === 2 ? true : undefined), patienceMs);
  });

  /** Longest time in which a site's writer had no write accepted. */
  function longestGap(site: Site, since: number): number {
    const moments = world.written.filter((one) => one.site === site && one.to >= since).map((one) => one.to);
    const all = [since, ...moments, Date.now()];
    return Math.max(...all.slice(1).map((moment, index) => moment - (all[index] ?? moment)));
  }

  it('go on without the store while the other site says that it does not take over', async () => {
    const began = Date.now();
    store([{ id: 'down', match: '.*standby.*', silent: true }]);
    await says('prod', 'failsafe');
    await delay(2 * times.takeAfterMs);
    expect(longestGap('prod', began)).to.be.below(4_000);
    store([]);
    await says('prod', 'holding');
  });

  it('stop the site when neither the store nor the other site answers, and let it go on afterwards', async () => {
    const cutOff = Date.now();
    world.modules.silence.setSilence('prod', 'isolated');
    // Nobody outside can ask the cluster; the machine knows what runs there.
    await until('PROD is stopped', () => (instances('prod') === 0 ? true : undefined), patienceMs);
    await delay(times.takeAfterMs);
    // Seen from outside the site nothing was written since the fence; it was complete in time.
    expect(world.lastWrite('prod') - cutOff).to.be.below(times.takeAfterMs);
    world.modules.silence.setSilence('prod', 'none');
    await writes('prod', Date.now());
    await until('PROD runs as before', async () => ((await replicas('prod')) === 2 ? true : undefined), patienceMs);
    await until('PROD is ready', async () => ((await world.ready('prod')) === 2 ? true : undefined), patienceMs);
  });

  it('move the lease when both sites are well, and never let both write', async () => {
    const began = Date.now();
    const { waitedSeconds, ...moved } = await world.order<{ waitedSeconds: number; from: Site }>({
      do: 'take',
      to: 'intg',
      epoch: 2,
    });
    console.log(`      moved in ${waitedSeconds.toFixed(2)} s`);
    expect(moved).to.deep.equal({ from: 'prod' });
    expect(Date.now() - began).to.be.below(20_000);
    await world.order({ do: 'admit', to: 'intg', epoch: 2 });
    await world.order({ do: 'write', epochs: { prod: 1, intg: 2 } });
    await writes('intg', Date.now());
    // The other one of its agents learns of it at its next look.
    const holds = async () => {
      const { epoch, state } = await agent('intg');
      return epoch === 2 && state === 'holding' ? true : undefined;
    };
    await until('INTG’s agents hold it', holds, patienceMs);
    expect(await replicas('prod')).to.equal(0);
    expect(overlap()).to.equal(undefined);
  });

  /** Two writes accepted by two sites, of which the later one's site was older. */
  function overlap(): string | undefined {
    const first = Math.min(...world.written.filter((one) => one.site === 'intg').map((one) => one.from));
    const late = world.written.find((one) => one.site === 'prod' && one.from > first);
    return late && `PROD wrote at ${late.from}, INTG since ${first}`;
  }

  it('keep a site that comes back with old knowledge closed', async () => {
    const began = Date.now();
    await world.kubectl(
      'prod',
      'delete',
      'pods',
      '-l',
      'app.kubernetes.io/name=standby-agent',
      '--force',
      '--grace-period=0',
    );
    await says('prod', 'fenced');
    expect(await replicas('prod')).to.equal(0);
    expect(world.lastWrite('prod')).to.be.below(began);
  });

  it('give the lease to the side that has no answer from a partitioned holder', async () => {
    await world.agents('prod', false, 2);
    await world.agents('intg', true, 2);
    await until('INTG is ready', async () => ((await world.ready('intg')) === 2 ? true : undefined), patienceMs);
    await until('PROD is ready', async () => ((await world.ready('prod')) === 2 ? true : undefined), patienceMs);
    world.modules.silence.setSilence('intg', 'isolated');
    const { waitedSeconds } = await world.order<{ waitedSeconds: number }>({ do: 'take', to: 'prod', epoch: 3 });
    const taken = Date.now();
    await world.order({ do: 'admit', to: 'prod', epoch: 3 });
    await world.order({ do: 'write', epochs: { prod: 3, intg: 2 } });
    await writes('prod', taken);
    console.log(`      taken after ${waitedSeconds.toFixed(2)} s`);
    expect(world.lastWrite('intg')).to.be.below(taken);
    world.modules.silence.setSilence('intg', 'none');
    await says('intg', 'fenced');
    await delay(times.fenceAfterMs);
    expect(world.lastWrite('intg')).to.be.below(taken);
  });

  it('stop first when all agents of the site have slept', async () => {
    await world.agents('prod', true, 3);
    await until('PROD is ready', async () => ((await world.ready('prod')) === 2 ? true : undefined), patienceMs);
    world.modules.frozen.setFrozen('pod/prod/acme/standby-agent', true);
    await delay(times.fencedByMs);
    world.modules.frozen.setFrozen('pod/prod/acme/standby-agent', false);
    const woken = Date.now();
    await says('prod', 'holding');
    await writes('prod', woken);
    expect(world.logs('prod')).to.match(/was not running.*\n.*fence/);
  });

  it('go on in a new epoch at the same site, while agents of the old one still hold the lease', async () => {
    const { holder, epoch } = (await lease()) as { holder: Site; epoch: number };
    await world.agents(holder, true, epoch + 1);
    await until(
      'the new epoch has the lease',
      async () => ((await lease())?.epoch === epoch + 1 ? true : undefined),
      patienceMs,
    );
    await until('its agents are ready', async () => ((await world.ready(holder)) === 2 ? true : undefined), patienceMs);
    expect(await lease()).to.include({ holder, epoch: epoch + 1, released: false });
  });
});
