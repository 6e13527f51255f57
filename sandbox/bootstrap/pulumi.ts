/** The Pulumi engine: the one that is installed, else the vendor's download, else built from its Go modules. */
import { build as bundle } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, repository } from '../world';
import { cached, digestOf, place } from './cache';
import { download } from './download';
import { findExecutable, isAtLeast } from './find';
import { build, fetchModules, findGo, type GoModule } from './go';
import { run } from './run';
import { step, type Context, type Progress } from './step';
import type { Toolchain } from './toolchain';
import { versions } from './versions';

type Engine = Toolchain['pulumi'];

const { version, least, source, sha256 } = versions.pulumi;
const engineName = 'pulumi';
const hostName = 'pulumi-language-nodejs';

const moduleFolder = path.join(repository, 'sandbox', 'bootstrap', 'engine');
const engineModule: GoModule = {
  folder: moduleFolder,
  package: 'github.com/pulumi/pulumi/pkg/v3/cmd/pulumi',
  tags: '',
};
const flags = [
  '-trimpath',
  '-ldflags',
  `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${version}`,
];
const sources = ['go.mod', 'go.sum', 'tools.go'].map((name) => path.join(moduleFolder, name));
const builtDigest = digestOf([version, process.arch, ...flags], sources);
const downloadedDigest = digestOf([version, process.arch]);

export function preparePulumi(context: Context): Promise<Engine> {
  return step(context, 'Pulumi engine', async (progress) => {
    const engine =
      (await findEngine(context)) ??
      (await downloadEngine(context, progress)) ??
      (await buildEngine(context, progress));
    const host = engine.origin === 'built' ? "the project's own Node language host" : 'its own Node language host';
    return [engine, `${engine.version} ${engine.origin}, with ${host}`];
  });
}

/** An installed CLI counts when its Node language host is beside it. */
async function findEngine({ signal }: Context): Promise<Engine | undefined> {
  const found = findExecutable(engineName);
  const host = findExecutable(hostName, found ? [path.dirname(fs.realpathSync(found)), path.dirname(found)] : []);
  if (!found || !host) return undefined;
  const has = (await run(found, ['version'], { signal, env: { PULUMI_SKIP_UPDATE_CHECK: 'true' } }))
    .trim()
    .replace(/^v/, '');
  if (!isAtLeast(has, least)) return undefined;
  placeEngine(found, host);
  return { path: found, version: has, origin: 'found' };
}

/** The folder leads PATH, so what an earlier bootstrap put there must not stay. */
function placeEngine(engine: string, host: string): void {
  place(engine, path.join(folders.bin, engineName));
  place(host, path.join(folders.bin, hostName));
}

const isCached = (name: string, digest: string) => fs.existsSync(path.join(folders.cache, `${name}-${digest}`));

async function downloadEngine(context: Context, { at }: Progress): Promise<Engine | undefined> {
  const { report, signal } = context;
  const pin = sha256[process.arch as keyof typeof sha256];
  // One that was built while the vendor was out of reach is as good.
  if (!pin || (isCached('engine', builtDigest) && !isCached('pulumi', downloadedDigest))) return undefined;
  try {
    const { folder } = await cached('pulumi', downloadedDigest, async (unfinished) => {
      const file = path.join(unfinished, 'archive.tar.gz');
      const url = `${source}/pulumi-v${version}-linux-${process.arch}.tar.gz`;
      at(`downloading ${version}`);
      await download({
        url,
        file,
        sha256: pin,
        signal,
        onBytes: (bytes) => at(`${Math.round(bytes / 1e6)} MB fetched`),
      });
      await run('tar', ['-xzf', file, '-C', unfinished, '--strip-components=1'], { signal });
      fs.rmSync(file);
    });
    const engine = path.join(folder, engineName);
    placeEngine(engine, path.join(folder, hostName));
    return { path: engine, version, origin: 'downloaded' };
  } catch (cause) {
    signal.throwIfAborted();
    report(`Pulumi engine: ${(cause as Error).message}: building it from its Go modules`);
    return undefined;
  }
}

async function buildEngine(context: Context, progress: Progress): Promise<Engine> {
  const { folder } = await cached('engine', builtDigest, async (unfinished) => {
    const go = await findGo(context);
    const packages = await fetchModules(context, go, engineModule, progress);
    const output = path.join(unfinished, engineName);
    await build(context, engineModule, [go, 'build', ...flags, '-o', output, engineModule.package], packages, progress);
  });
  const engine = path.join(folder, engineName);
  // Beside the engine, which is where it expects its own: from anywhere else it would warn at each start.
  const host = path.join(folder, hostName);
  await buildLanguageHost(host);
  placeEngine(engine, host);
  return { path: engine, version, origin: 'built' };
}

/** Bundled into one file, as start time counts. */
export async function buildLanguageHost(file: string): Promise<void> {
  const next = `${file}.next`;
  await bundle({
    entryPoints: [path.join(repository, 'sandbox', 'engine', 'language-host.ts')],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
    outfile: next,
    logLevel: 'silent',
  });
  fs.chmodSync(next, 0o755);
  fs.renameSync(next, file);
}
