import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { ArmError } from '../../sandbox/azure/kind';
import { Operations, type Operation, type Outcome, type Work } from '../../sandbox/azure/operations';

const work: Work = { method: 'PUT', id: '/subscriptions/s/resourceGroups/g', body: { location: 'westeurope' } };
const graceMs = 20;

describe('azure: long-running operations', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-operations-'));
  const open = () => new Operations(folder, () => undefined, graceMs);
  after(() => fs.rmSync(folder, { recursive: true }));

  const operationOf = (outcome: Outcome<unknown>): Operation => {
    if ('operation' in outcome) return outcome.operation;
    throw new Error('it was answered at once');
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('answers a quick write at once, one after the other', async () => {
    const operations = open();
    const order: string[] = [];
    const first = operations.run(work, async () => {
      await settled();
      order.push('first');
    });
    const second = operations.run(work, () => Promise.resolve(order.push('second')));
    expect(await Promise.all([first, second])).to.deep.equal([{ done: undefined }, { done: 2 }]);
    expect(order).to.deep.equal(['first', 'second']);
  });

  it('lets the caller poll a slow one, refuses another write meanwhile, and keeps the failure', async () => {
    const operations = open();
    let fail: (cause: Error) => void = () => undefined;
    const slow = new Promise<never>((_, reject) => (fail = reject));
    const { operation } = operationOf(await operations.run(work, () => slow));
    expect(operations.get(operation)?.status).to.equal('InProgress');
    const other = await operations.run(work, () => Promise.resolve()).catch((cause: ArmError) => cause);
    expect(other).to.include({ status: 409, code: 'AnotherOperationInProgress' });
    fail(new ArmError(409, 'QuotaExceeded', 'no room'));
    await settled();
    expect(operations.get(operation)).to.deep.include({
      status: 'Failed',
      error: { code: 'QuotaExceeded', message: 'no room' },
    });
    expect(await operations.run(work, () => Promise.resolve('free'))).to.deep.equal({ done: 'free' });
  });

  it('refuses at once what holds a resource that is held, until it is free, also after a failure', async () => {
    const operations = open();
    const child = (name: string): Work => ({ ...work, id: `${work.id}/${name}`, holds: work.id });
    let fail: (cause: Error) => void = () => undefined;
    const first = operations.run(child('one'), () => new Promise<never>((_, reject) => (fail = reject)));
    const second = () => operations.run(child('two'), () => Promise.resolve('made'));
    expect(await second().catch((cause: ArmError) => cause)).to.include({ status: 409, code: 'ServerIsBusy' });
    await operations.run({ ...work, id: `${work.id}/three` }, () => Promise.resolve());
    fail(new Error('no room'));
    await first.catch(() => undefined);
    expect(await second()).to.deep.equal({ done: 'made' });
  });

  it('takes up after a kill what was under way: a PUT is done again, an action is reported as failed', async () => {
    const never = () => new Promise<never>(() => undefined);
    const before = open();
    const put = operationOf(await before.run(work, never)).operation;
    const action = operationOf(
      await before.run({ method: 'POST', id: work.id + '2', action: 'failover' }, never),
    ).operation;

    const after = open(); // as a new process: it knows only what is on disk
    const repeated: Work[] = [];
    after.resume((each) => Promise.resolve(repeated.push(each)));
    await settled();
    expect(repeated.map(({ method, id, body }) => ({ method, id, body }))).to.deep.equal([work]);
    expect([after.get(put)?.status, after.get(action)?.status]).to.deep.equal(['Succeeded', 'Failed']);
  });
});
