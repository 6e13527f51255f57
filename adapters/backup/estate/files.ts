/** Files of a data set: JSON in an order of its own, and a folder that only its owner reads. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { EstateFile } from '../../../backup/estate/set';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { makeScratch } from '../scratch';

type Environment = AdapterContext['environment'];

export const jsonFile = (name: string, value: unknown): EstateFile => ({
  name,
  bytes: Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`),
});

export const textFile = (name: string, text: string): EstateFile => ({ name, bytes: Buffer.from(text) });

/** @throws StandbyError BackupIncomplete when the backup has no such file. */
export function bytesOf(files: readonly EstateFile[], name: string): Buffer {
  const found = files.find((file) => file.name === name);
  if (found) return found.bytes;
  throw new StandbyError('BackupIncomplete', `the backup has no file ${name}: take an older one, with --id`);
}

/** @param parse - throws for what is not as it was written. @throws StandbyError BackupIncomplete, BackupNotReadable */
export function readJsonFile<T>(files: readonly EstateFile[], name: string, parse: (value: unknown) => T): T {
  const text = bytesOf(files, name).toString('utf8');
  try {
    return parse(JSON.parse(text));
  } catch (cause) {
    // Neither error may quote the text: it may be secret.
    throw new StandbyError('BackupNotReadable', `the backup's file ${name} is not what this program wrote`, { cause });
  }
}

/**
 * Writes files into a folder that has none of them. @returns their paths.
 * @throws StandbyError FolderNotEmpty, NameRefused
 */
export function writeFiles(files: readonly EstateFile[], folder: string): string[] {
  const root = path.resolve(folder);
  if (fs.existsSync(root) && fs.readdirSync(root).length > 0) {
    throw new StandbyError(
      'FolderNotEmpty',
      `${folder} is not empty: name a folder that is new, nothing is overwritten`,
    );
  }
  return files.map(({ name, bytes }) => {
    const file = path.resolve(root, name);
    if (!file.startsWith(root + path.sep)) {
      throw new StandbyError('NameRefused', `the backup names a file ${JSON.stringify(name)} outside its folder`);
    }
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    fs.writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
    return file;
  });
}

/** Acts in a folder of its own, which only its owner reads and which is gone afterwards. */
export async function inFolder<T>(
  purpose: string,
  environment: Environment,
  act: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await makeScratch(purpose, environment);
  try {
    return await act(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
