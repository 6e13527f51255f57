/** The command line as it is typed, in a process of its own. */
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { repository } from '../../sandbox/world';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Nobody is there to ask: standard input is no terminal. */
export function standby(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [path.join(repository, 'bin', 'standby.js'), ...args], {
    env: { ...process.env, STANDBY_PROJECT: repository, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve({ code, out, err }));
  });
}
