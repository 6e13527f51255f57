/** Short-lived commands of the bootstrap. They end with it, even when it is killed. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { findExecutable } from './find';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Told each line of standard error as it comes. */
  readonly onLine?: (line: string) => void;
}

export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';

  constructor(
    readonly command: string,
    /** The last lines of what it printed. */
    readonly tail: string,
    how: string,
  ) {
    super(`${command} ${how}${tail ? `; its last words: ${tail.replaceAll('\n', ' | ')}` : ''}`);
  }
}

/** `setpriv` has the kernel end the command when this process ends, however that happens. */
const tied = (command: string, args: readonly string[]): [string, ...string[]] => {
  const setpriv = findExecutable('setpriv');
  return setpriv ? [setpriv, '--pdeathsig=KILL', '--', command, ...args] : [command, ...args];
};

/**
 * @returns standard output.
 * @throws CommandFailed when it ends with another code than 0 or can't be started.
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  options.signal?.throwIfAborted();
  const [file, ...rest] = tied(command, args);
  const child = spawn(file, rest, {
    ...(options.cwd ? { cwd: options.cwd } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  const tail: string[] = [];
  const remember = (line: string) => {
    if (line.trim() !== '') tail.push(line.trim());
    if (tail.length > 3) tail.shift();
  };
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  createInterface({ input: child.stderr }).on('line', (line) => {
    remember(line);
    options.onLine?.(line);
  });
  const how = await new Promise<string | undefined>((resolve) => {
    child.once('error', (cause) => resolve(`can't be started (${cause.message})`));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}`));
  });
  options.signal?.throwIfAborted();
  const text = Buffer.concat(output).toString();
  if (how === undefined) return text;
  // Some tools (Maven, for one) complain on standard output.
  if (tail.length === 0) text.trim().split('\n').slice(-3).forEach(remember);
  throw new CommandFailed(command, tail.join('\n'), how);
}
