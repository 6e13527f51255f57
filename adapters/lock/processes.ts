/** Whether a process is still the one that it was: a number alone is given again. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';

const readText = (file: string): string => {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
};
const link = (file: string): string => {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
};

const digest = (...parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);

/** This machine since its start, and this set of process numbers: a container has its own. */
export const machine = (): string =>
  digest(os.hostname(), readText('/proc/sys/kernel/random/boot_id'), link('/proc/self/ns/pid'));

/** The same, whenever the machine was started: what is on its disks outlives that. */
export const numbering = (): string => digest(os.hostname(), link('/proc/self/ns/pid'));

/** Clock ticks a second, as the kernel tells them to programs: the same on every Linux. */
const ticks = 100;

/** @returns milliseconds since 1970 at which the process began; undefined when there is none. */
export function beganAt(pid: number): number | undefined {
  if (process.platform !== 'linux') return beganByPs(pid);
  const stat = readText(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended: nothing of it acts any more.
  if (fields.length < 20 || fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const boot = Number(/^btime (\d+)$/m.exec(readText('/proc/stat'))?.[1] ?? 0);
  return boot * 1000 + (Number(fields[19]) / ticks) * 1000;
}

function beganByPs(pid: number): number | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const at = Date.parse(text.trim());
    return Number.isNaN(at) ? undefined : at;
  } catch {
    return undefined;
  }
}

/** The kernel's boot time moves by a second when the clock is set. */
const toleranceMs = 2_500;

/** @param began - what `beganAt` gave when it was alive. */
export function isAlive(pid: number, began: number): boolean {
  const now = beganAt(pid);
  return now !== undefined && Math.abs(now - began) <= toleranceMs;
}

/** @returns whether the process exists and began before something that it did at `at`. */
export function existedAt(pid: number, at: number): boolean {
  const began = beganAt(pid);
  return began !== undefined && began <= at + toleranceMs;
}
