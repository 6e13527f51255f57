import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as os from 'node:os';
import * as path from 'node:path';
import { createLock, lockHolder, whoAmI, type Holder } from '../../adapters/lock/lock';
import { beganAt, existedAt, isAlive } from '../../adapters/lock/processes';
import type { StandbyError } from '../../failover/errors';
import { Store } from './store';
import { until } from './trial/trial';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => undefined,
    (cause: StandbyError) => cause,
  );

describe('adapters/lock', function () {
  this.timeout(120_000);
  const store = new Store(152);
  const children: ChildProcess[] = [];
  before(() => store.start());
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await store.remove();
  });

  const lock = (tookOver: Holder[] = []) =>
    createLock({ container: store.container, tookOver: (holder) => tookOver.push(holder) });

  /** @returns a process that has asked for the lock, and what it was told. */
  async function another(run: string): Promise<{ child: ChildProcess; said: string }> {
    const script = ['-r', 'ts-node/register/transpile-only', path.join(__dirname, 'trial', 'lock.ts'), run];
    const env = { ...process.env, ...store.variables };
    const child = spawn(process.execPath, script, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [text] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, said: text.toString() };
  }

  it('lets one run go, tells the other who and since when, and is free again at once', async () => {
    const held = await lock().acquire('run-1');
    const fault = await faultOf(lock().acquire('run-2'));
    expect(fault).to.include({ code: 'RunInProgress', exit: 'refused' });
    expect(fault?.message).to.contain(`run run-1 is under way: ${whoAmI()} (process ${process.pid}) since `);
    expect(await lockHolder(store.container())).to.include({ run: 'run-1', host: os.hostname() });
    await held.release();
    expect(await lockHolder(store.container())).to.equal(undefined);
    const tookOver: Holder[] = [];
    await (await lock(tookOver).acquire('run-2')).release();
    expect(tookOver).to.deep.equal([]);
  });

  it('lets one of two win that ask at the same moment', async () => {
    const asked = await Promise.all(
      [1, 2, 3, 4].map((number) =>
        lock()
          .acquire(`run-${number}`)
          .catch((cause: StandbyError) => cause),
      ),
    );
    const won = asked.filter(
      (answer): answer is Awaited<ReturnType<ReturnType<typeof lock>['acquire']>> => 'release' in answer,
    );
    expect(won).to.have.length(1);
    const lost = asked.filter((answer) => 'code' in answer && answer.code === 'RunInProgress') as StandbyError[];
    expect(lost).to.have.length(3);
    for (const { message } of lost) expect(message).to.match(/ since /);
    await won[0]!.release();
  });

  it('takes over from a dead process of this machine at once, never from a living one', async () => {
    const { child, said } = await another('run-3');
    expect(said).to.equal('held\n');
    expect(await faultOf(lock().acquire('run-4'))).to.include({ code: 'RunInProgress' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const tookOver: Holder[] = [];
    const held = await lock(tookOver).acquire('run-4');
    expect(tookOver).to.have.length(1);
    expect(tookOver[0]).to.include({ run: 'run-3', pid: child.pid });
    await held.release();
  });

  it('leaves a stopped holder its time, then takes over', async () => {
    const { child } = await another('run-5');
    child.kill('SIGSTOP');
    const began = Date.now();
    expect(await faultOf(lock().acquire('run-6'))).to.include({ code: 'RunInProgress' });
    let held: Awaited<ReturnType<ReturnType<typeof lock>['acquire']>> | undefined;
    while (!held && Date.now() - began < 60_000) {
      held = await lock()
        .acquire('run-6')
        .catch(() => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 250)));
    }
    expect(held, 'taken over').not.to.equal(undefined);
    expect(Date.now() - began).to.be.greaterThan(14_000);
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await held!.release();
  });

  it('says that it is lost when somebody else has it, or the store is gone for too long', async () => {
    const held = await lock().acquire('run-7');
    await store.container().getBlobClient('run-lock').getBlobLeaseClient().breakLease(0);
    await until('lost', () => held.lost.aborted);
    expect(held.lost.reason).to.include({ code: 'LockLost', exit: 'resumable' });
    const again = await lock().acquire('run-8');
    await store.stop();
    try {
      const fault = await faultOf(lock().acquire('run-9'));
      expect(fault).to.include({ code: 'LeaseStoreUnreachable', exit: 'person' });
      await until('lost', () => again.lost.aborted);
    } finally {
      await store.start();
    }
    await again.release();
  });

  it('knows a process by its number and its beginning', async () => {
    const began = beganAt(process.pid)!;
    expect(Math.abs(began - (Date.now() - process.uptime() * 1000))).to.be.lessThan(5_000);
    expect(isAlive(process.pid, began)).to.equal(true);
    expect(isAlive(process.pid, began - 60_000), 'another one had the number').to.equal(false);
    expect(existedAt(process.pid, Date.now())).to.equal(true);
    expect(existedAt(process.pid, began - 60_000)).to.equal(false);
    const child = spawn('true');
    await once(child, 'exit');
    expect(beganAt(child.pid!)).to.equal(undefined);
  });
});
