/** PostgreSQL's own programs: where they are, and how a short-lived one runs inside a site. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { readToolchain } from '../../bootstrap/toolchain';
import { asUser, isRoot } from '../../process';
import { plan, type Site } from '../../world';

const distribution = '/usr/lib/postgresql';
const isBin = (folder: string) => fs.existsSync(path.join(folder, 'initdb'));

let bin: string | undefined;

/**
 * Folder of initdb, postgres, pg_basebackup, pg_receivewal: the one that the bootstrap found, else the distribution's newest.
 * @throws Error when there is none
 */
export function postgresBin(): string {
  bin ??= fromToolchain() ?? fromDistribution();
  if (!bin) throw new Error(`no PostgreSQL server programs in ${distribution}: install the package "postgresql"`);
  return bin;
}

function fromToolchain(): string | undefined {
  try {
    return readToolchain().postgresBin;
  } catch {
    return undefined; // not bootstrapped
  }
}

function fromDistribution(): string | undefined {
  const versions = fs.existsSync(distribution) ? fs.readdirSync(distribution) : [];
  return versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(distribution, version, 'bin'))
    .find(isBin);
}

export const program = (name: string) => path.join(postgresBin(), name);

let major: Promise<string> | undefined;
/** @returns the only major version that servers can have here, e.g. "15". */
export function majorVersion(): Promise<string> {
  major ??= run(undefined, program('postgres'), ['--version']).then((line) => / (\d+)/.exec(line)?.[1] ?? '');
  return major;
}

let minor: Promise<string> | undefined;
/** @returns e.g. "18" of 15.18. */
export function minorVersion(): Promise<string> {
  minor ??= run(undefined, program('postgres'), ['--version']).then((line) => / \d+\.(\d+)/.exec(line)?.[1] ?? '');
  return minor;
}

const children = new Set<ChildProcess>();
// Nothing that the service began goes on without it.
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Killed after this. @default 120_000 */
  readonly timeoutMs?: number;
}

/**
 * Runs a program to its end as PostgreSQL's user, inside the site: what the site can't reach, it can't reach.
 * @returns stdout and stderr
 * @throws Error with the last lines of its output
 */
export function run(
  site: Site | undefined,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const [file, ...rest] = [...asUser('postgres'), command, ...args] as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
      ...(isRoot && site ? { gid: plan[site].gid } : {}),
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', ...options.env },
    });
    children.add(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', (cause) => reject(new Error(`can't start ${command}: ${cause.message}`, { cause })));
    child.once('close', (code, signal) => {
      children.delete(child);
      if (code === 0) return resolve(output);
      const tail = output.trimEnd().split('\n').slice(-3).join(' | ');
      reject(new Error(`${path.basename(command)} ended with ${signal ?? code}: ${tail}`));
    });
  });
}
