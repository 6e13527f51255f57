import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fromBody, missing, preview, toBody } from '../../sandbox/providers/azure-native/convert';
import { composite, propertiesOf } from '../../sandbox/providers/azure-native/models';
import { functions, resources } from '../../sandbox/providers/azure-native/table';
import { azureNative } from '../../sandbox/providers/azure-native';
import { unknown, type Properties } from '../../sandbox/providers/plugin';
import { repository } from '../../sandbox/world';

const sdk = (key: string) => {
  const [module = '', name = ''] = key.split(':');
  const file = name[0]?.toLowerCase() + name.slice(1) + '.js';
  return fs.readFileSync(path.join(repository, 'node_modules', '@pulumi', 'azure-native', module, file), 'utf8');
};
const parameters = (template: string) => [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);

/** Inputs of api-versions that are newer than the vendor's client: they go under `properties` by the name they have. */
const newer = new Set([
  ...['appInsightsConfiguration', 'availabilityZones', 'diskEncryptionConfiguration', 'ingressConfiguration'],
  ...[
    'openTelemetryConfiguration',
    'publicNetworkAccess',
    'kind',
    'patchingConfiguration',
    'resolutionPolicy',
    'secondaryType',
  ],
  ...['marketplacePartnerId', 'incidentReceivers', 'isIPv6Enabled', 'encryptionProtectorAutoRotation'],
  ...['freeLimitExhaustionBehavior', 'useFreeLimit'],
]);

