import { ContainerAppsAPIClient, type ContainerApp } from '@azure/arm-appcontainers';
import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { ResourceManagementClient } from '@azure/arm-resources';
import { expect } from 'chai';
import { Resolver } from 'node:dns/promises';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, fetch } from 'undici';
import { referenceTo } from '../../sandbox/application/registry';
import { readToolchain } from '../../sandbox/bootstrap/toolchain';
import { address, refusal, Service, subscription } from '../azure/service';

const group = 'rg-idp';
const [server, environment, app] = ['psql-idp', 'cae-idp', 'ca-idp'];
const password = 'Correct-Horse-7';
const poll = { updateIntervalInMs: 100 };
const realm = JSON.stringify({ realm: 'moodtalk', enabled: true });

describe('azure: Keycloak as a container app', function () {
  this.timeout(120_000);
  const service = new Service();
  let client: ContainerAppsAPIClient;
  let database: string;
  let environmentId: string;

  before(async () => {
    fs.mkdirSync(path.join(service.home, 'cache'));
    fs.writeFileSync(path.join(service.home, 'cache', 'toolchain.json'), JSON.stringify(readToolchain()));
    await service.start();
    const resources = new ResourceManagementClient(service.credential, subscription, service.options);
    await resources.resourceGroups.createOrUpdate(group, { location: 'westeurope' });
    const postgres = new PostgreSQLManagementFlexibleServerClient(service.credential, subscription, service.options);
    const made = await postgres.servers.beginCreateOrUpdateAndWait(
      group,
      server,
      {
        location: 'westeurope',
        sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
        version: readToolchain().postgresVersion.split('.')[0] as string,
        administratorLogin: 'drpadmin',
        administratorLoginPassword: password,
        storage: { storageSizeGB: 32 },
      },
      poll,
    );
    database = made.fullyQualifiedDomainName as string;
    await postgres.databases.beginCreateAndWait(group, server, 'keycloak', {}, poll);
    const egress = { startIpAddress: address(10, 140), endIpAddress: address(10, 140) };
    await postgres.firewallRules.beginCreateOrUpdateAndWait(group, server, 'own-site', egress, poll);
    client = new ContainerAppsAPIClient(service.credential, subscription, service.options);
  });
  after(() => service.stop());

  const wanted = (
    change: { image?: string; env?: Record<string, string>; minReplicas?: number } = {},
  ): ContainerApp => ({
    location: 'westeurope',
    environmentId,
    configuration: {
      ingress: {
        external: true,
        targetPort: 8080,
        customDomains: [{ name: 'idp.moodtalk.ch', bindingType: 'Disabled' }],
      },
      secrets: [
        { name: 'db-password', value: password },
        { name: 'admin-password', value: 'Another-Horse-8' },
        { name: 'realm', value: realm },
      ],
    },
    template: {
      containers: [
        {
          name: 'keycloak',
          image: change.image ?? referenceTo('quay.io/keycloak/keycloak', '26.7.3'),
          args: ['start', '--optimized', '--import-realm'],
          env: [
            { name: 'KC_DB', value: 'postgres' },
            {
              name: 'KC_DB_URL',
              value: `jdbc:postgresql://${database}:5432/keycloak?sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory`,
            },
            { name: 'KC_DB_USERNAME', value: 'drpadmin' },
            { name: 'KC_DB_PASSWORD', secretRef: 'db-password' },
            { name: 'KC_BOOTSTRAP_ADMIN_USERNAME', value: 'admin' },
            { name: 'KC_BOOTSTRAP_ADMIN_PASSWORD', secretRef: 'admin-password' },
            { name: 'KC_HOSTNAME', value: 'https://idp.moodtalk.ch' },
            { name: 'KC_HTTP_ENABLED', value: 'true' },
            { name: 'KC_PROXY_HEADERS', value: 'xforwarded' },
            { name: 'KC_HEALTH_ENABLED', value: 'true' },
            ...Object.entries(change.env ?? {}).map(([name, value]) => ({ name, value })),
          ],
          probes: [{ type: 'Readiness', httpGet: { port: 9000, path: '/health/ready' } }],
          volumeMounts: [{ volumeName: 'realm', mountPath: '/opt/keycloak/data/import' }],
        },
      ],
      volumes: [{ name: 'realm', storageType: 'Secret', secrets: [{ secretRef: 'realm', path: 'moodtalk.json' }] }],
      scale: { minReplicas: change.minReplicas ?? 1, maxReplicas: 1 },
    },
  });
  const put = (content: ContainerApp) => client.containerApps.beginCreateOrUpdateAndWait(group, app, content, poll);
  const pid = () => {
    const file = path.join(service.home, 'run', 'pids', `container-app~prod~${group}~${app}.json`);
    return fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { pid: number }).pid : undefined;
  };

  /** Asks the identity provider as everybody does: by its public name, over TLS that the authority vouches for. */
  async function discovery(): Promise<{ status: number; issuer?: string }> {
    const { configuration } = await client.containerApps.get(group, app);
    const name = configuration?.ingress?.fqdn ?? '';
    const resolver = new Resolver();
    resolver.setServers([`${address(30, 16)}:5353`]);
    const [found = ''] = await resolver.resolve4(name);
    const ca = fs.readFileSync(path.join(service.home, 'run', 'authority', 'ca.pem'), 'utf8');
    const dispatcher = new Agent({ connect: { ca, servername: name, timeout: 2_000 } });
    try {
      const reply = await fetch(`https://${found}:8443/realms/moodtalk/.well-known/openid-configuration`, {
        dispatcher,
      });
      return { status: reply.status, ...((await reply.json()) as { issuer?: string }) };
    } finally {
      await dispatcher.close();
    }
  }

  it('makes an environment with a domain, and refuses an app that could not run in it', async () => {
    const made = await client.managedEnvironments.beginCreateOrUpdateAndWait(
      group,
      environment,
      { location: 'westeurope' },
      poll,
    );
    expect(made.defaultDomain).to.match(/^[a-z0-9-]+\.westeurope\.azurecontainerapps\.io$/);
    environmentId = made.id as string;
    const unknown = wanted({ image: `quay.io/keycloak/keycloak:26.7.3@sha256:${'0'.repeat(64)}` });
    expect(await refusal(put(unknown))).to.equal('400 ContainerAppInvalidParameter');
    expect(await refusal(put(wanted({ image: 'quay.io/keycloak/keycloak:26.7.3' })))).to.equal(
      '400 ContainerAppInvalidParameter',
    );
    const dangling = wanted();
    expect(await refusal(put({ ...dangling, configuration: { ...dangling.configuration, secrets: [] } }))).to.equal(
      '400 ContainerAppInvalidParameter',
    );
    expect(await refusal(put(wanted({ minReplicas: 2 })))).to.equal('400 ContainerAppInvalidParameter');
    expect(await refusal(put({ ...wanted(), location: 'northeurope' }))).to.equal('400 ContainerAppInvalidParameter');
    expect(pid()).to.equal(undefined);
  });

  it('ends the operation when Keycloak is ready: it serves the imported realm, and shows no secret', async () => {
    const made = await put(wanted());
    expect(made).to.include({ provisioningState: 'Succeeded', runningStatus: 'Running' });
    expect(made.latestRevisionFqdn).to.contain(`${app}--`);
    expect(made.configuration?.secrets).to.deep.include({ name: 'db-password' });
    expect(JSON.stringify(made)).not.to.contain(password);
    expect(await discovery()).to.include({ status: 200, issuer: 'https://idp.moodtalk.ch/realms/moodtalk' });
    const arguments_ = fs.readFileSync(`/proc/${pid()}/cmdline`, 'utf8');
    expect(arguments_).not.to.contain(password);
  });

  it('leaves it alone when nothing changed, replaces it when its environment did', async () => {
    const before = pid();
    await put(wanted());
    expect(pid()).to.equal(before);
    await put(wanted({ env: { KC_HOSTNAME: 'https://id.moodtalk.ch' } }));
    expect(pid()).not.to.equal(before);
    expect((await discovery()).issuer).to.equal('https://id.moodtalk.ch/realms/moodtalk');
  });

  it('works on whichever of several servers takes writes', async () => {
    const options = 'sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory&targetServerType=primary';
    const several = `jdbc:postgresql://psql-gone.postgres.database.azure.com:5432,${database}:5432/keycloak?${options}`;
    const made = await put(wanted({ env: { KC_DB_URL: several } }));
    expect(made.runningStatus).to.equal('Running');
    expect((await discovery()).status).to.equal(200);
    await put(wanted());
  });

  it('keeps the revision that served when the new one does not become ready', async () => {
    const broken = put(wanted({ env: { KC_DB_PASSWORD: 'wrong' } }));
    expect(await broken.then(String, String)).to.contain('password authentication failed');
    for (
      const end = Date.now() + 60_000;
      (await discovery().catch(() => undefined))?.status !== 200;
      await delay(200)
    ) {
      if (Date.now() > end) throw new Error('the revision that served is not back within 60 s');
    }
  });

  it('starts it again after it was killed, stops it at zero replicas, and takes it away', async () => {
    const before = pid() as number;
    process.kill(before, 'SIGKILL');
    for (
      const end = Date.now() + 60_000;
      pid() === before || (await discovery().catch(() => undefined))?.status !== 200;
      await delay(200)
    ) {
      if (Date.now() > end) throw new Error('not back within 60 s');
    }
    expect((await put(wanted({ minReplicas: 0 }))).runningStatus).to.equal('Stopped');
    expect(pid()).to.equal(undefined);
    expect(await refusal(client.managedEnvironments.beginDeleteAndWait(group, environment))).to.equal(
      '409 CannotDeleteResource',
    );
    await client.containerApps.beginDeleteAndWait(group, app, poll);
    await client.managedEnvironments.beginDeleteAndWait(group, environment, poll);
  });
});
