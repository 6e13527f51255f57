/** A project of three stacks with the real engine, the state of its own, and a cloud that is a folder. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { AdapterContext } from '../../../adapters/context';
import { loadConfiguration } from '../../../adapters/pulumi/configuration';
import type { Landscape } from '../../../config/landscape';
import type { Call } from '../../../failover/ports';
import { readToolchain } from '../../../sandbox/bootstrap/toolchain';
import { folders, repository } from '../../../sandbox/world';

export class Trial {
  private constructor(
    readonly folder: string,
    private readonly provider: ChildProcess,
    readonly env: Readonly<Record<string, string | undefined>>,
  ) {}

  /** @param more - variables of the process; a backend, for example. @throws SandboxError when the engine was not set up yet. */
  static async start(more: Readonly<Record<string, string>> = {}): Promise<Trial> {
    const { pulumi } = readToolchain();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-trial-'));
    for (const file of ['Pulumi.yaml', 'package.json', 'index.js'])
      fs.copyFileSync(path.join(__dirname, file), path.join(folder, file));
    for (const stack of ['prod', 'intg', 'failover']) {
      fs.copyFileSync(path.join(repository, `Pulumi.${stack}.yaml`), path.join(folder, `Pulumi.${stack}.yaml`));
    }
    fs.symlinkSync(path.join(repository, 'node_modules'), path.join(folder, 'node_modules'));
    // The rule that counts a real plan's data has nothing to count here; the others are in force.
    const policies = path.join(folder, 'policies.json');
    fs.writeFileSync(policies, JSON.stringify({ 'data-resources-kept': 'disabled' }));
    for (const name of ['state', 'cloud']) fs.mkdirSync(path.join(folder, name));
    const provider = spawn(process.execPath, [path.join(__dirname, 'provider.js'), '127.0.0.1:1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TRIAL_CLOUD: path.join(folder, 'cloud') },
    });
    const [port] = (await once(provider.stdout, 'data')) as [Buffer];
    const trial = new Trial(folder, provider, {
      ...process.env,
      PATH: `${folders.bin}:${path.dirname(pulumi.path)}:${process.env['PATH']}`,
      PULUMI_HOME: path.join(folder, 'home'),
      PULUMI_BACKEND_URL: `file://${path.join(folder, 'state')}`,
      PULUMI_CONFIG_PASSPHRASE: 'trial-passphrase',
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      PULUMI_DEBUG_PROVIDERS: `azure-native:${port.toString().trim()}`,
      STANDBY_PROJECT: folder,
      STANDBY_POLICY_CONFIG: policies,
      ...more,
    });
    for (const stack of ['prod', 'intg', 'failover']) trial.run('stack', 'init', stack, '--no-select');
    return trial;
  }

  run(...args: readonly string[]): string {
    return execFileSync('pulumi', ['--cwd', this.folder, '--non-interactive', ...args], {
      env: this.env,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }

  get context(): AdapterContext {
    return {
      environment: this.env,
      configuration: () => loadConfiguration(this.env),
      // Nothing that is tried with this project looks into it.
      landscape: { secrets: {} } as Landscape,
    };
  }

  cloud(name: string): string {
    return path.join(this.folder, 'cloud', name);
  }

  stop(): void {
    this.provider.kill();
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export const call = (said: string[] = [], signal = new AbortController().signal): Call => ({
  signal,
  progress: (message) => said.push(message),
});

/** Waits for something that a real process does. */
export async function until(what: string, condition: () => boolean, limitMs = 60_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
