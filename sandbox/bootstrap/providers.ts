/** Who serves the providers to the engine: the vendors' plugins where all of them can be had, else the sandbox's stand-ins. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { folders, providerPorts, repository } from '../world';
import { cached, digestOf, place } from './cache';
import { answers } from './download';
import { findExecutable } from './find';
import { run } from './run';
import { step, type Context, type Progress } from './step';
import type { Toolchain } from './toolchain';

interface Plugin {
  readonly name: string;
  readonly version: string;
}

const source = 'https://get.pulumi.com/releases/plugins';
const binaryOf = ({ name }: Plugin) => `pulumi-resource-${name}`;
const folderOf = ({ name, version }: Plugin) => path.join('plugins', `resource-${name}-v${version}`);

/** The plugins' versions are those of the installed npm packages. */
const plugins = (): Plugin[] =>
  Object.keys(providerPorts).map((name) => {
    const manifest = path.join(repository, 'node_modules', '@pulumi', name, 'package.json');
    return { name, version: (JSON.parse(fs.readFileSync(manifest, 'utf8')) as { version: string }).version };
  });

/** `STANDBY_PROVIDERS` = `stand-in` or `official` leaves no choice. @default - official where all can be had */
function wanted(): Toolchain['providers'] | undefined {
  const value = process.env['STANDBY_PROVIDERS'];
  if (value === undefined || value === 'official' || value === 'stand-in') return value;
  throw new SandboxError('BadSetting', `STANDBY_PROVIDERS is "${value}"; allowed: official, stand-in; or unset it`);
}

export function chooseProviders(context: Context, engine: Toolchain['pulumi']): Promise<Toolchain['providers']> {
  return step(context, 'provider plugins', async (progress) => {
    const all = plugins();
    const names = all.map(({ name, version }) => `${name} ${version}`).join(', ');
    const unlink = () => all.forEach((plugin) => fs.rmSync(path.join(folders.bin, binaryOf(plugin)), { force: true }));
    if (wanted() === 'stand-in') {
      unlink();
      return ['stand-in', `the sandbox's stand-ins, as STANDBY_PROVIDERS says (${names})`];
    }
    const found = findInstalled(all) ?? (await downloadPlugins(context, engine, all, progress));
    if (found) {
      for (const [index, plugin] of all.entries())
        place(found[index] as string, path.join(folders.bin, binaryOf(plugin)));
      return ['official', `the vendors' own (${names})`];
    }
    unlink();
    return ['stand-in', `the sandbox's stand-ins, as the vendors' own are neither installed nor to be had (${names})`];
  });
}

/** @returns the plugins' programs, in order; undefined unless all are there in the right version. */
function findInstalled(all: readonly Plugin[], home = pulumiHome()): string[] | undefined {
  const found = all.map((plugin) => findExecutable(binaryOf(plugin), [path.join(home, folderOf(plugin))]));
  return found.every((file) => file !== undefined) ? found : undefined;
}

const pulumiHome = () => process.env['PULUMI_HOME'] ?? path.join(os.homedir(), '.pulumi');

/** The answer is kept: a machine that could not reach the vendor is not made to wait for it each time. */
async function downloadPlugins(
  context: Context,
  engine: Toolchain['pulumi'],
  all: readonly Plugin[],
  { at }: Progress,
): Promise<string[] | undefined> {
  const outOfReach = path.join(folders.cache, 'provider-plugins-out-of-reach');
  if (wanted() !== 'official' && fs.existsSync(outOfReach)) return undefined;
  const { report, signal } = context;
  try {
    // The engine itself came from there, or could not.
    if (engine.origin === 'built')
      throw new SandboxError('DownloadFailed', `${source} was out of reach for the engine already`);
    await answers(source);
    const { folder } = await cached(
      'plugins',
      digestOf(all.map(binaryOf).concat(all.map(folderOf))),
      async (unfinished) => {
        for (const { name, version } of all) {
          at(`fetching ${name} ${version}`);
          const env = { PULUMI_HOME: unfinished, PULUMI_SKIP_UPDATE_CHECK: 'true' };
          await run(engine.path, ['plugin', 'install', 'resource', name, version], { signal, env });
        }
      },
    );
    return findInstalled(all, folder);
  } catch (cause) {
    signal.throwIfAborted();
    if (wanted() === 'official') throw cause;
    report(`provider plugins: ${(cause as Error).message}`);
    fs.writeFileSync(outOfReach, '');
    return undefined;
  }
}
