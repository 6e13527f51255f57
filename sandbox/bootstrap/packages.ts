/** Has the distribution install what is missing, where that is allowed. */
import { isRoot } from '../process';
import { findExecutable } from './find';
import { run } from './run';
import type { Context } from './step';

let installing: Promise<unknown> = Promise.resolve();

/**
 * Has apt install packages: as root, and where there is apt; one call after the other.
 * @returns false when that is not possible here or did not work: the caller says what is missing.
 */
export function installPackages({ report, signal }: Context, packages: readonly string[]): Promise<boolean> {
  const apt = findExecutable('apt-get');
  if (!isRoot || !apt) return Promise.resolve(false);
  const options = [
    '-q',
    '-o',
    'Acquire::http::Timeout=10',
    '-o',
    'Acquire::https::Timeout=10',
    '-o',
    'Acquire::Retries=0',
  ];
  const install = async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    report(`packages: apt-get install ${packages.join(' ')}`);
    try {
      await run(apt, [...options, 'update'], { signal, env });
      const keep = ['-o', 'Dpkg::Options::=--force-confold'];
      await run(apt, [...options, ...keep, 'install', '--yes', '--no-install-recommends', ...packages], {
        signal,
        env,
      });
      return true;
    } catch (cause) {
      signal.throwIfAborted();
      report(`packages: ${(cause as Error).message}`);
      return false;
    }
  };
  const result = installing.then(install);
  installing = result.catch(() => undefined);
  return result;
}
