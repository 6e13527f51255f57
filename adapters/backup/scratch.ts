/**
 * Folders for what must not stay: opened backups, dumps, throw-away servers. Each is named by the process that made it, so that what a
 * killed one left is removed by the next.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { beganAt, isAlive, numbering } from '../lock/processes';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Removes first what dead processes left, in STANDBY_SCRATCH and in the system's temporary folder: there may be room for one copy of
 * the data and not for two.
 * @param purpose - lower-case letters: the first part of its name. @returns an empty folder that only its owner reads; its maker
 * removes it.
 */
export async function makeScratch(purpose: string, environment: Environment): Promise<string> {
  const root = environment['STANDBY_SCRATCH'] ?? os.tmpdir();
  for (const one of new Set([root, os.tmpdir()])) await removeLeftovers(one);
  const maker = `${process.pid}-${beganAt(process.pid) ?? 0}-${space()}`;
  return fs.promises.mkdtemp(path.join(root, `standby-${purpose}-${maker}-`));
}

/** A number says nothing of a process in another container or on another machine that has the folder as well: theirs are left alone. */
const space = () => numbering().slice(0, 6);
const named = /^standby-[a-z]+-(\d+)-([\d.]+)-([0-9a-f]{6})-/;

/** Removes what processes that are gone left in `root`: their server first, where it still runs. What can't be removed stays. */
export async function removeLeftovers(root: string): Promise<void> {
  for (const name of await fs.promises.readdir(root).catch(() => [])) {
    const [, pid, began, where] = named.exec(name) ?? [];
    if (pid === undefined || where !== space() || isAlive(Number(pid), Number(began))) continue;
    const folder = path.join(root, name);
    try {
      await endServer(path.join(folder, 'data'));
      await fs.promises.rm(folder, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // Another user's, or being removed by another process as well: no failover waits for that.
    }
  }
}

async function endServer(data: string): Promise<void> {
  const pid = Number(readFirstLine(path.join(data, 'postmaster.pid')));
  // A number alone is given again: it is the server only while it stands in its folder.
  const runs = () => pid > 1 && linkOf(`/proc/${pid}/cwd`) === data;
  if (!runs()) return;
  process.kill(pid, 'SIGQUIT');
  for (const end = Date.now() + 10_000; runs() && Date.now() < end;) await delay(50);
  if (runs()) process.kill(pid, 'SIGKILL');
}

const readFirstLine = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, 'utf8').split('\n')[0];
  } catch {
    return undefined;
  }
};
const linkOf = (file: string): string | undefined => {
  try {
    return fs.readlinkSync(file);
  } catch {
    return undefined;
  }
};
