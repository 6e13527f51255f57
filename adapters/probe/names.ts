/** What the public's resolvers answer. */
import { Resolver } from 'node:dns/promises';
import type { AdapterContext } from '../context';

const usual = '1.1.1.1,8.8.8.8,9.9.9.9';

/** Resolvers that are asked, each `host` or `host:port`. */
export const resolversOf = ({ environment }: Pick<AdapterContext, 'environment'>): readonly string[] =>
  (environment['STANDBY_RESOLVERS'] || usual)
    .split(',')
    .map((resolver) => resolver.trim())
    .filter(Boolean);

/**
 * Asks one resolver for a host's addresses, by UDP, and by TCP when the answer does not fit.
 * @throws Error that says why there is none.
 */
export async function addressesFrom(
  resolver: string,
  host: string,
  signal: AbortSignal,
  withinMs: number,
): Promise<readonly string[]> {
  signal.throwIfAborted();
  const asking = new Resolver({ timeout: Math.max(250, Math.floor(withinMs / 2)), tries: 2 });
  asking.setServers([resolver]);
  // The library may wait longer than it is told when the machine is busy; the timer keeps to the time.
  const cancel = () => asking.cancel();
  const timer = setTimeout(cancel, withinMs);
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return (await asking.resolve4(host)).sort();
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const { code } = cause as NodeJS.ErrnoException;
    const silent = code === 'ECANCELLED' || code === 'ETIMEOUT';
    throw new Error(silent ? `no answer within ${withinMs / 1000} s` : (code ?? (cause as Error).message), { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}
