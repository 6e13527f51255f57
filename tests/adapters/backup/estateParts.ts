/** The vendors' parts of the sandbox, started empty, and an operator's process that trusts them. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Difference } from '../../../backup/estate/set';
import { CloudflareWorld, firstToken } from '../../cloudflare/service';
import { TestWorld } from '../../cloudflare/part';
import type { Order, Report, Sent, World } from './estateOperator';

export const subscription = '00000000-0000-4000-8000-000000000001';
const arm = {
  ARM_SUBSCRIPTION_ID: subscription,
  ARM_TENANT_ID: '00000000-0000-4000-8000-0000000000aa',
  ARM_CLIENT_ID: '00000000-0000-4000-8000-0000000000d0',
  ARM_CLIENT_SECRET: 'a-secret-of-this-test-only',
};

const group = (name: string) => `/subscriptions/${subscription}/resourceGroups/${name}`;

/** What the failover stack of a company tells, as far as these data sets look at it. */
export const world: World = {
  configuration: {
    zone: 'moodtalk.ch',
    activeSite: 'prod',
    hosts: Object.fromEntries(
      ['admin', 'api', 'id', 'idp', 'static', 'survey'].map((name) => [name, `${name}.moodtalk.ch`]),
    ) as never,
  },
  landscape: {
    sites: Object.fromEntries(
      (['prod', 'intg'] as const).map((site, index) => [
        site,
        {
          internalZone: `${site}.internal.moodtalk.ch`,
          globalResourceGroup: `rg-moodtalk-${site}-global`,
          resourceGroup: { name: `rg-moodtalk-${site}`, id: group(`rg-moodtalk-${site}`) },
          network: { ingressAddress: `127.0.${index + 1}0.140` },
        },
      ]),
    ),
  },
};

export class Parts {
  readonly cloudflare: CloudflareWorld;
  readonly azure: TestWorld;
  private child: ChildProcess | undefined;
  private count = 0;

  /** @param number two numbers of worlds, this one and the next, that no other test uses at the same time */
  constructor(number: number) {
    this.cloudflare = new CloudflareWorld(number);
    this.azure = new TestWorld('azure', number + 1, { ...arm, STANDBY_ARM_SILENCE_SECONDS: '1' });
  }

  async start(more: Readonly<Record<string, string>> = {}): Promise<this> {
    await Promise.all([this.cloudflare.start(), this.azure.start()]);
    await this.operator(more);
    return this;
  }

  /** Puts another operator in the place of the one that is there. */
  async operator(more: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.dismiss();
    const authorities = [this.cloudflare, this.azure].map(({ authority }) => fs.readFileSync(authority.authorityFile));
    const trusted = path.join(this.azure.home, 'authorities.pem');
    fs.writeFileSync(trusted, Buffer.concat(authorities));
    const { world: map } = this.azure;
    const child = fork(path.join(__dirname, 'estateOperator.ts'), [], {
      execArgv: ['-r', 'ts-node/register/transpile-only'],
      env: {
        PATH: process.env['PATH'],
        HOME: this.azure.home,
        ...arm,
        ARM_METADATA_HOSTNAME: `http://${map.outside.arm}:${map.ports.http}`,
        ARM_DISABLE_INSTANCE_DISCOVERY: 'true',
        CLOUDFLARE_BASE_URL: this.cloudflare.baseUrl,
        CLOUDFLARE_API_TOKEN: firstToken,
        NODE_EXTRA_CA_CERTS: trusted,
        ...more,
      },
    });
    this.child = child;
    await once(child, 'message');
  }

  /** @throws Error whose message begins with the fault's code. */
  async tell<T>(order: Omit<Order, 'id' | 'world'> & { readonly world?: World }): Promise<T> {
    const id = ++this.count;
    const answered = new Promise<Report>((resolve) => {
      const onReport = (report: Report) => {
        if (report.id !== id) return;
        this.child?.off('message', onReport);
        resolve(report);
      };
      this.child?.on('message', onReport);
    });
    this.child?.send({ world, ...order, id } satisfies Order);
    const { fault, result } = await answered;
    if (fault) throw new Error(`${fault.code}: ${fault.message}`);
    return result as T;
  }

  collect = (set: Order['set'], of = world) => this.tell<Sent>({ set, method: 'collect', world: of });
  compare = (set: Order['set'], files: Sent, of = world) =>
    this.tell<Difference[]>({ set, method: 'compare', files, world: of });
  restore = (set: Order['set'], files: Sent, of = world) =>
    this.tell<string[]>({ set, method: 'restore', files, world: of });
  put = (id: string, apiVersion: string, body: object) =>
    this.tell<object>({ set: 'azure', method: 'put', resource: { id, apiVersion, body } });
  get = (id: string, apiVersion: string) =>
    this.tell<{ properties: Record<string, unknown> }>({ set: 'azure', method: 'get', resource: { id, apiVersion } });

  private async dismiss(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill();
    await ended;
    this.child = undefined;
  }

  async remove(): Promise<void> {
    await this.dismiss();
    await Promise.all([this.cloudflare.remove(), this.azure.remove()]);
  }
}

export const textOf = (files: Sent, name: string): string =>
  Buffer.from(files.find((file) => file.name === name)?.bytes ?? '', 'base64').toString('utf8');
