/** A world of the sandbox with only the parts that a test needs, each a process of its own, as the supervisor starts them. */
import { buildSync } from 'esbuild';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { Silence } from '../../sandbox/silence';
import type { Site } from '../../sandbox/world';
import { folders, repository } from '../../sandbox/world';

/** What this process needs to know of a world that is not its own. */
interface Places {
  readonly outside: typeof import('../../sandbox/world').outside;
  readonly providers: typeof import('../../sandbox/world').providerPorts;
  readonly apiServers: Readonly<Record<Site, string>>;
  readonly kubernetes: Readonly<Record<Site, string>>;
  readonly authorityFile: string;
  readonly build: string;
  readonly run: string;
}

const places = `
  const { outside, providerPorts, plan, folders } = require('./sandbox/world');
  const { authorityFile, createAuthority } = require('./sandbox/authority');
  const sites = (of) => Object.fromEntries(Object.keys(plan).map((site) => [site, of(site)]));
  createAuthority().then(() => console.log(JSON.stringify({ outside, providers: providerPorts, authorityFile, build: folders.build, run: folders.run,
    apiServers: sites((site) => plan[site].apiServer), kubernetes: sites(folders.kubernetes) })));
`;

export class World {
  private readonly home = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-world-'));
  private readonly children: ChildProcess[] = [];
  readonly places: Places;
  /** What the supervisor gives to every part. */
  readonly env: Readonly<Record<string, string>>;

  /** @param number - one that no other test uses at the same time */
  constructor(number: number) {
    const own = {
      STANDBY_WORLD: String(number),
      STANDBY_HOME: this.home,
      STANDBY_REPOSITORY: repository,
      NODE_PATH: path.join(repository, 'node_modules'),
    };
    const base = { PATH: process.env['PATH'] ?? '', HOME: this.home, ...own };
    const options = ['-r', 'ts-node/register/transpile-only', '-e', places];
    this.places = JSON.parse(
      execFileSync(process.execPath, options, { cwd: repository, env: base, encoding: 'utf8' }),
    ) as Places;
    const { outside, authorityFile } = this.places;
    this.env = {
      ...base,
      NODE_EXTRA_CA_CERTS: authorityFile,
      SSL_CERT_FILE: authorityFile,
      ARM_SUBSCRIPTION_ID: '00000000-0000-4000-8000-000000000001',
      ARM_TENANT_ID: '00000000-0000-4000-8000-0000000000aa',
      ARM_CLIENT_ID: '00000000-0000-4000-8000-0000000000d0',
      ARM_CLIENT_SECRET: 'a-secret-of-this-test-alone',
      ARM_METADATA_HOSTNAME: `http://${outside.arm}:8080`,
      ARM_DISABLE_INSTANCE_DISCOVERY: 'true',
      CLOUDFLARE_API_TOKEN: 'a-token-of-this-test-alone-0123456789abc',
      CLOUDFLARE_ACCOUNT_ID: '0123456789abcdef0123456789abcdef',
      CLOUDFLARE_BASE_URL: `https://${outside.cloudflareApi}:8443/client/v4`,
    };
  }

  /** Starts `sandbox/<part>/main.ts`; resolves when it is ready. */
  async start(part: string): Promise<void> {
    const outfile = path.join(this.places.build, `${part}.js`);
    const entry = path.join(repository, 'sandbox', part, 'main.ts');
    buildSync({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      packages: 'external',
      logLevel: 'error',
    });
    await this.spawn(part, process.execPath, [outfile]);
  }

  /** Starts a site's Kubernetes control plane. @returns the kubeconfig's path */
  async cluster(site: Site): Promise<string> {
    const folder = this.places.kubernetes[site];
    const args = ['--dir', folder, '--address', this.places.apiServers[site], '--name', site];
    await this.spawn(`kube-${site}`, path.join(folders.bin, 'kubebox'), args);
    return path.join(folder, 'kubeconfig');
  }

  private async spawn(name: string, command: string, args: readonly string[]): Promise<void> {
    const log = path.join(this.home, `${name}.log`);
    const child = spawn(command, args, { env: this.env, stdio: ['ignore', 'pipe', fs.openSync(log, 'a')] });
    this.children.push(child);
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: unknown) =>
        reject(new Error(`${name} did not start: ${String(cause)}\n${fs.readFileSync(log, 'utf8').slice(-2_000)}`));
      child.once('error', failed);
      child.once('exit', (code) => failed(`it ended with ${code}`));
      child.stdout?.on('data', (text: Buffer) => {
        fs.appendFileSync(log, text);
        if (text.includes('"ready":true')) resolve();
      });
    });
  }

  /** Tells the services which site is silent; no packet filter is set. */
  silence(how: Readonly<Record<Site, Silence>>): void {
    fs.writeFileSync(path.join(this.places.run, 'silence.json'), JSON.stringify(how));
  }

  async stop(): Promise<void> {
    for (const child of this.children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.removeAllListeners('exit');
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}
