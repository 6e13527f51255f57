/** What a person or a program reads: lines, colours where there is a terminal, typed events where `--json` asks for them. */
import { exitCodes, StandbyError } from '../failover/errors';

export const print = (line: string): void => void process.stdout.write(`${line}\n`);
export const printJson = (value: unknown): void => print(JSON.stringify(value));

const codes = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof codes;
export type Paint = (colour: Colour, text: string) => string;

const plain: Paint = (_colour, text) => text;
const coloured: Paint = (colour, text) => `\x1b[${codes[colour]}m${text}\x1b[0m`;

/** https://no-color.org: set and not empty. */
export const paintFor = (stream: { readonly isTTY?: boolean }): Paint =>
  stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb' ? coloured : plain;

/** Seconds with as many digits as a person needs. */
export const seconds = (value: number): string =>
  value < 10 ? `${value.toFixed(1)} s` : value < 600 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;

/** One line of what, why and what to do next, with the code under which the runbook has it. */
export function report(cause: unknown, { debug, json }: { readonly debug: boolean; readonly json: boolean }): void {
  const fault = cause instanceof Error ? cause : new Error(String(cause));
  const { code, exit } = fault as Error & { code?: unknown; exit?: string };
  const text = debug ? detailed(fault) : fault.message.split('\n').join(' ');
  process.stderr.write(`standby: ${text}${cause instanceof StandbyError ? coded(cause.code) : ''}\n`);
  if (!json) return;
  const known = { error: typeof code === 'string' ? code : fault.name, message: fault.message };
  printJson({ at: Date.now(), code: 'Failed', ...known, exit: exit ?? 'fault' });
}

export const coded = (code: string): string => ` (${code})`;

function detailed(fault: Error): string {
  const cause = fault.cause instanceof Error ? `\ncaused by: ${detailed(fault.cause)}` : '';
  return `${fault.stack ?? fault.message}${cause}`;
}

/** @returns the exit code that a fault stands for. */
export function exitOf(cause: unknown): number {
  if (cause instanceof StandbyError) return exitCodes[cause.exit];
  const { code } = cause as { code?: unknown };
  // Faults of the configuration and of the stacks' outputs: nothing was touched.
  return code === 'ConfigurationInvalid' || code === 'StackOutputMissing' ? exitCodes.refused : exitCodes.fault;
}
