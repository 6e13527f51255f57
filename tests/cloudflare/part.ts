/** Runs one part of the sandbox as its own process in a world of its own, the way the supervisor does. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { buildSync } from 'esbuild';

type World = typeof import('../../sandbox/world');
type Authority = typeof import('../../sandbox/authority');

const modules = createRequire(__filename);

/** The map and the authority of another world than this process's own: their modules read the environment once. */
function modulesOf(number: number, home: string): { world: World; authority: Authority } {
  const files = ['../../sandbox/world', '../../sandbox/authority'].map((name) => modules.resolve(name));
  const before = files.map((file) => modules.cache[file]);
  const { STANDBY_WORLD, STANDBY_HOME } = process.env;
  Object.assign(process.env, { STANDBY_WORLD: String(number), STANDBY_HOME: home });
  for (const file of files) delete modules.cache[file];
  const [world, authority] = files.map((file) => modules(file) as unknown) as [World, Authority];
  files.forEach((file, index) => {
    if (before[index]) modules.cache[file] = before[index];
    else delete modules.cache[file];
  });
  for (const [name, value] of Object.entries({ STANDBY_WORLD, STANDBY_HOME })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return { world, authority };
}

export class TestWorld {
  readonly home = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-test-'));
  readonly world: World;
  readonly authority: Authority;
  private child: ChildProcess | undefined;

  /** @param number one that no other test uses at the same time */
  constructor(
    private readonly part: string,
    private readonly number: number,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    ({ world: this.world, authority: this.authority } = modulesOf(number, this.home));
    buildSync({
      entryPoints: [path.join(this.world.repository, 'sandbox', part, 'main.ts')],
      outfile: path.join(this.world.folders.build, `${part}.js`),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      packages: 'external',
      logLevel: 'error',
    });
  }

  /** Resolves when the part says that it is ready. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.authority.createAuthority();
    const child = spawn(process.execPath, [path.join(this.world.folders.build, `${this.part}.js`)], {
      env: {
        PATH: process.env['PATH'],
        HOME: this.home,
        STANDBY_WORLD: String(this.number),
        STANDBY_HOME: this.home,
        STANDBY_REPOSITORY: this.world.repository,
        NODE_PATH: path.join(this.world.repository, 'node_modules'),
        NODE_EXTRA_CA_CERTS: this.authority.authorityFile,
        ...this.env,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${this.part} ended with ${code} before it was ready`)));
      child.stdout.on('data', (text: Buffer) => text.includes('"ready":true') && resolve());
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async remove(): Promise<void> {
    await this.stop();
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}
