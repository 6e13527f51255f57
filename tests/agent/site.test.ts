import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { SiteControl } from '../../agent/site';
import type { Workloads } from '../../agent/workloads';
import { readServer, tryWrite } from '../../adapters/postgres/admission';
import { StandbyError } from '../../failover/errors';
import { TestServer } from '../adapters/postgres';
import { TestWorld } from '../kubernetes/world';

const until = async (holds: () => boolean) => {
  for (const end = Date.now() + 10_000; !holds() && Date.now() < end;) await delay(10);
};
const patience = () => AbortSignal.timeout(30_000);

describe('the agent at its site’s servers', function () {
  this.timeout(60_000);
  const world = new TestWorld(229);
  const server = new TestServer(world, 'psql-here', 0);
  const left = new TestServer(world, 'psql-there', 1);
  /** Nothing listens there. */
  const gone = world.plan.database(7);
  const control = (own: string, ...applications: readonly string[]) =>
    new SiteControl(
      { ...server.target, host: own },
      { servers: async () => applications, start: async () => 0 } as unknown as Workloads,
      () => undefined,
    );
  const open = (site: SiteControl, epoch: number, first: boolean) =>
    site
      .open(epoch, first, async () => true, patience())
      .then(
        () => 'open',
        (cause: unknown) => (cause instanceof StandbyError ? cause.code : String(cause)),
      );
  const writes = async (epoch: number) => (await tryWrite(server.target, epoch, patience())).accepted;

  before(async () => {
    await world.modules.authority.createAuthority();
    await server.create();
    await left.create(`${world.plan.database(8)}/32`);
  });
  after(() => world.remove());

  it('opens an epoch on it though the applications are still told of a server that is gone', async () => {
    const { host } = server.target;
    expect(await open(control(host, gone), 2, true)).to.equal('open');
    expect(await writes(2)).to.equal(true);
  });

  it('opens an epoch on it though the server of the site that was left is back, and does not let this one in', async () => {
    expect(await open(control(server.target.host, left.target.host), 3, true)).to.equal('open');
    expect(await writes(3)).to.equal(true);
  });

  it('closes it also when its name can’t be looked up any more', async () => {
    const { host } = server.target;
    const applications = { servers: async () => [], stop: async () => 1 } as unknown as Workloads;
    const known = [{ address: host }];
    const cutOff = (): Promise<{ address: string }> => {
      const found = known.shift();
      return found ? Promise.resolve(found) : Promise.reject(new Error('EAI_AGAIN'));
    };
    const site = new SiteControl({ ...server.target, host: server.publicName }, applications, () => undefined, cutOff);
    await site.remember();
    expect(await writes(3)).to.equal(true);
    await site.close(3, false, patience());
    expect(await writes(3)).to.equal(false);
    expect(await open(control(host), 3, false)).to.equal('open');
  });

  it('stops nothing more of the applications when it is open again', async () => {
    const { host } = server.target;
    let running = true;
    let instancesGone: (() => void) | undefined;
    const applications = {
      servers: async () => [],
      // Instances take their time to end, also when the server is closed at once.
      stop: async () => {
        running = false;
        instancesGone?.();
        return 1;
      },
      start: async () => {
        running = true;
        return 1;
      },
    } as unknown as Workloads;
    const site = new SiteControl({ ...server.target, host }, applications, () => undefined);
    await site.close(3, false, patience());
    expect(running).to.equal(false);
    expect(await open(site, 3, false)).to.equal('open');
    const stoppedAgain = new Promise<string>((resolve) => (instancesGone = () => resolve('stopped again')));
    expect(await Promise.race([stoppedAgain, delay(1_000, 'left alone')])).to.equal('left alone');
    expect(running).to.equal(true);
  });

  it('starts nothing behind a fence that began meanwhile', async () => {
    const { host } = server.target;
    const fence = new AbortController();
    const calls: string[] = [];
    const applications = {
      servers: async () => [],
      stop: async () => {
        calls.push('stopped');
        return 0;
      },
      start: async (_: number, signal: AbortSignal) => {
        calls.push('starts');
        fence.abort(new Error('fenced'));
        await site.close(3, false, patience());
        await delay(50);
        calls.push(signal.aborted ? 'started nothing' : 'started');
        return 0;
      },
    } as unknown as Workloads;
    const site = new SiteControl({ ...server.target, host }, applications, () => undefined);
    const signal = AbortSignal.any([fence.signal, patience()]);
    await site.open(3, false, async () => true, signal);
    await until(() => calls.includes('stopped'));
    expect(calls).to.deep.equal(['starts', 'started nothing', 'stopped']);
    expect(await writes(3)).to.equal(false);
  });

  it('does not take an epoch for open that is open nowhere', async () => {
    expect(await open(control(gone), 4, true)).to.equal('DatabaseUnreachable');
    expect(await open(control(server.target.host, gone), 4, false)).to.equal('DatabaseUnreachable');
    expect(await open(control(server.target.host, left.target.host), 4, false)).to.equal('DatabaseRefused');
    expect(await writes(4)).to.equal(false);
  });

  it('opens again, where it was, what it had closed for want of its lease', async () => {
    const site = control(gone, server.target.host);
    await control(server.target.host).close(3, false, patience());
    expect(await writes(3)).to.equal(false);
    expect(await open(site, 3, false)).to.equal('open');
    expect((await readServer(server.target, patience())).token).to.include({ epoch: 3, open: true });
    expect(await writes(3)).to.equal(true);
  });
});
