/** The Kubernetes control plane: etcd, API server and controller manager as one program, built from their Go modules. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, repository } from '../world';
import { cached, digestOf, place } from './cache';
import { build, fetchModules, findGo, type GoModule } from './go';
import { step, type Context } from './step';
import type { Tool } from './toolchain';

const folder = path.join(repository, 'sandbox', 'kubernetes', 'kubebox');
const kubeboxModule: GoModule = { folder, package: '.', tags: 'providerless,grpcnotrace' };

/** @param free resolves when the processors are free: until then only the modules are fetched. */
export function prepareKubebox(context: Context, free: Promise<unknown>): Promise<Tool> {
  return step(context, 'Kubernetes control plane', async (progress) => {
    const sources = fs.readdirSync(folder).sort();
    const version =
      /k8s\.io\/kubernetes v(\S+)/.exec(fs.readFileSync(path.join(folder, 'go.mod'), 'utf8'))?.[1] ?? 'unknown';
    const digest = digestOf(
      [process.arch, ...sources],
      sources.map((name) => path.join(folder, name)),
    );
    const { folder: result, made } = await cached('kubebox', digest, async (unfinished) => {
      const go = await findGo(context);
      const packages = await fetchModules(context, go, kubeboxModule, progress);
      progress.at('waiting for the processors');
      await free;
      await build(context, kubeboxModule, ['sh', 'build.sh', path.join(unfinished, 'kubebox')], packages, progress);
    });
    const file = path.join(folders.bin, 'kubebox');
    place(path.join(result, 'kubebox'), file);
    return [{ path: file, version }, `Kubernetes ${version} ${made ? 'built' : 'found in the cache'}`];
  });
}
