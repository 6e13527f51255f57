/** PostgreSQL's and pgBackRest's own programs, as children that end when we end. Secrets reach them by their environment alone. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { StandbyError } from '../../failover/errors';

type Environment = Readonly<Record<string, string | undefined>>;

const distributions = ['/usr/lib/postgresql', '/usr/pgsql', '/opt/postgresql'];

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
};

const versionsIn = (root: string): string[] =>
  (fs.existsSync(root) ? fs.readdirSync(root) : [])
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(root, version, 'bin'));

/**
 * Looks in STANDBY_POSTGRES_BIN, then where distributions keep the server's programs, the newest first, then on PATH: what stands
 * there may be a distribution's wrapper.
 * @throws StandbyError ProgramMissing
 */
export function program(name: string, environment: Environment): string {
  const own = environment['STANDBY_POSTGRES_BIN'];
  const folders = [
    ...(own ? [own] : []),
    ...distributions.flatMap(versionsIn),
    ...(environment['PATH'] ?? '').split(path.delimiter).filter(Boolean),
  ];
  const found = folders.map((folder) => path.join(folder, name)).find(isExecutable);
  if (found) return found;
  throw new StandbyError(
    'ProgramMissing',
    `the program "${name}" is not there: install PostgreSQL (or pgBackRest), or set STANDBY_POSTGRES_BIN to the folder that has it`,
  );
}

export interface ProgramOptions {
  readonly signal: AbortSignal;
  /** Added to PATH and HOME; what is in it is never shown. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Runs as this user where we are root: PostgreSQL's server refuses root. */
  readonly user?: string;
  /** Ends that are no fault. @default - 0 alone */
  readonly accept?: readonly number[];
  /** Code of the error. @default - ProgramFailed */
  readonly code?: string;
  readonly onLine?: (line: string) => void;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const isRoot = process.getuid?.() === 0;

/** `setpriv` changes the user, and has the kernel end the child when we are killed. */
export function asUser(user: string | undefined): readonly string[] {
  const become = user && isRoot ? [`--reuid=${user}`, `--regid=${user}`, '--init-groups'] : [];
  if (become.length > 0) return ['setpriv', '--pdeathsig=KILL', ...become, '--'];
  return isExecutable('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig=KILL', '--'] : [];
}

const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Starts a child that ends with this process. Its output is the caller's. */
export function startProgram(command: string, args: readonly string[], options: Omit<ProgramOptions, 'signal'>) {
  const [file, ...rest] = [...asUser(options.user), command, ...args] as [string, ...string[]];
  const child = spawn(file, rest, {
    cwd: options.cwd ?? '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    // A Ctrl-C is ours to handle: it must not reach the child by way of the terminal.
    detached: true,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', LC_ALL: 'C.UTF-8', ...options.env },
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/**
 * Runs a program to its end; an abort kills it, and is thrown once it has ended.
 * @throws StandbyError of `code` with the last lines of what it said, secrets of `env` taken out.
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  { signal, accept = [0], code: fault = 'ProgramFailed', onLine, ...options }: ProgramOptions,
): Promise<Ended> {
  signal.throwIfAborted();
  const child = startProgram(command, args, options);
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (onLine) text.split('\n').filter(Boolean).forEach(onLine);
  });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', (cause) => reject(notStarted(command, cause)));
      child.once('close', (ended) => resolve(ended ?? 137));
    });
    signal.throwIfAborted();
    if (accept.includes(code)) return { code, stdout, stderr };
    const said = lastWords(`${stdout}\n${stderr}`, secretsOf(options.env ?? {}));
    throw new StandbyError(fault, `${path.basename(command)} ended with ${code}: ${said}`, { exit: 'fault' });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

const notStarted = (command: string, cause: Error) =>
  new StandbyError('ProgramMissing', `${path.basename(command)} can't be started: ${cause.message}`, { cause });

/** Values that are secret by the name of their variable. */
const secretsOf = (env: Readonly<Record<string, string>>): string[] =>
  Object.entries(env).flatMap(([name, value]) => (/PASS|SECRET|KEY|TOKEN/.test(name) ? [value] : []));

/** The end of what a program said, in one line, without what must not be shown. */
export function lastWords(text: string, secrets: readonly string[]): string {
  const tail = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-3)
    .join(' | ');
  const clean = secrets
    .filter((secret) => secret.length >= 6)
    .reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), tail);
  return clean.slice(-600) || 'it said nothing';
}
