/** Finds tools on this machine. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { folders } from '../world';

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
};

/** @returns the first executable of that name in `among`. @default - PATH, without the bootstrap's own folder */
export function findExecutable(name: string, among?: readonly string[]): string | undefined {
  const directories =
    among ?? (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== folders.bin);
  return directories.map((folder) => path.join(folder, name)).find(isExecutable);
}

/** Compares the numbers of two versions, "3.250.0" and "17"; what follows the numbers is ignored. */
export function isAtLeast(version: string, least: string): boolean {
  const numbers = (text: string) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number);
  const [have, want] = [numbers(version), numbers(least)];
  for (const [index, wanted] of want.entries()) {
    const had = have[index] ?? 0;
    if (had !== wanted) return had > wanted;
  }
  return true;
}

/** The one clear line: which tool, which version, how to get it. */
export const missing = (tool: string, version: string, found: string, how: string) =>
  new SandboxError('ToolMissing', `${tool} ${version} or newer is needed, ${found}; ${how}`);
