/** A small world for the agents: two clusters, two database servers, the store between them, and an operator. */
import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { ResourceManagementClient } from '@azure/arm-resources';
import { StorageManagementClient } from '@azure/arm-storage';
import { ClientSecretCredential } from '@azure/identity';
import { buildSync } from 'esbuild';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { Agent } from '../../components/workload/agent';
import { agentKey } from '../../config/credentials';
import { otherSite, sites, type Site } from '../../config/fields';
import { referenceTo } from '../../sandbox/application/registry';
import * as own from '../../sandbox/world';
import { made } from '../components/support';
import { TestWorld, until } from '../kubernetes/world';
import type { OperatorSettings, Order, Written } from './operator';

const group = 'rg-x';
const account = 'stxstandby';
export const namespace = 'acme';
const subscription = '00000000-0000-4000-8000-000000000001';
const tenant = '00000000-0000-4000-8000-0000000000aa';
const deployer = '00000000-0000-4000-8000-0000000000d1';
const blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe';
const region = { prod: 'westeurope', intg: 'northeurope' } as const;

/** An application that only is there. */
const idle = `require('http').createServer((_, response) => response.end('here')).listen(8080)`;

export class AgentsWorld {
  readonly world = new TestWorld(224);
  readonly password = randomBytes(18).toString('base64url') + 'A1';
  readonly written: Written[] = [];
  private readonly secret = randomBytes(16).toString('hex');
  private readonly fqdn: Record<Site, string> = { prod: '', intg: '' };
  private readonly clientId: Record<Site, string> = { prod: '', intg: '' };
  private operator: ChildProcess | undefined;
  private readonly waiting = new Map<number, (word: { answer?: unknown; fault?: string }) => void>();
  private orders = 0;

  get modules() {
    return this.world.modules;
  }

  private get login(): string {
    const { outside, ports } = this.modules.world;
    return `https://${outside.login}:${ports.https}`;
  }

  private get credentials(): Readonly<Record<string, string>> {
    const { outside, ports } = this.modules.world;
    return {
      ARM_SUBSCRIPTION_ID: subscription,
      ARM_TENANT_ID: tenant,
      ARM_CLIENT_ID: '00000000-0000-4000-8000-0000000000d0',
      ARM_CLIENT_SECRET: this.secret,
      ARM_METADATA_HOSTNAME: `http://${outside.arm}:${ports.http}`,
      ARM_DISABLE_INSTANCE_DISCOVERY: 'true',
    };
  }

  async start(): Promise<void> {
    await this.world.prepare();
    const sources = {
      agent: 'agent/main',
      azure: 'sandbox/azure/main',
      blob: 'sandbox/blob/main',
      operator: 'tests/agent/operator',
    };
    for (const [name, source] of Object.entries(sources)) this.bundle(name, `${source}.ts`);
    await Promise.all([this.part('azure'), this.part('blob'), ...sites.map((site) => this.cluster(site))]);
    await this.resources();
    for (const site of sites) await this.platform(site);
    await this.startOperator();
  }

  async stop(): Promise<void> {
    this.operator?.kill('SIGKILL');
    for (const site of sites) this.modules.silence.setSilence(site, 'none');
    await this.modules.process.stop((record) => record.name.startsWith('node-'));
    await this.world.remove();
  }

  /** Puts the agents of a site in place: what the component makes, applied as it is. */
  async agents(site: Site, active: boolean, epoch: number): Promise<void> {
    const other = otherSite(site);
    const place = (one: Site) => ({
      host: `standby.${one}.internal`,
      address: this.modules.world.plan[one].publicIp(0),
    });
    const registered = await made(
      () =>
        new Agent('agent', {
          ...{ platform: namespace, company: 'acme', site, otherSite: other, active, epoch, writerLease: 'on' },
          image: referenceTo('ghcr.io/moodtalk/standby-agent', '0.1.0'),
          store: { endpoint: this.endpoint, container: 'standby' },
          ...{ clientId: this.clientId[site], tenantId: tenant, agentKey: agentKey(this.password) },
          database: {
            host: this.fqdn[site],
            port: 5432,
            database: 'app',
            identityDatabase: 'keycloak',
            user: 'drpadmin',
            password: this.password,
          },
          ...{ ...place(site), other: place(other), deployments: ['api'], replicas: 2 },
        }),
    );
    const objects = registered.filter(({ type }) => type.startsWith('kubernetes:')).map(({ inputs }) => inputs);
    await this.apply(site, ...objects);
  }

