/** Bundles the sandbox's parts, each into one JavaScript file that starts fast; packages stay in node_modules. */
import { build } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, repository } from '../world';

/** Name of the bundle in `folders.build` → its source in sandbox/. */
const parts = {
  azure: 'azure/main.ts',
  cloudflare: 'cloudflare/main.ts',
  blob: 'blob/main.ts',
  providers: 'providers/main.ts',
  'node-agent': 'kubernetes/node-agent.ts',
  application: 'application/server.ts',
  agent: '../agent/main.ts',
  hook: 'network/hook.ts',
  relay: 'network/relay.ts',
  clock: 'chaos/clock.ts',
} as const;

/** @returns the paths of the bundles. @throws Error that names the source and the line that can't be bundled. */
export async function buildParts(): Promise<string[]> {
  const sources = Object.entries(parts).map(
    ([name, source]) => [name, path.join(repository, 'sandbox', source)] as const,
  );
  const unfinished = path.join(folders.build, `.${process.pid}`);
  await build({
    entryPoints: Object.fromEntries(sources),
    outdir: unfinished,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
  });
  // One by one and in one move each: a part that is starting sees the old bundle or the new one, never half of it.
  const files = fs.readdirSync(unfinished).map((name) => {
    fs.renameSync(path.join(unfinished, name), path.join(folders.build, name));
    return path.join(folders.build, name);
  });
  fs.rmdirSync(unfinished);
  return files;
}
