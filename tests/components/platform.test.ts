import { expect } from 'chai';
import { X509Certificate } from 'node:crypto';
import { SiteIdentity } from '../../components/access/siteIdentity';
import { DatabaseAdmission } from '../../components/access/databaseAdmission';
import { ReaderGrant } from '../../components/access/readerGrant';
import { WriteFence } from '../../components/access/writeFence';
import { KubernetesCluster } from '../../components/cluster/kubernetesCluster';
import { CoordinationStore } from '../../components/coordination/coordinationStore';
import { databaseEngines } from '../../components/database/engines';
import { cloudflareZone } from '../../components/dns/cloudflare';
import { InternalRecords } from '../../components/dns/internalRecords';
import { InternalZone } from '../../components/dns/internalZone';
import { PublicRecords } from '../../components/dns/publicRecords';
import { DatabaseAlerts } from '../../components/monitoring/databaseAlerts';
import { SiteMonitoring } from '../../components/monitoring/siteMonitoring';
import { SiteNetwork } from '../../components/network/siteNetwork';
import { PlatformSite, type PlatformSiteArgs } from '../../components/workload/platformSite';
import { apps, type App } from '../../config/fields';
import type { Registered } from '../stacks/engine';
import { children, group, hosts, made, one, place, type Json } from './support';

describe('network', () => {
  it('SiteNetwork: one fixed way out for every subnet, one fixed way in', async () => {
    const ranges = { addressSpace: '10.1.0.0/16', clusterSubnet: '10.1.0.0/20', identitySubnet: '10.1.16.0/23' };
    const resources = await made(() => new SiteNetwork('network', { ...place, label: 'x-prod', ...ranges }));
    expect(children(resources, 'network')).to.have.members([
      'azure-native:network:PublicIPAddress network-egress',
      'azure-native:network:PublicIPAddress network-ingress',
      'azure-native:network:NatGateway network-nat',
      'azure-native:network:VirtualNetwork network-vnet',
      'azure-native:network:Subnet network-cluster',
      'azure-native:network:Subnet network-identity',
    ]);
    const address = one(resources, 'azure-native:network:PublicIPAddress', 'network-egress');
    expect(address.inputs).to.include({ publicIpAddressName: 'pip-x-prod-egress', publicIPAllocationMethod: 'Static' });
    expect(address.protect).to.equal(true);
    const gateway = one(resources, 'azure-native:network:NatGateway', 'network-nat').inputs['publicIpAddresses'];
    expect(JSON.stringify(gateway)).to.contain('pip-x-prod-egress').and.not.contain('ingress');
    for (const name of ['cluster', 'identity'])
      expect(one(resources, 'azure-native:network:Subnet', `network-${name}`).inputs['natGateway']).to.have.property(
        'id',
      );
  });
});

describe('cluster', () => {
  it('KubernetesCluster: leaves by the site’s gateway, with an identity that may use the network', async () => {
    const size = { kubernetesVersion: '1.35', nodeSize: 'Standard_D4ds_v5', nodeCount: 3, subnetId: 'subnet' };
    const resources = await made(
      () => new KubernetesCluster('cluster', { ...place, resourceGroupId: group, label: 'x-prod', ...size }),
    );
    const cluster = one(resources, 'azure-native:containerservice:ManagedCluster', 'cluster-cluster').inputs;
    expect(cluster['resourceName']).to.equal('aks-x-prod');
    expect(cluster['networkProfile']).to.include({ outboundType: 'userAssignedNATGateway' });
    expect(cluster['securityProfile']).to.deep.equal({ workloadIdentity: { enabled: true } });
    expect(cluster['addonProfiles']).to.deep.equal({
      azureKeyvaultSecretsProvider: { enabled: true, config: { enableSecretRotation: 'true' } },
    });
    const role = one(resources, 'azure-native:authorization:RoleAssignment', 'cluster-network').inputs;
    expect(role).to.include({ scope: group, principalId: 'principal-id-x-prod-cluster' });
  });
});

