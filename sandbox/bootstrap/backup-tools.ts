/** pgBackRest and age, as the distribution has them. */
import { findExecutable } from './find';
import { installPackages } from './packages';
import { run } from './run';
import { step, type Context } from './step';
import type { Tool, Toolchain } from './toolchain';

const asks = { pgbackrest: ['version'], age: ['--version'] } as const;
type Name = keyof typeof asks;
const names = Object.keys(asks) as Name[];

/** Nothing but backups needs them, so a machine without them is told and goes on. */
export function prepareBackupTools(context: Context): Promise<Pick<Toolchain, Name>> {
  return step(context, 'backup tools', async () => {
    const lacking = names.filter((name) => !findExecutable(name));
    if (lacking.length > 0) await installPackages(context, lacking);
    const found = await Promise.all(names.map(async (name) => [name, await find(context, name)] as const));
    const said = found.map(([name, tool]) => `${name} ${tool ? tool.version : 'not found, what needs it is left out'}`);
    return [Object.fromEntries(found.filter(([, tool]) => tool)), said.join(', ')];
  });
}

async function find({ signal }: Context, name: Name): Promise<Tool | undefined> {
  const path = findExecutable(name);
  if (!path) return undefined;
  const said = await run(path, asks[name], { signal });
  return { path, version: /\d+(\.\d+)+/.exec(said)?.[0] ?? 'unknown' };
}
