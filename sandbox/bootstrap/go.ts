/** Builds Go programs from modules that are pinned by go.mod and go.sum. */
import { answers } from './download';
import { findExecutable, isAtLeast, missing } from './find';
import { installPackages } from './packages';
import { run, type RunOptions } from './run';
import type { Context, Progress } from './step';
import { versions } from './versions';

export interface GoModule {
  /** Folder of go.mod. */
  readonly folder: string;
  /** The program's package, and the build tags that decide which packages it needs. */
  readonly package: string;
  readonly tags: string;
}

/** The compiler that collects its garbage less often needs a fifth less time, and more memory. */
const garbageLimit = process.env['GOGC'] ?? '400';

const options = (context: Context, module: GoModule): RunOptions => ({
  cwd: module.folder,
  signal: context.signal,
  env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false', GOGC: garbageLimit },
});

/** @returns the path of `go`. @throws SandboxError with the line that says how to get it. */
export async function findGo(context: Context): Promise<string> {
  const { least, recommended } = versions.go;
  const how = `get ${recommended} from https://go.dev/dl/ or install your distribution's golang-go`;
  let go = findExecutable('go');
  if (!go && (await installPackages(context, ['golang-go']))) go = findExecutable('go');
  if (!go) throw missing('Go', least, 'but no "go" is on PATH', how);
  const version = /go(\d[\d.]*)/.exec(await run(go, ['version'], { signal: context.signal }))?.[1] ?? '0';
  // From 1.21 on, Go fetches by itself the newer toolchain that a go.mod asks for.
  if (!isAtLeast(version, least)) throw missing('Go', least, `but ${go} is ${version}`, how);
  return go;
}

/**
 * Fetches the modules that the program needs, unless all are in Go's module cache: then no network is touched.
 * @returns how many packages the program is made of.
 */
export async function fetchModules(context: Context, go: string, module: GoModule, { at }: Progress): Promise<number> {
  const list = ['list', '-deps', '-tags', module.tags, module.package];
  const base = options(context, module);
  const offline = { ...base, env: { ...base.env, GOPROXY: 'off' } };
  let names = await run(go, list, offline).catch(() => undefined);
  if (names === undefined) {
    context.signal.throwIfAborted();
    await checkProxy(go, base);
    let count = 0;
    const onLine = (line: string) => {
      if (line.startsWith('go: downloading')) at(`${++count} modules fetched`);
    };
    names = await run(go, list, { ...base, onLine });
  }
  return names.trim().split('\n').length;
}

/** The go command waits for a silent proxy without an end. */
async function checkProxy(go: string, base: RunOptions): Promise<void> {
  const proxies = (await run(go, ['env', 'GOPROXY'], base)).trim().split(/[,|]/);
  const first = proxies[0] ?? '';
  if (/^https?:/.test(first)) await answers(first);
}

/**
 * @param command builds it: `go build …`, or a script that does.
 * @param packages how many packages there are, for the progress.
 */
export async function build(
  context: Context,
  module: GoModule,
  command: readonly [string, ...string[]],
  packages: number,
  { at }: Progress,
): Promise<void> {
  const base = options(context, module);
  let compiled = 0;
  // With -v the go command prints the name of each package that it compiles.
  const onLine = (line: string) => {
    if (/^[\w.-]+(\/\S+)*$/.test(line)) at(`compiling, ${++compiled} of at most ${packages} packages`);
  };
  at('linking');
  await run(command[0], command.slice(1), {
    ...base,
    env: { ...base.env, GOFLAGS: `${base.env?.['GOFLAGS']} -v` },
    onLine,
  });
}
