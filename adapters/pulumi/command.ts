/** The command line of Pulumi, as a child that ends when we end. */
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { StandbyError } from '../../failover/errors';
import { repository } from '../repository';

export type Environment = Readonly<Record<string, string | undefined>>;
export type Stack = 'prod' | 'intg' | 'failover';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Options {
  readonly signal: AbortSignal;
  /** Each line of standard output as it comes; it is not kept then. */
  readonly onLine?: (line: string) => void;
  readonly timeoutMs?: number;
}

const guard = path.join(repository, 'adapters', 'pulumi', 'guard.js');

/** Folder of Pulumi.yaml. */
export const projectFolder = (environment: Environment): string =>
  path.resolve(environment['STANDBY_PROJECT'] ?? process.cwd());

/**
 * Runs one command in the project's folder. An abort interrupts it, and is thrown once it has ended: nothing of it goes on.
 * @throws StandbyError PulumiMissing, PulumiTimeout; the abort's reason.
 */
export async function pulumi(environment: Environment, args: readonly string[], options: Options): Promise<Ended> {
  const { signal, onLine, timeoutMs } = options;
  signal.throwIfAborted();
  const command = [guard, 'pulumi', '--cwd', projectFolder(environment), '--non-interactive', '--color', 'never'];
  const child = spawn(process.execPath, [...command, ...args], {
    env: { ...environment, PULUMI_SKIP_UPDATE_CHECK: 'true' },
    stdio: 'pipe',
    // A Ctrl-C is ours to handle: it must not reach the child by way of the terminal.
    detached: true,
  });
  const stop = () => child.stdin.destroy();
  child.stdin.on('error', () => undefined);
  signal.addEventListener('abort', stop, { once: true });
  let late = false;
  const timer = timeoutMs && setTimeout(() => ((late = true), stop()), timeoutMs);
  let [stdout, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  if (onLine) createInterface(child.stdout).on('line', onLine);
  else child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject).once('close', (ended) => resolve(ended ?? 1));
    });
    signal.throwIfAborted();
    if (late) {
      const what = `pulumi ${args.slice(0, 2).join(' ')}`;
      throw new StandbyError('PulumiTimeout', `${what} did not end within ${timeoutMs! / 1000} s`, { retryable: true });
    }
    if (code === 127 && stderr.includes('ENOENT')) {
      const fix = 'install it (https://www.pulumi.com/docs/install/) or put it on PATH';
      throw new StandbyError('PulumiMissing', `the command "pulumi" is not there: ${fix}`);
    }
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer || undefined);
    signal.removeEventListener('abort', stop);
  }
}
