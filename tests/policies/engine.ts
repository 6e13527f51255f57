/** Runs the small program of this folder with the real engine, a state of its own, and a provider without a cloud. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { readToolchain } from '../../sandbox/bootstrap/toolchain';
import { folders, repository } from '../../sandbox/world';

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

export class Engine {
  private constructor(
    private readonly folder: string,
    private readonly provider: ChildProcess,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** @throws SandboxError when the engine has not been set up yet. */
  static async start(): Promise<Engine> {
    const { pulumi } = readToolchain();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-policies-'));
    fs.cpSync(path.join(__dirname, 'program'), folder, { recursive: true });
    fs.symlinkSync(path.join(repository, 'node_modules'), path.join(folder, 'node_modules'));
    fs.mkdirSync(path.join(folder, 'state'));
    const provider = spawn(process.execPath, [path.join(__dirname, 'echo-provider.js'), '127.0.0.1:1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [port] = (await once(provider.stdout, 'data')) as [Buffer];
    const engine = new Engine(folder, provider, {
      ...process.env,
      PATH: `${folders.bin}:${path.dirname(pulumi.path)}:${process.env['PATH']}`,
      PULUMI_HOME: path.join(folder, 'home'),
      PULUMI_BACKEND_URL: `file://${path.join(folder, 'state')}`,
      PULUMI_CONFIG_PASSPHRASE: 'trial',
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      PULUMI_DEBUG_PROVIDERS: `azure-native:${port.toString().trim()}`,
    });
    await engine.run('stack', 'init', 'prod');
    return engine;
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile('pulumi', [...args, '--non-interactive'], { cwd: this.folder, env: this.env }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr }),
      );
    });
  }

  /** Sets the whole configuration of the program, without starting the engine for it. */
  configure(config: Readonly<Record<string, string>>): void {
    const file = path.join(this.folder, 'Pulumi.prod.yaml');
    const salt = /^encryptionsalt: .*$/m.exec(fs.readFileSync(file, 'utf8'))?.[0] ?? '';
    const lines = Object.entries(config).map(([key, value]) => `  trial:${key}: ${JSON.stringify(value)}`);
    fs.writeFileSync(file, [salt, lines.length > 0 ? 'config:' : '', ...lines, ''].join('\n'));
  }

  /** @returns the arguments that put the update under the policies, with the settings of a file written for it. */
  underPolicies(settings: object): readonly string[] {
    const file = path.join(this.folder, 'settings.json');
    fs.writeFileSync(file, JSON.stringify(settings));
    return ['--policy-pack', path.join(repository, 'policies'), '--policy-pack-config', file];
  }

  async export(): Promise<unknown> {
    return JSON.parse((await this.run('stack', 'export')).output);
  }

  stop(): void {
    this.provider.kill();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
