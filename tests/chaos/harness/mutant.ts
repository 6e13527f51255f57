/** The project without its fences, in a folder of its own: what the suite must find out. */
import { build } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { repository } from '../../../sandbox/world';
import type { ChaosWorld } from './world';

const linked = ['node_modules', 'sandbox', 'stacks', 'components', 'policies'];
const copied = [
  'bin',
  'cli',
  'adapters',
  'backup',
  'failover',
  'config',
  'agent',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
];

/**
 * What is put at the beginning of functions of adapters/postgres: a fence that does nothing, a proof of it that always holds. The
 * first epoch is the one that is left.
 */
const changes: readonly (readonly [file: string, name: string, body: string])[] = [
  ['admission.ts', 'fence', 'if (Date.now() > 0) return { cut: 0 };'],
  ['write.ts', 'tryWrite', "if (epoch === 1) return { accepted: false, answer: 'not asked' };"],
];

export interface Mutant {
  /** The command line without fences. */
  readonly program: string;
}

/** Makes the mutant, and puts its agents in place of the world's. @throws Error when there is nothing to change any more. */
export async function mutate(world: ChaosWorld): Promise<Mutant> {
  const folder = path.join(world.home, 'mutant');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder);
  for (const name of linked) fs.symlinkSync(path.join(repository, name), path.join(folder, name));
  for (const name of copied) fs.cpSync(path.join(repository, name), path.join(folder, name), { recursive: true });
  for (const [name, what, body] of changes) {
    const file = path.join(folder, 'adapters', 'postgres', name);
    const text = fs.readFileSync(file, 'utf8');
    const changed = text.replace(
      new RegExp(`(export async function ${what}\\([^]*?\\): Promise<[^]*?> \\{\\n)`),
      (head) => `${head}  ${body}\n`,
    );
    if (changed === text) throw new Error(`${name} has no function ${what} any more: say here what the fence is now`);
    fs.writeFileSync(file, changed);
  }
  await build({
    entryPoints: [path.join(folder, 'agent', 'main.ts')],
    outfile: path.join(world.modules.world.folders.build, 'agent.js'),
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
  });
  for (const site of ['prod', 'intg'] as const) {
    await world.kubectl(site, 'rollout', 'restart', 'deployment/standby-agent', '-n', 'moodtalk');
    await world.kubectl(site, 'rollout', 'status', 'deployment/standby-agent', '-n', 'moodtalk', '--timeout=180s');
  }
  return { program: path.join(folder, 'bin', 'standby.js') };
}