describe('dns', () => {
  it('PublicRecords: one proxied record per host, all to one address', async () => {
    const resources = await made(
      async () =>
        new PublicRecords('public', { provider: await cloudflareZone('moodtalk.ch'), hosts, address: '203.0.10.2' }),
    );
    const records = resources.filter(({ type }) => type === 'cloudflare:index/dnsRecord:DnsRecord');
    expect(records.map(({ inputs }) => inputs['name'])).to.have.members(Object.values(hosts));
    for (const { inputs } of records)
      expect(inputs).to.include({
        type: 'A',
        content: '203.0.10.2',
        proxied: true,
        ttl: 1,
        zoneId: '0123456789abcdef0123456789abcdef',
      });
  });

  it('InternalRecords and PublicRecords: stay where they are while a change of role is not complete', async () => {
    const resources = await made(async () => {
      new InternalRecords('records', {
        ...{ resourceGroupName: 'rg-x-global', zoneName: 'prod.internal', apps, ingressAddress: '203.0.20.2' },
        ...{ databaseFqdn: 'db.example', identityFqdn: 'idp.example', own: { standby: '203.0.10.2' } },
        ...{ linkName: 'x-intg', otherNetworkId: 'vnet-intg', frozen: true },
      });
      const provider = await cloudflareZone('moodtalk.ch');
      new PublicRecords('public', { provider, hosts, address: '203.0.20.2', frozen: true });
    });
    const records = resources.filter(({ type }) => /:(PrivateRecordSet|DnsRecord)$/.test(type));
    const moving = records.filter(({ name }) => name !== 'records-standby');
    expect(moving).to.have.length(apps.length + 2 + Object.keys(hosts).length);
    for (const { name, ignoreChanges } of moving) expect(ignoreChanges, name).to.deep.equal(['*']);
    expect(one(records, 'azure-native:privatedns:PrivateRecordSet', 'records-standby').ignoreChanges).to.deep.equal([]);
  });

  it('InternalZone and InternalRecords: the applications, db and idp, seen from both networks', async () => {
    const zone = { resourceGroupName: 'rg-x-global', zoneName: 'prod.internal' };
    const resources = await made(() => {
      new InternalZone('internal', { ...zone, linkName: 'x-prod', networkId: 'vnet-prod' });
      new InternalRecords('records', {
        ...{ ...zone, apps, ingressAddress: '203.0.20.2', databaseFqdn: 'db.example', identityFqdn: 'idp.example' },
        ...{ linkName: 'x-intg', otherNetworkId: 'vnet-intg', own: { standby: '203.0.10.2' } },
      });
    });
    expect(one(resources, 'azure-native:privatedns:PrivateZone', 'internal-zone').protect).to.equal(true);
    const links = resources.filter(({ type }) => type === 'azure-native:privatedns:VirtualNetworkLink');
    expect(links.map(({ inputs }) => inputs['virtualNetwork'])).to.have.deep.members([
      { id: 'vnet-prod' },
      { id: 'vnet-intg' },
    ]);
    const sets = resources.filter(({ type }) => type === 'azure-native:privatedns:PrivateRecordSet');
    expect(
      Object.fromEntries(sets.map(({ inputs }) => [inputs['relativeRecordSetName'], inputs['recordType']])),
    ).to.deep.equal({
      ...Object.fromEntries(apps.map((app) => [app, 'A'])),
      ...{ db: 'CNAME', idp: 'CNAME', standby: 'A' },
    });
  });
});

