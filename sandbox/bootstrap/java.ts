/** Finds Java, which runs Keycloak. */
import * as path from 'node:path';
import { findExecutable, isAtLeast, missing } from './find';
import { installPackages } from './packages';
import { run } from './run';
import { step, type Context } from './step';
import type { Tool } from './toolchain';
import { versions } from './versions';

export function prepareJava(context: Context): Promise<Tool> {
  return step(context, 'Java', async () => {
    const { least } = versions.java;
    let found = await find(context);
    if (!found && (await installPackages(context, [`openjdk-${least}-jre-headless`]))) found = await find(context);
    const how = `apt-get install openjdk-${least}-jre-headless, or set JAVA_HOME`;
    if (!found) throw missing('Java', least, 'but neither JAVA_HOME nor PATH leads to one', how);
    return [found, `${found.version} at ${found.path}`];
  });
}

async function find({ signal }: Context): Promise<Tool | undefined> {
  const home = process.env['JAVA_HOME'];
  for (const file of [home ? findExecutable('java', [path.join(home, 'bin')]) : undefined, findExecutable('java')]) {
    if (!file) continue;
    let version = '0';
    const onLine = (line: string) => (version = /version "([^"]+)"/.exec(line)?.[1] ?? version);
    await run(file, ['-version'], { signal, onLine });
    if (isAtLeast(version, versions.java.least)) return { path: file, version };
  }
  return undefined;
}
