/** Object storage of another provider: an S3 server whose object lock holds, built from its Go modules. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, repository } from '../world';
import { cached, digestOf, place } from './cache';
import { build, fetchModules, findGo, type GoModule } from './go';
import { step, type Context } from './step';
import type { Tool } from './toolchain';

const folder = path.join(repository, 'sandbox', 'bootstrap', 'versitygw');
const gatewayModule: GoModule = { folder, package: 'github.com/versity/versitygw/cmd/versitygw', tags: '' };
const sources = ['go.mod', 'go.sum', 'tools.go'].map((name) => path.join(folder, name));

/** @param free resolves when the processors are free: until then only the modules are fetched. */
export function prepareVersitygw(context: Context, free: Promise<unknown>): Promise<Tool> {
  return step(context, 'S3 object storage', async (progress) => {
    const version = /versitygw v(\S+)/.exec(fs.readFileSync(path.join(folder, 'go.mod'), 'utf8'))?.[1] ?? 'unknown';
    const flags = ['-trimpath', '-ldflags', `-s -w -X main.Version=v${version}`];
    const { folder: result, made } = await cached(
      'versitygw',
      digestOf([process.arch, ...flags], sources),
      async (unfinished) => {
        const go = await findGo(context);
        const packages = await fetchModules(context, go, gatewayModule, progress);
        progress.at('waiting for the processors');
        await free;
        const output = path.join(unfinished, 'versitygw');
        await build(
          context,
          gatewayModule,
          [go, 'build', ...flags, '-o', output, gatewayModule.package],
          packages,
          progress,
        );
      },
    );
    const file = path.join(folders.bin, 'versitygw');
    place(path.join(result, 'versitygw'), file);
    return [{ path: file, version }, `versitygw ${version} ${made ? 'built' : 'found in the cache'}`];
  });
}