describe('access', () => {
  it('ReaderGrant: named after what it grants, the same in each run', async () => {
    const grant = async (scope: string) =>
      one(
        await made(() => new ReaderGrant('grant', { scope, principalId: 'p' })),
        'azure-native:authorization:RoleAssignment',
        'grant-reader',
      ).inputs;
    const first = await grant(group);
    expect(first['roleAssignmentName']).to.match(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(first['roleDefinitionId']).to.match(/^\/subscriptions\/s\/.*\/acdd72a7-3385-48ef-bd42-f606fba81ae7$/);
    expect(await grant(group)).to.deep.equal(first);
    expect((await grant(`${group}2`))['roleAssignmentName']).not.to.equal(first['roleAssignmentName']);
  });

  it('SiteIdentity: one service account of the cluster may be it', async () => {
    const resources = await made(
      () =>
        new SiteIdentity('identity', {
          ...{ ...place, identityName: 'id-x-prod', issuer: 'https://issuer.example/prod/' },
          serviceAccount: { namespace: 'x', name: 'standby-agent' },
        }),
    );
    const type = 'azure-native:managedidentity:FederatedIdentityCredential';
    expect(one(resources, type, 'identity-agent').inputs).to.deep.include({
      ...{ issuer: 'https://issuer.example/prod/', subject: 'system:serviceaccount:x:standby-agent' },
      audiences: ['api://AzureADTokenExchange'],
    });
  });

  it('DatabaseAdmission and WriteFence: one address, one parameter', async () => {
    const server = { resourceGroupName: 'rg-x', serverName: 'psql-x' };
    const resources = await made(() => {
      new DatabaseAdmission('admission', { ...server, address: '203.0.20.1' });
      new WriteFence('fence', { ...server, closed: true });
    });
    expect(one(resources, 'azure-native:dbforpostgresql:FirewallRule', 'admission-active-site').inputs).to.include({
      firewallRuleName: 'psql-x-active-site',
      startIpAddress: '203.0.20.1',
      endIpAddress: '203.0.20.1',
    });
    expect(one(resources, 'azure-native:dbforpostgresql:Configuration', 'fence-read-only').inputs).to.include({
      configurationName: 'default_transaction_read_only',
      value: 'on',
    });
  });
});

describe('what the sites share', () => {
  it('CoordinationStore: in a third region, protected, no key, no versions, open to three identities', async () => {
    const resources = await made(
      () =>
        new CoordinationStore('store', {
          ...{ resourceGroupName: 'rg-x-standby', location: 'swedencentral', accountName: 'stxstandby' },
          ...{
            containerName: 'standby',
            identities: { prod: 'p1', intg: 'p2' },
            operator: { principalId: 'p3', principalType: 'User' },
          },
        }),
    );
    const account = one(resources, 'azure-native:storage:StorageAccount', 'store-account');
    expect(account.inputs).to.include({
      ...{ location: 'swedencentral', minimumTlsVersion: 'TLS1_2', allowSharedKeyAccess: false },
    });
    const data = resources.filter(({ type }) => /:(ResourceGroup|StorageAccount|BlobContainer)$/.test(type));
    expect(data.map(({ protect }) => protect)).to.deep.equal([true, true, true]);
    const blobs = one(resources, 'azure-native:storage:BlobServiceProperties', 'store-blobs').inputs;
    expect(blobs).to.include({ isVersioningEnabled: false });
    const grants = resources.filter(({ type }) => type === 'azure-native:authorization:RoleAssignment');
    expect(grants.map(({ inputs }) => [inputs['principalId'], inputs['principalType']])).to.have.deep.members([
      ['p1', 'ServicePrincipal'],
      ['p2', 'ServicePrincipal'],
      ['p3', 'User'],
    ]);
    for (const { inputs } of grants) {
      expect(String(inputs['scope'])).to.match(/store-container$|standby$/);
      expect(String(inputs['roleDefinitionId'])).to.match(/ba92f5b4-2d11-453d-a403-e96b0029c9fe$/);
    }
    expect(new Set(grants.map(({ inputs }) => inputs['roleAssignmentName'])).size).to.equal(3);
  });
});

describe('monitoring', () => {
  it('SiteMonitoring: logs for 90 days, two teams told', async () => {
    const people = { infrastructure: 'infra@moodtalk.ch', security: 'security@moodtalk.ch' };
    const args = { ...place, label: 'x-prod', retentionDays: 90, ...people, sources: { database: 'server-id' } };
    const resources = await made(() => new SiteMonitoring('monitoring', args));
    expect(one(resources, 'azure-native:operationalinsights:Workspace', 'monitoring-workspace').inputs).to.include({
      retentionInDays: 90,
    });
    const receivers = one(resources, 'azure-native:monitor:ActionGroup', 'monitoring-people').inputs[
      'emailReceivers'
    ] as Json[];
    expect(receivers.map(({ emailAddress }) => emailAddress)).to.deep.equal(Object.values(people));
    expect(one(resources, 'azure-native:monitor:DiagnosticSetting', 'monitoring-database-logs').inputs).to.include({
      resourceUri: 'server-id',
    });
  });

  it('DatabaseAlerts: memory, storage, connectivity and user load', async () => {
    const limits = { memoryPercent: 90, storagePercent: 80, connections: 400 };
    const args = { resourceGroupName: 'rg-x', label: 'psql-x', observedId: 'server-id', actionGroupId: 'people' };
    const resources = await made(
      () => new DatabaseAlerts('alerts', { ...args, ...limits, metrics: databaseEngines.postgresql.metrics }),
    );
    const alerts = resources.filter(({ type }) => type === 'azure-native:monitor:MetricAlert');
    const criteria = alerts.map(({ inputs }) => (inputs['criteria'] as { allOf: Json[] }).allOf[0]);
    expect(
      criteria.map((each) => [each?.['metricName'], each?.['operator'], each?.['threshold']]),
    ).to.have.deep.members([
      ['memory_percent', 'GreaterThan', 90],
      ['storage_percent', 'GreaterThan', 80],
      ['is_db_alive', 'LessThan', 1],
      ['active_connections', 'GreaterThan', 400],
    ]);
    for (const { inputs } of alerts) expect(inputs['actions']).to.deep.equal([{ actionGroupId: 'people' }]);
  });
});

describe('workload', () => {
  const clients = Object.fromEntries(apps.map((app) => [app, `secret-of-${app}`])) as Record<App, string>;
  const site: PlatformSiteArgs = {
    ...{
      platform: 'moodtalk',
      site: 'prod',
      running: true,
      apps,
      hosts,
      image: 'app@sha256:0',
      release: '1',
      epoch: 3,
    },
    ...{ replicas: 2, realm: 'moodtalk', clients, session: 'secret-session', identityName: 'idp.prod.internal' },
    ...{ identityFqdn: 'idp.example', ingressAddress: '203.0.10.2', ingressGroup: 'rg-x' },
    database: { host: 'db.example', port: 5432, database: 'moodtalk', user: 'standby', password: 'secret-password' },
  };

  it('PlatformSite: five applications, an ingress on the fixed address, nothing that is deleted with the program', async () => {
    const resources = await made(() => new PlatformSite('platform', site));
    const kinds = (kind: string) => resources.filter(({ type }) => type.endsWith(`:${kind}`));
    expect(kinds('Deployment').map(({ inputs }) => (inputs['metadata'] as Json)['name'])).to.have.members([...apps]);
    expect(kinds('Ingress')).to.have.length(6);
    const controller = kinds('NginxIngressController')[0]?.inputs['spec'] as { loadBalancerAnnotations: Json };
    expect(Object.values(controller.loadBalancerAnnotations)).to.deep.equal(['203.0.10.2', 'rg-x']);
    expect(kinds('Service').find(({ name }) => name === 'platform-front-idp')?.inputs['spec']).to.include({
      type: 'ExternalName',
      externalName: 'idp.prod.internal',
    });
    expect(kinds('NetworkPolicy')).to.have.length(1);
    for (const { name, retainOnDelete } of resources.filter(({ custom }) => custom))
      expect(retainOnDelete, name).to.equal(true);
  });

  it('PlatformSite: the ingress names the identity provider in the handshake, and takes it from public authorities alone', async () => {
    const resources = await made(() => new PlatformSite('platform', site));
    const { inputs } = one(resources, 'kubernetes:core/v1:Secret', 'platform-front-idp-authorities');
    const { 'ca.crt': authorities = '' } = inputs['stringData'] as Record<string, string>;
    const certificates = authorities.split(/(?<=-----END CERTIFICATE-----\n)/).map((pem) => new X509Certificate(pem));
    expect(certificates.map(({ subject }) => /^CN=(.*)$/m.exec(subject)?.[1])).to.deep.equal([
      ...['DigiCert Global Root G2', 'DigiCert Global Root G3'],
      ...['DigiCert TLS ECC P384 Root G5', 'DigiCert TLS RSA4096 Root G5'],
      ...['Microsoft ECC Root Certificate Authority 2017', 'Microsoft RSA Root Certificate Authority 2017'],
    ]);
    const ingress = one(resources, 'kubernetes:networking.k8s.io/v1:Ingress', 'platform-front-idp-ingress');
    const nginx = 'nginx.ingress.kubernetes.io';
    expect((ingress.inputs['metadata'] as { annotations: Json }).annotations).to.include({
      [`${nginx}/proxy-ssl-secret`]: 'moodtalk/idp-authorities',
      [`${nginx}/proxy-ssl-server-name`]: 'on',
      [`${nginx}/proxy-ssl-name`]: 'idp.example',
      [`${nginx}/proxy-ssl-verify`]: 'on',
    });
  });

  it('PlatformSite: each instance with probes, limits, no rights, and its secrets by reference', async () => {
    const resources = await made(() => new PlatformSite('platform', site));
    const { inputs } = one(resources, 'kubernetes:apps/v1:Deployment', 'platform-api-deployment');
    const spec = inputs['spec'] as { replicas: number; template: { spec: { containers: Json[] } } };
    expect(spec.replicas).to.equal(2);
    const container = spec.template.spec.containers[0] as Json;
    expect(container).to.include.keys('readinessProbe', 'livenessProbe', 'resources');
    expect(container['securityContext']).to.include({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
    expect(container['env']).to.deep.include({ name: 'EPOCH', value: '3' });
    expect(container['env']).to.deep.include({ name: 'PGHOST', value: 'db.example' });
    expect(JSON.stringify(inputs)).not.to.contain('secret-');
    const binding = one(resources, 'kubernetes:core/v1:Secret', 'platform-binding');
    expect(binding.secrets).to.deep.equal(['stringData']);
    expect(binding.inputs['stringData']).to.include({
      'client-api': 'secret-of-api',
      'database-password': 'secret-password',
    });
  });

  it('PlatformSite: a standby has everything but instances', async () => {
    const [active, standby] = [
      await made(() => new PlatformSite('p', site)),
      await made(() => new PlatformSite('p', { ...site, running: false })),
    ];
    const names = (resources: readonly Registered[]) => resources.map(({ type, name }) => `${type} ${name}`).sort();
    expect(names(standby)).to.deep.equal(names(active));
    for (const { inputs } of standby.filter(({ type }) => type.endsWith(':Deployment')))
      expect(inputs['spec']).to.include({ replicas: 0 });
  });
});