describe('providers: the table of azure-native', () => {
  for (const [key, row] of Object.entries(resources)) {
    it(`${key} has the api-version and the inputs of the official SDK`, () => {
      const source = sdk(key);
      expect(source.match(/Uses Azure REST API version (\S+)\./)?.[1]).to.equal(row.version);
      const inputs = [...source.matchAll(/resourceInputs\["(\w+)"\] = .*\bargs\b/g)].map((match) => match[1] ?? '');
      const known = new Set([
        ...parameters(row.path),
        ...propertiesOf(composite(row.service, row.body, {})).map(({ name }) => name),
      ]);
      expect(inputs.filter((name) => !known.has(name) && !newer.has(name))).to.deep.equal([]);
      const given = parameters(row.path).filter((name) => name !== 'subscriptionId');
      expect(inputs).to.include.members(given);
      for (const name of row.forcesNew ?? []) expect(inputs).to.include(name.split(/[.[]/)[0]);
    });
  }

  it('takes a new resource for a new name, a new region and what the row says, and for nothing else', () => {
    const provider = azureNative.configure({ subscriptionId: 's', tenantId: 't', clientId: 'c', clientSecret: 'x' });
    for (const [key, row] of Object.entries(resources)) {
      const given = parameters(row.path).filter((name) => name !== 'subscriptionId');
      const paths = [...given, 'location', ...(row.forcesNew ?? [])].filter((path) => path?.includes('[]') === false);
      for (const path of [...paths, 'tags'] as string[]) {
        const at = (value: string) => path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
        const [oldInputs, news] = [at('a'), at('b')] as [Properties, Properties];
        const found = provider.diff({
          urn: '',
          type: `azure-native:${key}`,
          name: '',
          id: '',
          oldInputs,
          oldOutputs: {},
          news,
        });
        const expected = [{ kind: 'update', replace: path !== 'tags' }];
        expect([...found.changes.values()], `${key} ${path}`).to.deep.equal(expected);
        expect(found.deleteBeforeReplace).to.equal(path !== 'tags');
      }
    }
    const pool = (vmSize: string) => ({ agentPoolProfiles: [{ vmSize }] });
    const target = { urn: '', type: 'azure-native:containerservice:ManagedCluster', name: '', id: '', oldOutputs: {} };
    expect([...provider.diff({ ...target, oldInputs: pool('a'), news: pool('b') }).changes.values()]).to.deep.equal([
      { kind: 'update', replace: true },
    ]);
    const region = { ...target, oldInputs: { location: 'West Europe' }, news: { location: 'westeurope' } };
    expect(provider.diff(region).changes.size).to.equal(0);
    // What the service chose and the program now says is no new resource.
    const said = {
      ...target,
      type: 'azure-native:dbforpostgresql:Server',
      oldInputs: {},
      oldOutputs: { availabilityZone: '1' },
      news: { availabilityZone: '1' },
    };
    expect([...provider.diff(said).changes.values()]).to.deep.equal([{ kind: 'add', replace: false }]);
  });

  for (const [key, row] of Object.entries(functions)) {
    it(`${key} has the api-version and the arguments of the official SDK`, () => {
      const source = sdk(key);
      expect(source.match(/Uses Azure REST API version (\S+)\./)?.[1]).to.equal(row.version);
      for (const name of parameters(row.path))
        if (name !== 'subscriptionId') expect(source).to.include(`"${name}": args.${name}`);
    });
  }
});

describe('providers: names and bodies of azure-native', () => {
  const app = { service: 'app', name: 'ContainerApp' } as const;
  const inputs = {
    location: 'westeurope',
    managedEnvironmentId: '/env',
    identity: { type: 'UserAssigned', userAssignedIdentities: ['/user'] },
    configuration: { secrets: [{ name: 'password', value: 'x' }], ingress: { external: true, targetPort: 8080 } },
    template: { containers: [{ name: 'kc', image: 'i', env: [{ name: 'P', secretRef: 'password' }] }] },
  };

  it('puts a flat set of inputs where the service wants it, and back', () => {
    const body = toBody(app, inputs);
    expect(body).to.deep.equal({
      location: 'westeurope',
      identity: { type: 'UserAssigned', userAssignedIdentities: { '/user': {} } },
      properties: { managedEnvironmentId: '/env', configuration: inputs.configuration, template: inputs.template },
    });
    const answer = { ...body, properties: { ...(body['properties'] as object), latestRevisionFqdn: 'f', brandNew: 1 } };
    expect(fromBody(app, answer)).to.include({ latestRevisionFqdn: 'f', brandNew: 1, managedEnvironmentId: '/env' });
  });

  it('knows names that differ from the wire, and sub-types by their discriminator', () => {
    const account = { service: 'storage', name: 'StorageAccountCreateParameters' } as const;
    expect(
      toBody(account, { networkRuleSet: { ipRules: [{ iPAddressOrRange: '1.2.3.4' }] }, enableHttpsTrafficOnly: true }),
    ).to.deep.equal({
      properties: { networkAcls: { ipRules: [{ action: 'Allow', value: '1.2.3.4' }] }, supportsHttpsTrafficOnly: true },
    });
    const alert = { service: 'monitor', name: 'MetricAlertResource' } as const;
    const odataType = 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria';
    expect(toBody(alert, { criteria: { odataType, allOf: [{ name: 'x' }] } })).to.deep.equal({
      properties: { criteria: { 'odata.type': odataType, allOf: [{ name: 'x' }] } },
    });
    const cluster = { service: 'containerservice', name: 'ManagedCluster' } as const;
    expect(fromBody(cluster, { properties: { enableRBAC: true, privateFQDN: 'p' } })).to.deep.equal({
      enableRBAC: true,
      privateFQDN: 'p',
    });
  });

  it('leaves unknown what only the service can say, also inside of what was given', () => {
    const known = preview(app, inputs) as {
      configuration: { ingress: { fqdn: string; external: boolean } };
      latestRevisionFqdn: string;
    };
    expect(known.configuration.ingress).to.include({ fqdn: unknown, external: true });
    expect(known.latestRevisionFqdn).to.equal(unknown);
  });

  it('names what is missing', () => {
    const rule = { service: 'dbforpostgresql', name: 'FirewallRule' } as const;
    expect(missing(rule, { startIpAddress: '10.0.0.1' })).to.deep.equal([
      { property: 'endIpAddress', reason: "missing required property 'endIpAddress'" },
    ]);
  });
});
