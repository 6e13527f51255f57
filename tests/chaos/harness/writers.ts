/** Two writers, one at each site, and what they saw. */
import { buildSync } from 'esbuild';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describeViolation, violations, type Accepted } from './checker';
import type { ChaosWorld } from './world';

export type Site = 'prod' | 'intg';
const sites: readonly Site[] = ['prod', 'intg'];

export interface WriterOrders {
  readonly site: Site;
  readonly company: string;
  readonly database: string;
  readonly password: string;
  readonly port: number;
  /** File of the targets. */
  readonly targets: string;
  readonly log: string;
}

export interface WriterTargets {
  readonly servers: readonly { readonly name: string; readonly fqdn: string }[];
  /** Epochs whose login a site was given. */
  readonly epochs: Readonly<Partial<Record<Site, readonly number[]>>>;
}

/** Last address of a site's pods: far from those that the node gives out first. */
const writerPod = 99;
const discoverEveryMs = 100;

export class Writers {
  private readonly children: ChildProcess[] = [];
  private readonly epochs: Record<Site, number[]> = { prod: [], intg: [] };
  private readonly folder: string;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly world: ChaosWorld) {
    this.folder = fs.mkdtempSync(path.join(world.home, 'writers-'));
  }

  /** A site is told the login of an epoch, before it is admitted anywhere: as early as it can have it. */
  give(site: Site, epoch: number): void {
    if (!this.epochs[site].includes(epoch)) this.epochs[site].push(epoch);
    this.publish();
  }

  async start(): Promise<void> {
    const bundle = path.join(this.folder, 'writer.js');
    buildSync({
      entryPoints: [path.join(__dirname, 'writer.ts')],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      packages: 'external',
      logLevel: 'error',
    });
    const access = await this.world.databaseAccess();
    this.publish();
    // Servers that are made while it runs are found as soon as they exist, before anybody is told of them.
    this.timer = setInterval(() => this.publish(), discoverEveryMs);
    for (const site of sites) {
      const { plan, folders, ports } = this.world.modules.world;
      const { standpointIn } = this.world.modules.standpoints;
      const orders: WriterOrders = {
        site,
        ...access,
        port: ports.postgres,
        targets: path.join(this.folder, 'targets.json'),
        log: this.log(site),
      };
      const child = spawn(process.execPath, [bundle], {
        stdio: ['ignore', 'pipe', 'inherit'],
        ...(process.getuid?.() === 0 ? { gid: plan[site].gid } : {}),
        env: {
          PATH: process.env['PATH'] ?? '',
          NODE_PATH: path.join(this.world.modules.world.repository, 'node_modules'),
          NODE_EXTRA_CA_CERTS: this.world.modules.authority.authorityFile,
          NODE_OPTIONS: `--require ${JSON.stringify(path.join(folders.build, 'hook.js'))}`,
          STANDBY_NET: JSON.stringify(standpointIn(site, plan[site].pod(writerPod))),
          CHAOS_WRITER: JSON.stringify(orders),
        },
      });
      this.children.push(child);
      await once(child.stdout, 'data');
    }
  }

  /** Ends both. @returns what was accepted, in the order of the servers' clocks. */
  async stop(): Promise<readonly Accepted[]> {
    clearInterval(this.timer);
    for (const child of this.children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    return this.accepted();
  }

  accepted(): readonly Accepted[] {
    const lines = sites.flatMap((site) =>
      fs.existsSync(this.log(site)) ? fs.readFileSync(this.log(site), 'utf8').split('\n').slice(0, -1) : [],
    );
    return lines.map((line) => JSON.parse(line) as Accepted).sort((a, b) => a.at - b.at);
  }

  /** @returns one line for each time at which two sites could write. */
  violations(): string[] {
    return violations(this.accepted()).map(describeViolation);
  }

  private log(site: Site): string {
    return path.join(this.folder, `${site}.jsonl`);
  }

  private publish(): void {
    const servers = this.world.servers().map(({ name, fqdn }) => ({ name, fqdn }));
    const file = path.join(this.folder, 'targets.json');
    const text = JSON.stringify({ servers, epochs: this.epochs } satisfies WriterTargets);
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) return;
    fs.writeFileSync(file + '.new', text);
    fs.renameSync(file + '.new', file);
  }
}
