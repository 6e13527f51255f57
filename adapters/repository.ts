/** Where this installation is: the folder of package.json. A bundle of the program keeps no folder of its own modules. */
import * as fs from 'node:fs';
import * as path from 'node:path';

function above(folder: string): string {
  if (fs.existsSync(path.join(folder, 'package.json'))) return folder;
  const parent = path.dirname(folder);
  if (parent === folder) throw new Error(`no package.json above ${__dirname}`);
  return above(parent);
}

export const repository = above(__dirname);
