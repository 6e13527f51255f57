import { createRequire } from 'node:module';
import * as path from 'node:path';

const sandbox = path.resolve(__dirname, '..', '..', 'sandbox') + path.sep;

/**
 * Modules of a world that is not this process's own: they read the environment once, when they are loaded.
 * @param sources - by name: path in sandbox/, without `.ts`
 */
export function modulesOf<T extends object>(
  env: Readonly<Record<string, string>>,
  sources: Readonly<Record<keyof T, string>>,
): T {
  const load = createRequire(__filename);
  const cached = Object.entries(load.cache).filter(([file]) => file.startsWith(sandbox));
  const forget = () => {
    for (const file of Object.keys(load.cache)) if (file.startsWith(sandbox)) delete load.cache[file];
  };
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, env);
  forget();
  const loaded = Object.entries(sources).map(
    ([name, file]) => [name, load(sandbox + String(file)) as unknown] as const,
  );
  forget();
  Object.assign(load.cache, Object.fromEntries(cached));
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return Object.fromEntries(loaded) as T;
}
