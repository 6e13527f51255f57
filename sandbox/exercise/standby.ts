/** The engine, as a person would call it: the command line, its typed events, its exit code. */
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { readEnvironment } from '../environment';
import { SandboxError } from '../error';
import { repository } from '../world';
import type { StepTime } from './timeline';

/** What the exercise reads of an event: one line of `standby … --json`. */
interface Event {
  readonly code: string;
  readonly step?: string;
  readonly seconds?: number;
  readonly why?: string;
  readonly message?: string;
}

const command = path.join(repository, 'bin', 'standby.js');

/**
 * Runs one command to its end, with nobody there to ask.
 * @returns the steps that it took, in the order in which they ended.
 * @throws SandboxError with the exit code and the last thing that it said.
 */
export async function standby(args: readonly string[], report: (line: string) => void): Promise<StepTime[]> {
  const child = spawn(process.execPath, [command, ...args, '--yes', '--json'], {
    env: { ...process.env, ...readEnvironment()?.people },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const steps: StepTime[] = [];
  let last = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line) as Event;
    if (event.message) last = event.message;
    if (event.code === 'StepDone' && event.step) {
      steps.push({ id: event.step, seconds: event.seconds ?? NaN });
      report(`           ${event.step}: ${event.seconds?.toFixed(1)} s`);
    }
    if (event.code === 'StepSkipped') report(`           ${event.step}: already true, ${event.why}`);
  });
  createInterface({ input: child.stderr }).on('line', (line) => (last = line));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (code !== 0) throw new SandboxError('StandbyFailed', `standby ${args.join(' ')} ended with ${code}: ${last}`);
  return steps;
}
