/** The whole world as it is now, kept on disk, and gone back to: its data, not its processes, which start anew. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { stopAll, wake } from '../supervisor';
import { folders, home } from '../world';

const folderOf = (name: string) => path.join(home, 'snapshots', name);

/** Owners and modes are part of the data: PostgreSQL refuses files that are not its own. */
const copy = (from: string, to: string) => execFileSync('cp', ['-a', '--reflink=auto', from, to]);

/** Stops the world, keeps it under a name (in place of what had that name), and starts it again. */
export async function keep(name: string): Promise<void> {
  const folder = folderOf(name);
  await stopAll();
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  copy(folders.run, folder + '.new');
  fs.renameSync(folder + '.new', folder);
  await wake();
}

/** Gives up the world as it is and goes back to the one that was kept. @throws SandboxError when none was. */
export async function rewind(name: string): Promise<void> {
  const folder = folderOf(name);
  if (!fs.existsSync(folder)) {
    throw new SandboxError('UnknownSnapshot', `no world was kept as "${name}"; keep one: standby sandbox keep ${name}`);
  }
  await stopAll();
  fs.rmSync(folders.run, { recursive: true, force: true });
  copy(folder, folders.run);
  await wake();
}
