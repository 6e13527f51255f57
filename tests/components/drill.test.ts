import { expect } from 'chai';
import { DrillServer, type DrillServerArgs } from '../../components/database/drillServer';
import { DrillPlatform } from '../../components/workload/drillPlatform';
import { drillHosts, drillTags } from '../../config/drill';
import { apps, type App } from '../../config/fields';
import { hosts, made, one, place } from './support';

const tags = drillTags({ number: 7, expiresAt: '2026-01-31T22:00:00.000Z' });

describe('DrillServer', () => {
  const args: DrillServerArgs = {
    ...place,
    ...{ serverName: 'psql-x-intg-drill-7', method: 'geoRestore', sourceServerId: '/id/of/psql-x-prod' },
    ...{ pointInTime: '2026-01-31T20:00:00.000Z', sku: 'Standard_D4ds_v5', tier: 'GeneralPurpose' },
    ...{ backupRetentionDays: 35, siteAddress: '203.0.20.1', operatorAddresses: ['198.51.100.7'], tags },
  };
  const server = async (change: Partial<DrillServerArgs> = {}) => {
    const resources = await made(() => new DrillServer('database', { ...args, ...change }));
    return { resources, server: one(resources, 'azure-native:dbforpostgresql:Server', 'database-server') };
  };

  it('is a copy with a password of its own, tagged, and free to go', async () => {
    const { resources, server: made } = await server();
    expect(made.inputs).to.deep.include({
      createMode: 'GeoRestore',
      sourceServerResourceId: '/id/of/psql-x-prod',
      tags: { ...tags, 'standby-method': 'geoRestore' },
    });
    expect(made.inputs, 'as large as its source has grown').not.to.have.property('storage');
    expect(made.inputs['administratorLoginPassword']).to.not.equal(undefined);
    expect(resources.filter(({ protect }) => protect)).to.deep.equal([]);
  });

  it('is a clone where a moment is asked for', async () =>
    expect((await server({ method: 'clone' })).server.inputs).to.include({
      createMode: 'PointInTimeRestore',
      pointInTimeUTC: '2026-01-31T20:00:00.000Z',
    }));

  it('lets in its site and the operators, and nobody else', async () => {
    const rules = (await server()).resources.filter(({ type }) => type.endsWith(':FirewallRule'));
    expect(rules.map(({ inputs }) => [inputs['startIpAddress'], inputs['endIpAddress']])).to.have.deep.members([
      ['203.0.20.1', '203.0.20.1'],
      ['198.51.100.7', '198.51.100.7'],
    ]);
  });
});

describe('DrillPlatform', () => {
  const platform = () =>
    made(
      () =>
        new DrillPlatform('platform', {
          ...{ platform: 'x-drill', site: 'intg', apps, hosts: drillHosts(hosts), image: 'i@sha256:0', release: '1' },
          ...{ epoch: 2_000_000, realm: 'x', session: 's', identityFqdn: 'idp.example', ingressClass: 'x' },
          database: { host: 'h', port: 5432, database: 'x', user: 'x_e2000000', password: 'p' },
          clients: Object.fromEntries(apps.map((app) => [app, app])) as Record<App, string>,
        }),
    );

  it('lives in a namespace of its own that takes all of it along', async () => {
    const resources = await platform();
    const namespace = one(resources, 'kubernetes:core/v1:Namespace', 'platform-namespace');
    expect(namespace.inputs['metadata']).to.deep.include({
      name: 'x-drill',
      labels: { 'standby-purpose': 'drill' },
    });
    const others = resources.filter(({ type }) => type.startsWith('kubernetes:') && type !== namespace.type);
    const places = others.map(({ inputs }) => (inputs['metadata'] as { namespace?: string }).namespace);
    expect(new Set(places)).to.deep.equal(new Set(['x-drill']));
  });

  it("answers at the site's own ingress for its own hosts alone", async () => {
    const ingresses = (await platform()).filter(({ type }) => type.endsWith(':Ingress'));
    expect(ingresses).to.have.length(6);
    for (const { inputs } of ingresses) {
      const spec = inputs['spec'] as { ingressClassName: string; rules: { host: string }[] };
      expect(spec.ingressClassName).to.equal('x');
      expect(spec.rules.map(({ host }) => host)[0]).to.match(/^drill-/);
    }
  });

  it('reaches names, HTTPS and the database: no mail', async () => {
    const policy = one(await platform(), 'kubernetes:networking.k8s.io/v1:NetworkPolicy', 'platform-isolation');
    const { egress } = policy.inputs['spec'] as { egress: { ports: { port: number }[] }[] };
    expect(egress.flatMap(({ ports }) => ports.map(({ port }) => port))).to.have.members([53, 53, 443, 5432]);
  });
});