  async apply(site: Site, ...items: readonly object[]): Promise<void> {
    const file = path.join(this.world.home, `objects-${site}.json`);
    fs.writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }), { mode: 0o600 });
    await this.kubectl(site, 'apply', '-f', file);
  }

  async kubectl(site: Site, ...args: readonly string[]): Promise<string> {
    const kubeconfig = path.join(this.modules.world.folders.kubernetes(site), 'kubeconfig');
    return this.world.kubectl('--kubeconfig', kubeconfig, '-n', namespace, ...args);
  }

  /** @returns how many agents of a site are ready; undefined while others than the last wanted ones still run. */
  async ready(site: Site): Promise<number | undefined> {
    const text = await this.kubectl(site, 'get', 'deployment', 'standby-agent', '-o', 'json');
    const { metadata, status } = JSON.parse(text) as {
      metadata: { generation: number };
      status: Partial<Record<'observedGeneration' | 'replicas' | 'updatedReplicas' | 'readyReplicas', number>>;
    };
    const { observedGeneration, replicas = 0, updatedReplicas = 0, readyReplicas = 0 } = status;
    return observedGeneration === metadata.generation && updatedReplicas === replicas ? readyReplicas : undefined;
  }

  logs(site: Site): string {
    const { list, logFile } = this.modules.process;
    const names = list()
      .map((record) => record.name)
      .filter((name) => name.startsWith(`pod/${site}/${namespace}/standby-agent`));
    return names
      .map((name) => `${name}\n${fs.existsSync(logFile(name)) ? fs.readFileSync(logFile(name), 'utf8') : ''}`)
      .join('\n');
  }

  order<T>(order: Order): Promise<T> {
    const id = (this.orders += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, ({ answer, fault }) =>
        fault === undefined ? resolve(answer as T) : reject(new Error(fault)),
      );
      this.operator?.stdin?.write(`${JSON.stringify({ ...order, id })}\n`);
    });
  }

  /** @returns the last moment at which a site's write had been accepted. */
  lastWrite(site: Site): number {
    return Math.max(0, ...this.written.filter((one) => one.site === site).map((one) => one.to));
  }

  private bundle(name: string, source: string): void {
    buildSync({
      entryPoints: [path.join(own.repository, source)],
      outfile: path.join(this.modules.world.folders.build, `${name}.js`),
      ...{ bundle: true, platform: 'node', format: 'cjs', packages: 'external', logLevel: 'error' },
    });
  }

  private async part(name: string, site?: Site): Promise<void> {
    const script = path.join(this.modules.world.folders.build, `${name}.js`);
    const env = { ...this.world.env, ...this.credentials, STANDBY_STATE_KEY: randomBytes(64).toString('base64') };
    await this.launch(name, process.execPath, [script], env, site);
  }

  private async launch(
    name: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    site?: Site,
  ): Promise<void> {
    await this.modules.process.start({
      name,
      command,
      args,
      env,
      ...(site ? { site, scope: 'cluster' as const } : {}),
    });
    await this.modules.process.ready(name, 60_000);
  }

  private async cluster(site: Site): Promise<void> {
    const { folders, plan } = this.modules.world;
    const args = ['--dir', folders.kubernetes(site), '--address', plan[site].apiServer, '--name', `aks-${site}`];
    await this.launch(
      `kube-${site}`,
      path.join(own.folders.bin, 'kubebox'),
      [...args, '--issuer', this.issuer(site)],
      { ...this.world.env },
      site,
    );
    const script = path.join(folders.build, 'node-agent.js');
    await this.launch(`node-${site}`, process.execPath, [script], { ...this.world.env, STANDBY_SITE: site }, site);
  }

  private issuer(site: Site): string {
    return `${this.login}/clusters/${site}/`;
  }

  private get endpoint(): string {
    return `https://${account}.blob.core.windows.net/`;
  }

  private async resources(): Promise<void> {
    const { outside, ports } = this.modules.world;
    const tlsOptions = { ca: fs.readFileSync(this.modules.authority.authorityFile, 'utf8') };
    const credential = new ClientSecretCredential(tenant, '00000000-0000-4000-8000-0000000000d0', this.secret, {
      ...{ authorityHost: this.login, disableInstanceDiscovery: true, tlsOptions },
    });
    const options = { endpoint: `https://${outside.arm}:${ports.https}`, tlsOptions };
    const location = { location: 'germanywestcentral' };
    await new ResourceManagementClient(credential, subscription, options).resourceGroups.createOrUpdate(
      group,
      location,
    );
    const storage = new StorageManagementClient(credential, subscription, options);
    await storage.storageAccounts.beginCreateAndWait(group, account, {
      ...{ ...location, kind: 'StorageV2', sku: { name: 'Standard_ZRS' } },
      ...{ allowSharedKeyAccess: false, minimumTlsVersion: 'TLS1_2' },
    });
    await storage.blobContainers.create(group, account, 'standby', {});
    const scope = `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Storage/storageAccounts/${account}`;
    const authorization = new AuthorizationManagementClient(credential, subscription, options);
    const grant = (principalId: string) =>
      authorization.roleAssignments.create(scope, randomUUID(), {
        ...{ principalId, principalType: 'ServicePrincipal' },
        roleDefinitionId: `/subscriptions/${subscription}/providers/Microsoft.Authorization/roleDefinitions/${blobContributor}`,
      });
    await grant(deployer);
    const identities = new ManagedServiceIdentityClient(credential, subscription, options);
    const databases = new PostgreSQLManagementFlexibleServerClient(credential, subscription, options);
    await Promise.all(
      sites.map(async (site) => {
        const { principalId = '', clientId = '' } = await identities.userAssignedIdentities.createOrUpdate(
          group,
          `id-x-${site}`,
          { location: region[site] },
        );
        this.clientId[site] = clientId;
        await identities.federatedIdentityCredentials.createOrUpdate(group, `id-x-${site}`, 'standby-agent', {
          ...{ issuer: this.issuer(site), subject: `system:serviceaccount:${namespace}:standby-agent` },
          audiences: ['api://AzureADTokenExchange'],
        });
        await grant(principalId);
        await this.server(databases, site);
      }),
    );
  }

  private async server(client: PostgreSQLManagementFlexibleServerClient, site: Site): Promise<void> {
    const name = `psql-x-${site}`;
    const poll = { updateIntervalInMs: 100 };
    const made = await client.servers.beginCreateOrUpdateAndWait(
      group,
      name,
      {
        ...{ location: region[site], sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' }, version: '15' },
        ...{
          administratorLogin: 'drpadmin',
          administratorLoginPassword: this.password,
          storage: { storageSizeGB: 32 },
        },
      },
      poll,
    );
    this.fqdn[site] = made.fullyQualifiedDomainName ?? '';
    const [startIpAddress, endIpAddress] = ['127.224.0.0', '127.224.255.255'];
    await client.firewallRules.beginCreateOrUpdateAndWait(group, name, 'all', { startIpAddress, endIpAddress }, poll);
    for (const database of ['app', 'keycloak'])
      await client.databases.beginCreateAndWait(group, name, database, {}, poll);
  }

  private async platform(site: Site): Promise<void> {
    const address = this.modules.world.plan[site].publicIp(0);
    const labels = { 'app.kubernetes.io/name': 'api' };
    const container = {
      ...{ name: 'api', image: referenceTo('ghcr.io/moodtalk/platform', '1.4.1'), command: ['node', '-e', idle] },
      env: [{ name: 'PGHOST', value: this.fqdn[site] }],
    };
    await until(`the API server of ${site} takes objects`, async () => {
      try {
        await this.kubectl(site, 'get', 'namespaces');
        return true;
      } catch {
        return undefined;
      }
    });
    await this.apply(
      site,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      {
        apiVersion: 'approuting.kubernetes.azure.com/v1alpha1',
        kind: 'NginxIngressController',
        metadata: { name: namespace },
        spec: {
          ...{ ingressClassName: namespace, controllerNamePrefix: namespace },
          loadBalancerAnnotations: { 'service.beta.kubernetes.io/azure-load-balancer-ipv4': address },
        },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'api', namespace },
        spec: {
          ...{ replicas: site === 'prod' ? 2 : 0, selector: { matchLabels: labels } },
          template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } },
        },
      },
    );
  }

  private async startOperator(): Promise<void> {
    const { plan, folders } = this.modules.world;
    const target = (site: Site) => ({ host: this.fqdn[site], port: 5432, user: 'drpadmin', password: this.password });
    const server = (site: Site) => ({
      ...target(site),
      company: 'acme',
      database: 'app',
      identityDatabase: 'keycloak',
    });
    const place = (site: Site) => ({
      internalZone: `${site}.internal`,
      network: { ingressAddress: plan[site].publicIp(0) },
    });
    const settings = {
      context: {
        company: 'acme',
        landscape: {
          sites: { prod: place('prod'), intg: place('intg') },
          secrets: { prod: { databasePassword: this.password } },
          store: { account, endpoint: this.endpoint, container: 'standby' },
        },
      },
      servers: { prod: server('prod'), intg: server('intg') },
    } as unknown as OperatorSettings;
    const child = spawn(process.execPath, [path.join(folders.build, 'operator.js')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...{ ...this.world.env, ...this.credentials, PATH: process.env['PATH'] },
        NODE_OPTIONS: `--require ${path.join(folders.build, 'hook.js')}`,
        STANDBY_NET: JSON.stringify({
          ...this.modules.standpoints.outsideStandpoint,
          resolver: `${this.modules.world.outside.azureDns}:5353`,
        }),
        OPERATOR_SETTINGS: JSON.stringify(settings),
      },
    });
    this.operator = child;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const word = JSON.parse(line) as { id?: number; written?: Written; answer?: unknown; fault?: string };
      if (word.written) this.written.push(word.written);
      if (word.id !== undefined) this.waiting.get(word.id)?.(word);
    });
  }
}
