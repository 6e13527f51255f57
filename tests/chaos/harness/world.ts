/** A whole sandbox for scenarios: its three stacks, its commands, and ways to see what became of them. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import type * as authorityModule from '../../../sandbox/authority';
import type * as clusterModule from '../../../sandbox/azure/postgres/cluster';
import type * as recordModule from '../../../sandbox/azure/postgres/record';
import type * as clocksModule from '../../../sandbox/chaos/clocks';
import type * as frozenModule from '../../../sandbox/chaos/frozen';
import type * as rulesModule from '../../../sandbox/chaos/rules';
import type * as standpointsModule from '../../../sandbox/network/standpoints';
import type * as processModule from '../../../sandbox/process';
import type * as silenceModule from '../../../sandbox/silence';
import type * as worldModule from '../../../sandbox/world';
import * as own from '../../../sandbox/world';
import { modulesOf } from '../../support/modules';

interface Modules {
  readonly world: typeof worldModule;
  readonly process: typeof processModule;
  readonly authority: typeof authorityModule;
  readonly standpoints: typeof standpointsModule;
  readonly silence: typeof silenceModule;
  readonly rules: typeof rulesModule;
  readonly clocks: typeof clocksModule;
  readonly frozen: typeof frozenModule;
  readonly record: typeof recordModule;
  readonly cluster: typeof clusterModule;
}

const sources: Readonly<Record<keyof Modules, string>> = {
  world: 'world',
  process: 'process',
  authority: 'authority',
  standpoints: 'network/standpoints',
  silence: 'silence',
  rules: 'chaos/rules',
  clocks: 'chaos/clocks',
  frozen: 'chaos/frozen',
  record: 'azure/postgres/record',
  cluster: 'azure/postgres/cluster',
};

export type Stack = 'prod' | 'intg' | 'failover';
export const stacks: readonly Stack[] = ['prod', 'intg', 'failover'];

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = promisify(execFile);
const longestMs = 20 * 60_000;

export class ChaosWorld {
  readonly home: string;
  readonly modules: Modules;
  private readonly identity: Readonly<Record<string, string>>;
  private people: Readonly<Record<string, string>> = {};

  /**
   * @param number - of the world: one that no other test uses at the same time.
   * @param home - folder that is kept at the end. @default - a new one, removed at the end
   */
  constructor(
    number: number,
    private readonly keptHome?: string,
  ) {
    this.home = keptHome ?? fs.mkdtempSync(path.join(os.tmpdir(), 'standby-chaos-'));
    this.identity = { STANDBY_WORLD: String(number), STANDBY_HOME: this.home, STANDBY_REPOSITORY: own.repository };
    this.modules = modulesOf<Modules>(this.identity, sources);
    const cache = path.join(this.home, 'cache');
    fs.mkdirSync(this.home, { recursive: true });
    if (!fs.existsSync(cache)) fs.symlinkSync(own.folders.cache, cache);
  }

  /** Variables of an operator's shell. */
  get env(): Readonly<Record<string, string>> {
    return this.people;
  }

  /** Runs `standby sandbox …`. @throws Error with what it said. */
  async sandbox(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(process.execPath, [standby, 'sandbox', ...args], this.identity);
    if (code !== 0) throw new Error(`standby sandbox ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** An empty world, in place of what there is. */
  async startAnew(): Promise<void> {
    await this.sandbox('down');
    await this.sandbox('up');
    await this.readEnvironment();
  }

  hasKept(name: string): boolean {
    return fs.existsSync(path.join(this.home, 'snapshots', name));
  }

  async rewind(name: string): Promise<void> {
    await this.sandbox('rewind', name);
    await this.readEnvironment();
  }

  private async readEnvironment(): Promise<void> {
    this.people = JSON.parse(await this.sandbox('env', '--json')) as Record<string, string>;
  }

  /** Builds the three stacks as a person does. */
  async build(): Promise<void> {
    for (const stack of stacks) await this.pulumi(stack, 'stack', 'init', '--no-select');
    await Promise.all((['prod', 'intg'] as const).map((stack) => this.update(stack)));
    await this.update('failover');
  }

  async update(stack: Stack): Promise<void> {
    await this.pulumi(stack, 'up', '--yes', '--skip-preview');
  }

  /** Sets keys of the switch, such as `recoveries[0].site`. */
  async configure(values: Readonly<Record<string, string | number | boolean>>): Promise<void> {
    const pairs = Object.entries(values).flatMap(([key, value]) => ['--plaintext', `standby:${key}=${value}`]);
    await this.pulumi('failover', 'config', 'set-all', '--path', ...pairs);
  }

  /** @returns standard output. @throws Error with the end of what it said. */
  async pulumi(stack: Stack, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tryPulumi(stack, ...args);
    if (code !== 0)
      throw new Error(`pulumi ${args.join(' ')} -s ${stack} ended with ${code}: …${(stdout + stderr).slice(-3000)}`);
    return stdout;
  }

  tryPulumi(stack: Stack, ...args: readonly string[]): Promise<Outcome> {
    const project = this.people['STANDBY_PROJECT'] ?? '';
    const all = ['--cwd', project, '--non-interactive', '--color', 'never', ...args, '--stack', stack];
    return this.command('pulumi', all, this.people);
  }

  command(file: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Outcome> {
    return run(file, args, { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2, timeout: longestMs }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (cause: { code?: number; stdout?: string; stderr?: string }) => ({
        code: typeof cause.code === 'number' ? cause.code : -1,
        stdout: cause.stdout ?? '',
        stderr: cause.stderr ?? '',
      }),
    );
  }

  async kubectl(site: own.Site, ...args: readonly string[]): Promise<string> {
    const kubeconfig = path.join(this.modules.world.folders.kubernetes(site), 'kubeconfig');
    const { code, stdout, stderr } = await this.command('kubectl', ['--kubeconfig', kubeconfig, ...args], {});
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** @returns whether every Deployment of both sites has all the instances that it wants, and people could log in. */
  async ready(): Promise<boolean> {
    return (await this.isRolledOut()) && (await this.hasLogin());
  }

  private async hasLogin(): Promise<boolean> {
    const asked = `fetch('https://idp.moodtalk.ch/realms/moodtalk').then(({ status }) => status === 200, () => false)`;
    const script = `${asked}.then((answers) => process.exit(answers ? 0 : 1))`;
    return (await this.command(process.execPath, ['-e', script], this.people)).code === 0;
  }

  private async isRolledOut(): Promise<boolean> {
    const lists = await Promise.all(
      own.sites.map((site) => this.kubectl(site, 'get', 'deployments', '-A', '-o', 'json')),
    );
    return lists.every((text) => {
      const { items } = JSON.parse(text) as {
        items: { spec: { replicas: number }; status: { readyReplicas?: number } }[];
      };
      return items.length > 0 && items.every(({ spec, status }) => (status.readyReplicas ?? 0) >= spec.replicas);
    });
  }

  /** Every production server there is, also one that nobody was told of yet; not those of a drill. */
  servers(): readonly recordModule.ServerRecord[] {
    return this.modules.record.listRecords().filter(({ name }) => !name.includes('drill'));
  }

  /** Asks a server as the vendor could, past every fence and firewall. */
  sql<Row extends object>(server: string, text: string, database = 'postgres'): Promise<Row[]> {
    const record = this.servers().find(({ name }) => name === server);
    if (!record) throw new Error(`there is no server ${server}`);
    return this.modules.cluster.sql<Row>(record, text, [], database);
  }

  /** What the logins of the epochs are made of. */
  async databaseAccess(): Promise<{ company: string; database: string; password: string }> {
    const outputs = JSON.parse(await this.pulumi('prod', 'stack', 'output', '--json', '--show-secrets')) as {
      site: { company: string; database: { database: string } };
      secrets: { databasePassword: string };
    };
    const { company, database } = outputs.site;
    return { company, database: database.database, password: outputs.secrets.databasePassword };
  }

  /** Takes back every fault: what is silent, frozen, off or failing. */
  heal(): void {
    const { silence, rules, clocks, process: processes } = this.modules;
    for (const site of own.sites) {
      if (silence.silence()[site] !== 'none') silence.setSilence(site, 'none');
      clocks.setClocks(site, 0);
    }
    for (const service of rules.chaosServices) rules.order(service);
    processes.freeze(() => true, false);
  }

  async remove(): Promise<void> {
    await this.sandbox('down');
    if (!this.keptHome) fs.rmSync(this.home, { recursive: true, force: true });
  }
}

/** STANDBY_CHAOS_PROGRAM: another command line to put to the test. */
export const standby = process.env['STANDBY_CHAOS_PROGRAM'] ?? path.join(own.repository, 'bin', 'standby.js');
