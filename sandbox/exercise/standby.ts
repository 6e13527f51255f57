/** The command line, as a person would call it: its typed events, its exit code. */
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { readEnvironment } from '../environment';
import { SandboxError } from '../error';
import { repository } from '../world';
import type { StepTime } from './timeline';

/** What the exercise reads of an event: one line of `standby … --json`. */
export interface Event {
  readonly code: string;
  readonly step?: string;
  readonly seconds?: number;
  readonly why?: string;
  readonly message?: string;
  readonly [more: string]: unknown;
}

export interface Ended {
  readonly code: number | null;
  readonly events: readonly Event[];
  /** The last thing that it said. */
  readonly last: string;
}

const command = path.join(repository, 'bin', 'standby.js');

/** Runs one command to its end, with nobody there to ask. */
export async function call(
  args: readonly string[],
  { env = {}, on }: { readonly env?: Readonly<Record<string, string>>; readonly on?: (event: Event) => void } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [command, ...args, '--json'], {
    env: { ...process.env, ...readEnvironment()?.people, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const events: Event[] = [];
  let last = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line) as Event;
    if (event.message) last = event.message;
    events.push(event);
    on?.(event);
  });
  createInterface({ input: child.stderr }).on('line', (line) => (last = line));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, events, last };
}

/** @throws SandboxError with the exit code and the last thing that it said, when the code is another one. */
export async function standby(
  args: readonly string[],
  options: Parameters<typeof call>[1] & { readonly code?: number } = {},
): Promise<readonly Event[]> {
  const { code, events, last } = await call(args, options);
  if (code === (options.code ?? 0)) return events;
  throw new SandboxError('StandbyFailed', `standby ${args.join(' ')} ended with ${code}: ${last}`);
}

/** Runs a change of role. @returns the steps that it took, in the order in which they ended. */
export async function changeRole(args: readonly string[], report: (line: string) => void): Promise<StepTime[]> {
  const steps: StepTime[] = [];
  await standby([...args, '--yes'], {
    on: (event) => {
      if (event.code === 'StepDone' && event.step) {
        steps.push({ id: event.step, seconds: event.seconds ?? NaN });
        report(`           ${event.step}: ${event.seconds?.toFixed(1)} s`);
      }
      if (event.code === 'StepSkipped') report(`           ${event.step}: already true, ${event.why}`);
    },
  });
  return steps;
}
