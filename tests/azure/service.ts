/** Starts the part `azure` in a world of its own, as a process, and gives the vendor's clients what they need to reach it. */
import { ClientSecretCredential } from '@azure/identity';
import { build } from 'esbuild';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as os from 'node:os';
import * as path from 'node:path';

const repository = path.resolve(__dirname, '../..');
/** Another one in each of mocha's workers. */
export const world = 100 + Number(process.env['MOCHA_WORKER_ID'] ?? 0);
export const address = (third: number, fourth: number) => `127.${world}.${third}.${fourth}`;
export const armEndpoint = `https://${address(30, 10)}:8443`;
const loginEndpoint = `https://${address(30, 11)}:8443`;
export const subscription = '00000000-0000-4000-8000-000000000001';
export const tenant = '00000000-0000-4000-8000-0000000000aa';
const clientId = '00000000-0000-4000-8000-0000000000d0';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly error?: { readonly code: string; readonly message: string } } & Record<string, unknown>;
}

export class Service {
  readonly home = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-azure-'));
  private readonly secret = randomBytes(16).toString('hex');
  private child: ChildProcess | undefined;
  private known: ClientSecretCredential | undefined;

  /** Of every client of the vendor; good once the service has started. */
  get options() {
    return { endpoint: armEndpoint, tlsOptions: { ca: this.authority }, retryOptions: { maxRetries: 0 } };
  }

  credentialWith(secret: string): ClientSecretCredential {
    return new ClientSecretCredential(tenant, clientId, secret, {
      authorityHost: loginEndpoint,
      disableInstanceDiscovery: true,
      tlsOptions: { ca: this.authority },
      retryOptions: { maxRetries: 0 },
    });
  }

  get credential(): ClientSecretCredential {
    return (this.known ??= this.credentialWith(this.secret));
  }

  private get authority(): string {
    return fs.readFileSync(path.join(this.home, 'run', 'authority', 'ca.pem'), 'utf8');
  }

  get state(): string {
    return path.join(this.home, 'run', 'azure');
  }

  async start(): Promise<this> {
    const bundle = path.join(this.home, 'azure.js');
    const entryPoints = [path.join(repository, 'sandbox/azure/main.ts')];
    await build({
      entryPoints,
      outfile: bundle,
      bundle: true,
      packages: 'external',
      platform: 'node',
      target: 'node20',
      format: 'cjs',
    });
    await this.run();
    return this;
  }

  /** Starts the bundle; the state of an earlier run is there. */
  async run(): Promise<void> {
    const child = spawn(process.execPath, [path.join(this.home, 'azure.js')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        STANDBY_WORLD: String(world),
        STANDBY_HOME: this.home,
        STANDBY_REPOSITORY: repository,
        NODE_PATH: path.join(repository, 'node_modules'),
        STANDBY_ARM_SILENCE_SECONDS: '1',
        ARM_SUBSCRIPTION_ID: subscription,
        ARM_TENANT_ID: tenant,
        ARM_CLIENT_ID: clientId,
        ARM_CLIENT_SECRET: this.secret,
      },
    });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the part azure ended with ${code}`)));
      child.stdout?.on('data', (text: Buffer) => text.includes('"ready":true') && resolve());
    });
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.end();
    fs.rmSync(this.home, { recursive: true, force: true });
  }

  /** What is silent, as the supervisor writes it. */
  silence(state: { readonly prod: string; readonly intg: string }): void {
    fs.writeFileSync(path.join(this.home, 'run', 'silence.json'), JSON.stringify(state));
  }

  chaos(...rules: readonly object[]): void {
    fs.writeFileSync(path.join(this.state, 'chaos.json'), JSON.stringify({ rules }));
  }

  async token(): Promise<string> {
    return (await this.credential.getToken(`${armEndpoint}/.default`)).token;
  }

  /** Token of a managed identity, as a machine that has it gets one. */
  async identityToken(identity: string, resource = 'https://management.azure.com/'): Promise<string> {
    const query = new URLSearchParams({ resource, client_id: identity, 'api-version': '2018-02-01' });
    const reply = await fetch(`http://${address(30, 10)}:8080/metadata/identity/oauth2/token?${query.toString()}`, {
      headers: { Metadata: 'true' },
    });
    return ((await reply.json()) as { access_token: string }).access_token;
  }

  /** A request as a caller writes it by hand. `path` starts at the subscription. */
  async request(method: string, at: string, body?: unknown, more: Record<string, string> = {}): Promise<Reply> {
    const headers = { authorization: `Bearer ${await this.token()}`, ...more };
    return this.raw(method, `/subscriptions/${subscription}${at}`, body, headers);
  }

  raw(method: string, at: string, body: unknown, headers: Record<string, string>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const request = https.request(armEndpoint + at, {
        method,
        agent: false,
        ca: this.authority,
        headers: { 'content-type': 'application/json', ...headers },
      });
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const fields = Object.entries(response.headers).map(
            ([name, value]) => [name, String(value)] as [string, string],
          );
          resolve({
            status: response.statusCode ?? 0,
            headers: new Headers(fields),
            body: (text ? JSON.parse(text) : {}) as Reply['body'],
          });
        });
      });
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** @returns status and code of what a client threw; fails when it did not throw. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (cause) {
    const { statusCode, code } = cause as { readonly statusCode?: number; readonly code?: string };
    return `${statusCode} ${code}`;
  }
  throw new Error('it was not refused');
}
