import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { within } from '../../failover/within';

/** As the collector may run at any time: now. */
function collectGarbage(): void {
  setFlagsFromString('--expose_gc');
  (runInNewContext('gc') as () => void)();
}

const fired = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => signal.addEventListener('abort', () => resolve(signal.reason), { once: true }));

describe('a signal within a time', () => {
  it('fires when the time is over, whatever the garbage collector does meanwhile', async () => {
    const collecting = setInterval(collectGarbage, 10);
    const reason = await fired(within(100, new AbortController().signal));
    clearInterval(collecting);
    expect(reason).to.have.property('name', 'TimeoutError');
  });

  it('fires with the others, for their reason', async () => {
    const other = new AbortController();
    const both = fired(within(60_000, new AbortController().signal, other.signal));
    const why = new Error('over');
    other.abort(why);
    expect(await both).to.equal(why);
    expect(within(60_000, other.signal)).to.include({ aborted: true, reason: why });
  });
});
