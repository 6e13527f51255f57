/** The table that people read, and the file that programs read. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { median, repository, type Cost } from './measure';

export interface Row {
  readonly figure: string;
  readonly unit: 's' | 'us' | 'times' | 'calls';
  readonly peer: string;
  /** Medians, in `unit`. */
  readonly peerValue: number;
  readonly ours: number;
  /** Of the counted rounds: what the machine disturbed least. */
  readonly least: { readonly peer: number; readonly ours: number };
  /** The peer's over ours: 10 = a tenth of the peer. Against a limit it is under 1, and 1 can't be passed. */
  readonly ratio: number;
  /** Every counted round, in `unit`, in the order in which they ran; empty for what is not a median. */
  readonly rounds: { readonly peer: readonly number[]; readonly ours: readonly number[] };
}

export interface Outcome {
  readonly rows: readonly Row[];
  /** What was left out, and what to know before a figure is quoted. */
  readonly notes: readonly string[];
}

export function row(
  figure: string,
  unit: Row['unit'],
  [peer, theirs]: readonly [name: string, rounds: readonly number[]],
  ours: readonly number[],
): Row {
  const [peerValue, own] = [median(theirs), median(ours)];
  const least = { peer: Math.min(...theirs), ours: Math.min(...ours) };
  return { figure, unit, peer, peerValue, ours: own, least, ratio: peerValue / own, rounds: { peer: theirs, ours } };
}

export const cpu = (costs: readonly Cost[]) => costs.map((cost) => cost.cpu);
export const wall = (costs: readonly Cost[]) => costs.map((cost) => cost.wall);

const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const shown = (value: number, unit: Row['unit']) =>
  unit === 'times' ? `x${digits(value)}` : `${unit === 'calls' ? value : digits(value)} ${unit}`;

/** @returns lines, columns aligned: figure, peer, the peer's and its least, ours and its least, ratio. */
export function table(rows: readonly Row[]): readonly string[] {
  const cells = [
    ['figure', 'peer', "the peer's", 'least', 'ours', 'least', 'ratio'],
    ...rows.map(({ figure, unit, peer, peerValue, ours, least, ratio }) => [
      figure,
      peer,
      shown(peerValue, unit),
      shown(least.peer, unit),
      shown(ours, unit),
      shown(least.ours, unit),
      digits(ratio),
    ]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? [];
  return cells.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
}

/** Where the figures were taken: without it they say nothing. */
export const machine = () => ({
  at: new Date().toISOString(),
  node: process.version,
  processor: os.cpus()[0]?.model.trim() ?? 'unknown',
  cores: os.cpus().length,
  /** Of the last minute, before the run: over 0.5 the times are another program's as well; ratios hold longer. */
  load: Number((os.loadavg()[0] ?? 0).toFixed(2)),
});

/** @returns the file, written anew: it holds what was run last. */
export function write(where: ReturnType<typeof machine>, outcomes: Readonly<Record<string, Outcome>>): string {
  const file = path.join(repository, 'out', 'bench.json');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify({ ...where, benchmarks: outcomes }, null, 2)}\n`);
  return file;
}
