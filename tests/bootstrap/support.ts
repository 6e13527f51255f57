/** Helpers: folders that go away, programs that stand in for tools, scripts in a process and a world of their own. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { repository } from '../../sandbox/world';

const made: string[] = [];

export function folder(): string {
  const name = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-test-'));
  made.push(name);
  return name;
}

export function removeFolders(): void {
  for (const name of made.splice(0)) fs.rmSync(name, { recursive: true, force: true });
}

/** Writes an executable shell script. */
export function tool(where: string, name: string, script: string): void {
  fs.writeFileSync(path.join(where, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

const started = new Set<ChildProcess>();

/** Ends what a failed test left running: mocha would wait for it. */
export function killAll(): void {
  for (const child of started) child.kill('SIGKILL');
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves when the output holds the text. */
  readonly says: (text: string) => Promise<void>;
  readonly end: Promise<{ code: number | null; output: string }>;
}

/** Starts a command and collects what it prints on both channels. */
export function command(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = repository): Running {
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  started.add(child.once('close', () => started.delete(child)));
  let output = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString();
      for (const listener of listeners) listener();
    });
  }
  const end = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, output })),
  );
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.includes(text)) resolve();
      };
      listeners.add(look);
      look();
      void end.then(() => reject(new Error(`it ended without saying "${text}": ${output}`)));
    });
  return { child, says, end };
}

/** Runs TypeScript in a process of its own; paths of imports are relative to the repository. */
export const script = (code: string, env: NodeJS.ProcessEnv = {}): Running =>
  command(process.execPath, ['-r', 'ts-node/register/transpile-only', '-e', code], {
    TS_NODE_PROJECT: path.join(repository, 'tsconfig.json'),
    ...env,
  });
