/** A world of the sandbox for one test file: its own addresses and folder, one site's cluster, real processes. */
import { buildSync } from 'esbuild';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type * as authorityModule from '../../sandbox/authority';
import type * as outsideModule from '../../sandbox/network/outside';
import type * as standpointsModule from '../../sandbox/network/standpoints';
import type * as processModule from '../../sandbox/process';
import type * as rulesModule from '../../sandbox/chaos/rules';
import type * as clocksModule from '../../sandbox/chaos/clocks';
import type * as frozenModule from '../../sandbox/chaos/frozen';
import type * as silenceModule from '../../sandbox/silence';
import type * as worldModule from '../../sandbox/world';
import * as own from '../../sandbox/world';
import { modulesOf } from '../support/modules';

interface Modules {
  readonly world: typeof worldModule;
  readonly process: typeof processModule;
  readonly authority: typeof authorityModule;
  readonly standpoints: typeof standpointsModule;
  readonly outside: typeof outsideModule;
  readonly silence: typeof silenceModule;
  readonly rules: typeof rulesModule;
  readonly clocks: typeof clocksModule;
  readonly frozen: typeof frozenModule;
}

const sources: Readonly<Record<keyof Modules, string>> = {
  world: 'world',
  process: 'process',
  authority: 'authority',
  standpoints: 'network/standpoints',
  outside: 'network/outside',
  silence: 'silence',
  rules: 'chaos/rules',
  clocks: 'chaos/clocks',
  frozen: 'chaos/frozen',
};

const run = promisify(execFile);
const bundles = {
  'node-agent': 'kubernetes/node-agent.ts',
  application: 'application/server.ts',
  hook: 'network/hook.ts',
  clock: 'chaos/clock.ts',
} as const;

export class TestWorld {
  readonly home = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-test-'));
  readonly modules: Modules;
  readonly env: Readonly<Record<string, string>>;

  /** @param number one that no other test uses at the same time */
  constructor(number: number) {
    const identity = {
      STANDBY_WORLD: String(number),
      STANDBY_HOME: this.home,
      STANDBY_REPOSITORY: own.repository,
      NODE_PATH: path.join(own.repository, 'node_modules'),
    };
    this.modules = modulesOf<Modules>(identity, sources);
    this.env = { ...identity, NODE_EXTRA_CA_CERTS: this.modules.authority.authorityFile };
  }

  get plan() {
    return this.modules.world.plan.prod;
  }

  get kubeconfig(): string {
    return path.join(this.modules.world.folders.kubernetes('prod'), 'kubeconfig');
  }

  /** Makes the authority and the bundles that pods and parts run. A test that was killed may have left its packet filter. */
  async prepare(): Promise<void> {
    for (const site of own.sites) this.modules.silence.setSilence(site, 'none');
    await this.modules.authority.createAuthority();
    for (const [name, source] of Object.entries(bundles)) {
      buildSync({
        entryPoints: [path.join(own.repository, 'sandbox', source)],
        outfile: path.join(this.modules.world.folders.build, `${name}.js`),
        bundle: true,
        platform: 'node',
        format: 'cjs',
        packages: 'external',
        logLevel: 'error',
      });
    }
  }

  async startControlPlane(): Promise<void> {
    await this.launchPart('kube-prod', path.join(own.folders.bin, 'kubebox'), [
      '--dir',
      this.modules.world.folders.kubernetes('prod'),
      '--address',
      this.plan.apiServer,
      '--name',
      'aks-prod',
    ]);
  }

  async startNode(): Promise<void> {
    const script = path.join(this.modules.world.folders.build, 'node-agent.js');
    await this.launchPart('node-prod', process.execPath, [script], { STANDBY_SITE: 'prod' });
  }

  /** Starts a process of the site, as the supervisor does it for a part, and waits until it is ready. */
  async launchPart(
    name: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { logFile, start, ready } = this.modules.process;
    const from = fs.existsSync(logFile(name)) ? fs.statSync(logFile(name)).size : 0;
    await start({ name, command, args, env: { ...this.env, ...env }, site: 'prod', scope: 'cluster' });
    await ready(name, 30_000, from);
  }

  /** kill -9, and nobody is told; returns when nothing of it holds a port any more. */
  async kill(name: string): Promise<void> {
    const record = this.modules.process.running().find((one) => one.name === name);
    if (!record) throw new Error(`${name} does not run`);
    process.kill(record.pid, 'SIGKILL');
    while (this.modules.process.isRunning(name)) await delay(10);
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('kubectl', ['--kubeconfig', this.kubeconfig, ...args]);
    return stdout;
  }

  /** Applies objects, given as JSON. */
  async apply(...items: readonly object[]): Promise<void> {
    const file = path.join(this.home, 'objects.json');
    fs.writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await this.kubectl('apply', '-f', file);
  }

  async remove(): Promise<void> {
    await this.modules.process.stop((record) => record.name === 'node-prod');
    await this.modules.process.stop(() => true);
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}

/** Asks until the condition holds. @throws Error when the time is over. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  ms = 10_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
