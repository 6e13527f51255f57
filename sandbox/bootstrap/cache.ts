/**
 * What is built or fetched is a folder of the cache that is named after what it is made from. It is made under another name
 * and renamed when it is complete: so it is there wholly or not at all, whenever the maker is killed.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';

/** @returns a short digest of strings and of the contents of files. */
export function digestOf(strings: readonly string[], files: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const text of strings) hash.update(`${text}\0`);
  for (const file of files) hash.update(fs.readFileSync(file)).update('\0');
  return hash.digest('hex').slice(0, 16);
}

export interface Cached {
  readonly folder: string;
  /** False when it was there already. */
  readonly made: boolean;
}

/**
 * @param name what it is; `digest` of what it is made from. An older one of that name is removed when the new one is complete.
 * @param make fills the empty folder that it is given. Only one process may be here at a time: the bootstrap holds a lock.
 */
export async function cached(name: string, digest: string, make: (folder: string) => Promise<void>): Promise<Cached> {
  const folder = path.join(folders.cache, `${name}-${digest}`);
  if (fs.existsSync(folder)) return { folder, made: false };
  const unfinished = path.join(folders.cache, `${name}.unfinished`);
  fs.rmSync(unfinished, { recursive: true, force: true });
  fs.mkdirSync(unfinished, { recursive: true });
  try {
    await make(unfinished);
    fs.renameSync(unfinished, folder);
  } finally {
    fs.rmSync(unfinished, { recursive: true, force: true });
  }
  const older = new RegExp(`^${name}-[0-9a-f]{16}$`);
  for (const entry of fs.readdirSync(folders.cache)) {
    const other = path.join(folders.cache, entry);
    if (older.test(entry) && other !== folder) fs.rmSync(other, { recursive: true, force: true });
  }
  return { folder, made: true };
}

/**
 * Has `link` lead to `target`, in one move: whoever looks sees the old one or the new one. What is in the cache is named from
 * there: worlds share it by paths that are gone when they are.
 */
export function place(target: string, link: string): void {
  const next = `${link}.next`;
  fs.mkdirSync(path.dirname(link), { recursive: true });
  fs.rmSync(next, { force: true });
  const shared = target.startsWith(folders.cache + path.sep);
  fs.symlinkSync(shared ? path.relative(path.dirname(link), target) : target, next);
  fs.renameSync(next, link);
}
