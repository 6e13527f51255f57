/** What a change of role leaves behind, as its own systems tell it: compared with what an undisturbed one left. */
import * as fs from 'node:fs';
import { fetch, Agent, type RequestInit } from 'undici';
import { sites, type Site } from '../../../sandbox/world';
import { stacks, type ChaosWorld, type Stack } from './world';

export interface EndState {
  readonly activeSite: string;
  readonly epoch: number;
  readonly database: string;
  /** Content of each public record. */
  readonly records: Readonly<Record<string, string>>;
  /** By server: role, epoch in the token and whether it may write; a server that does not answer is absent. */
  readonly servers: Readonly<
    Record<string, { role: string; epoch?: number; open?: boolean; writers: readonly string[] }>
  >;
  /** By site: Deployments with their wanted and ready instances. */
  readonly workloads: Readonly<Record<Site, Readonly<Record<string, string>>>>;
  /** What a preview would change, by stack: nothing. */
  readonly previews: Readonly<Record<Stack, string>>;
}

export async function endState(world: ChaosWorld): Promise<EndState> {
  const [outputs, records, servers, workloads, previews] = await Promise.all([
    world.pulumi('failover', 'stack', 'output', '--json'),
    recordsOf(world),
    serversOf(world),
    workloadsOf(world),
    previewsOf(world),
  ]);
  const { activeSite, epoch, databaseServer } = JSON.parse(outputs) as {
    activeSite: string;
    epoch: number;
    databaseServer: string;
  };
  return { activeSite, epoch, database: databaseServer, records, servers, workloads, previews };
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** @throws Error with what the vendor answered, when it refuses. */
async function ask(world: ChaosWorld, url: string, init: RequestInit): Promise<unknown> {
  const dispatcher = new Agent({ connect: { ca: fs.readFileSync(world.env['SSL_CERT_FILE'] ?? '', 'utf8') } });
  try {
    const response = await fetch(url, { ...init, dispatcher });
    const text = await response.text();
    if (!response.ok) throw new Error(`${init.method ?? 'GET'} ${url}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  } finally {
    await dispatcher.close();
  }
}

/** One request to Cloudflare, as an operator sends it. */
export async function cloudflare<T>(
  world: ChaosWorld,
  route: string,
  method: Method = 'GET',
  body?: object,
): Promise<T> {
  const headers = { authorization: `Bearer ${world.env['CLOUDFLARE_API_TOKEN']}`, 'content-type': 'application/json' };
  const url = `${world.env['CLOUDFLARE_BASE_URL']}${route}`;
  const init = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
  return ((await ask(world, url, init)) as { result: T }).result;
}

/** One request to Azure Resource Manager, likewise. @param path - with its api-version. */
export async function azure<T>(world: ChaosWorld, path: string, method: Method = 'GET'): Promise<T> {
  const { env } = world;
  const { outside, ports } = world.modules.world;
  const login = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: env['ARM_CLIENT_ID'] ?? '',
    client_secret: env['ARM_CLIENT_SECRET'] ?? '',
    scope: 'https://management.azure.com/.default',
  });
  const url = `https://${outside.login}:${ports.https}/${env['ARM_TENANT_ID']}/oauth2/v2.0/token`;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const token = (await ask(world, url, { method: 'POST', headers, body: login.toString() })) as {
    access_token: string;
  };
  return (await ask(world, `https://${outside.arm}:${ports.https}${path}`, {
    method,
    headers: { authorization: `Bearer ${token.access_token}` },
  })) as T;
}

export async function recordsOf(world: ChaosWorld): Promise<Record<string, string>> {
  const [zone] = await cloudflare<{ id: string }[]>(world, '/zones?name=moodtalk.ch');
  const records = await cloudflare<{ type: string; name: string; content: string }[]>(
    world,
    `/zones/${zone?.id}/dns_records?per_page=100&type=A`,
  );
  return Object.fromEntries(records.map(({ name, content }) => [name, content]));
}

export async function serversOf(world: ChaosWorld): Promise<EndState['servers']> {
  const readings = world.servers().map(async ({ name }) => {
    const [one] = await world.sql<{ replica: boolean; token: boolean }>(
      name,
      `SELECT pg_is_in_recovery() AS replica, to_regclass('standby_plan.token') IS NOT NULL AS token`,
    );
    const [token] = one?.token
      ? await world.sql<{ epoch: number; open: boolean }>(name, 'SELECT epoch, open FROM standby_plan.token')
      : [];
    // Who could write now: may log in and is a member of the tables' owner.
    const writers = await world.sql<{ name: string }>(
      name,
      `SELECT r.rolname AS name FROM pg_roles r WHERE r.rolcanlogin AND r.rolname ~ '_e[0-9]+$'
         AND EXISTS (SELECT FROM pg_roles o WHERE o.rolname ~ '_owner$' AND pg_has_role(r.oid, o.oid, 'member')) ORDER BY 1`,
    );
    return [
      name,
      { role: one?.replica ? 'replica' : 'primary', ...token, writers: writers.map((writer) => writer.name) },
    ] as const;
  });
  return Object.fromEntries(await Promise.all(readings));
}

async function workloadsOf(world: ChaosWorld): Promise<EndState['workloads']> {
  const read = async (site: Site) => {
    const text = await world.kubectl(site, 'get', 'deployments', '-A', '-o', 'json');
    const { items } = JSON.parse(text) as {
      items: { metadata: { name: string }; spec: { replicas: number }; status: { readyReplicas?: number } }[];
    };
    return Object.fromEntries(
      items.map(({ metadata, spec, status }) => [metadata.name, `${status.readyReplicas ?? 0}/${spec.replicas}`]),
    );
  };
  return Object.fromEntries(await Promise.all(sites.map(async (site) => [site, await read(site)] as const))) as Record<
    Site,
    Record<string, string>
  >;
}

async function previewsOf(world: ChaosWorld): Promise<EndState['previews']> {
  const read = async (stack: Stack) => {
    const { code, stdout, stderr } = await world.tryPulumi(stack, 'preview', '--expect-no-changes', '--diff');
    return code === 0 ? '' : (stdout + stderr).slice(-3000);
  };
  return Object.fromEntries(
    await Promise.all(stacks.map(async (stack) => [stack, await read(stack)] as const)),
  ) as Record<Stack, string>;
}

const partsWithWrites = ['azure', 'cloudflare', 'kube-prod', 'kube-intg'] as const;
/** Requests that change nothing though they are no GET. */
const readingPosts =
  /\/(list\w*|checkNameAvailability|validate\w*)$|\/(selfsubject|subject|token|localsubject)\w*reviews$/i;

/** Counts what is written at the vendors and clusters by others than themselves, from now on. */
export class WriteCount {
  private readonly from: ReadonlyMap<string, number>;

  constructor(private readonly world: ChaosWorld) {
    this.from = new Map(partsWithWrites.map((part) => [part, this.text(part).length]));
  }

  writes(): readonly string[] {
    return partsWithWrites.flatMap((part) =>
      this.text(part)
        .slice(this.from.get(part) ?? 0)
        .split('\n')
        .map((line) => / (?:write|arm) (PUT|POST|PATCH|DELETE)(?: \d+)?.* (\/\S+)$/.exec(line))
        .flatMap((match) => (match && !readingPosts.test(match[2] ?? '') ? [`${part}: ${match[1]} ${match[2]}`] : [])),
    );
  }

  private text(part: string): string {
    const file = this.world.modules.process.logFile(part);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }
}
