/** Cases of the policies about places, connections and workloads. */
import type { Case } from './cases';

const workspace = (retentionInDays?: number) =>
  ({ type: 'azure-native:operationalinsights:Workspace', name: 'logs', inputs: { retentionInDays } }) as const;
const placed = (location?: string, type = 'network:VirtualNetwork') =>
  ({ type: `azure-native:${type}`, name: 'one', inputs: { location } }) as const;
const account = (inputs: object) => ({ type: 'azure-native:storage:StorageAccount', name: 'account', inputs }) as const;
const parameter = (configurationName: string, value: string) =>
  ({
    type: 'azure-native:dbforpostgresql:Configuration',
    name: 'parameter',
    inputs: { configurationName, value },
  }) as const;
const range = (startIpAddress: string, endIpAddress: string, type = 'dbforpostgresql') =>
  ({ type: `azure-native:${type}:FirewallRule`, name: 'rule', inputs: { startIpAddress, endIpAddress } }) as const;
const inbound = (rule: object) =>
  ({
    type: 'azure-native:network:NetworkSecurityGroup',
    name: 'nsg',
    inputs: { securityRules: [{ direction: 'Inbound', access: 'Allow', ...rule }] },
  }) as const;
const blobs = (publicAccess?: string) =>
  ({ type: 'azure-native:storage:BlobContainer', name: 'blobs', inputs: { publicAccess } }) as const;

const digest = `@sha256:${'0a'.repeat(32)}`;
const amounts = { cpu: '100m', memory: '128Mi' };
const sound = {
  name: 'api',
  image: `ghcr.io/moodtalk/platform:4.2.0${digest}`,
  readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
  livenessProbe: { httpGet: { path: '/live', port: 8080 } },
  resources: { requests: amounts, limits: amounts },
};
const deployment = (container: object, pod: object = {}) =>
  ({
    type: 'kubernetes:apps/v1:Deployment',
    name: 'api',
    inputs: { spec: { template: { spec: { containers: [{ ...sound, ...container }], ...pod } } } },
  }) as const;
const app = (container: object) =>
  ({
    type: 'azure-native:app:ContainerApp',
    name: 'idp',
    inputs: {
      template: {
        containers: [
          {
            name: 'keycloak',
            image: `quay.io/keycloak/keycloak:26.7.3${digest}`,
            probes: [{ type: 'Readiness' }, { type: 'Liveness' }],
            resources: { cpu: 1, memory: '2Gi' },
            ...container,
          },
        ],
      },
    },
  }) as const;
const path = 'spec.template.spec.containers[api]';

export const platformCases: readonly Case[] = [
  {
    policy: 'log-retention',
    passes: {
      'three months': { given: [workspace(90)] },
      "a table with its workspace's retention": {
        given: [{ type: 'azure-native:operationalinsights:Table', name: 'table' }],
      },
    },
    violations: {
      'a day short': { given: [workspace(89)], says: ['logs', 'retentionInDays is 89', '90 days'] },
      "the vendor's default": { given: [workspace()], says: ['is not set'] },
      'a longer minimum of the profile': { settings: { minimumDays: 92 }, given: [workspace(90)], says: ['92 days'] },
    },
  },
  {
    policy: 'eea-regions',
    passes: {
      'a region in the EEA': { given: [placed('northeurope'), placed('West Europe', 'storage:StorageAccount')] },
      'a service without a place': { given: [placed('global', 'privatedns:PrivateZone')] },
      'a part of another resource': { given: [{ type: 'azure-native:network:Subnet', name: 'subnet' }] },
      "a bucket in the EU's jurisdiction": {
        given: [{ type: 'cloudflare:index/r2Bucket:R2Bucket', name: 'offsite', inputs: { jurisdiction: 'eu' } }],
      },
    },
    violations: {
      'the United Kingdom': { given: [placed('uksouth')], says: ['location is "uksouth"', 'westeurope'] },
      'a kind that is in no list of ours': { given: [placed('uksouth', 'cache:Redis')], says: ['"uksouth"'] },
      Switzerland: { given: [placed('switzerlandnorth')], says: ['"switzerlandnorth"'] },
      'no region': { given: [placed(undefined, 'dbforpostgresql:Server')], says: ['location is not set'] },
      'a database without a place': { given: [placed('global', 'dbforpostgresql:Server')], says: ['"global"'] },
      'outside the regions of the profile': {
        settings: { regions: ['westeurope'] },
        given: [placed('northeurope')],
        says: ['one of westeurope'],
      },
      'a bucket somewhere': {
        given: [{ type: 'cloudflare:index/r2Bucket:R2Bucket', name: 'offsite' }],
        says: ['jurisdiction'],
      },
    },
  },
  {
    policy: 'tls',
    passes: {
      'TLS 1.2': { given: [account({ minimumTlsVersion: 'TLS1_2' })] },
      'Azure SQL': { given: [{ type: 'azure-native:sql:Server', name: 'sql', inputs: { minimalTlsVersion: '1.2' } }] },
      'PostgreSQL that insists': {
        given: [parameter('require_secure_transport', 'on'), parameter('ssl_min_protocol_version', 'TLSv1.3')],
      },
      'another parameter': { given: [parameter('max_connections', 'off')] },
      'a zone that insists': {
        given: [
          {
            type: 'cloudflare:index/zoneSetting:ZoneSetting',
            name: 'tls',
            inputs: { settingId: 'min_tls_version', value: '1.2' },
          },
        ],
      },
    },
    violations: {
      'TLS 1.0': {
        given: [account({ minimumTlsVersion: 'TLS1_0' })],
        says: ['minimumTlsVersion is "TLS1_0"', 'TLS1_2'],
      },
      'TLS unset, which is 1.0': { given: [account({})], says: ['is not set'] },
      'plain HTTP': {
        given: [account({ minimumTlsVersion: 'TLS1_2', enableHttpsTrafficOnly: false })],
        says: ['enableHttpsTrafficOnly is false'],
      },
      'PostgreSQL in the clear': { given: [parameter('require_secure_transport', 'off')], says: ['value is "off"'] },
      'PostgreSQL with TLS 1.1': { given: [parameter('ssl_min_protocol_version', 'TLSv1.1')], says: ['"TLSv1.1"'] },
      'Azure SQL with any': {
        given: [{ type: 'azure-native:sql:Server', name: 'sql', inputs: { minimalTlsVersion: 'None' } }],
        says: ['"None"'],
      },
      'a zone that talks to its origin in the clear': {
        given: [
          {
            type: 'cloudflare:index/zoneSetting:ZoneSetting',
            name: 'ssl',
            inputs: { settingId: 'ssl', value: 'flexible' },
          },
        ],
        says: ['"flexible"'],
      },
    },
  },
  {
    policy: 'no-open-firewall',
    passes: {
      'one address': { settings: { maximumAddresses: 1 }, given: [range('20.61.1.2', '20.61.1.2')] },
      'a /24': { given: [range('20.61.1.0', '20.61.1.255')] },
      'anyone to a named port': { given: [inbound({ sourceAddressPrefix: '*', destinationPortRange: '443' })] },
      'a named source to any port': {
        given: [inbound({ sourceAddressPrefix: '10.0.0.0/16', destinationPortRange: '*' })],
      },
      'any-any that is denied': {
        given: [inbound({ access: 'Deny', sourceAddressPrefix: '*', destinationPortRange: '*' })],
      },
    },
    violations: {
      'every Azure tenant': {
        given: [range('0.0.0.0', '0.0.0.0')],
        says: ['startIpAddress is "0.0.0.0"', 'every Azure tenant'],
      },
      everyone: { given: [range('0.0.0.0', '255.255.255.255', 'sql')], says: ['startIpAddress is "0.0.0.0"'] },
      'one address over a /24': {
        given: [range('20.61.1.0', '20.61.2.0')],
        says: ['20.61.1.0 to 20.61.2.0', '256 at most'],
      },
      'two addresses where the plan names one': {
        settings: { maximumAddresses: 1 },
        given: [range('20.61.1.2', '20.61.1.3')],
        says: ['1 at most'],
      },
      'no address': { given: [range('anywhere', '20.61.1.3')], says: ['"anywhere"'] },
      'a range backwards': { given: [range('20.61.1.3', '20.61.1.2')], says: ['endIpAddress'] },
      'any-any': {
        given: [inbound({ sourceAddressPrefix: '*', destinationPortRange: '*' })],
        says: ['securityRules[0]', '* to *'],
      },
      'any-any in lists': {
        given: [
          inbound({ sourceAddressPrefixes: ['10.0.0.0/8', 'Internet'], destinationPortRanges: ['443', '0-65535'] }),
        ],
        says: ['internet to 0-65535'],
      },
      'an open API server': {
        given: [
          {
            type: 'azure-native:containerservice:ManagedCluster',
            name: 'aks',
            inputs: { apiServerAccessProfile: { authorizedIPRanges: ['0.0.0.0/0'] } },
          },
        ],
        says: ['authorizedIPRanges'],
      },
    },
  },
  {
    policy: 'no-public-blobs',
    passes: {
      'no public access': { given: [account({ allowBlobPublicAccess: false }), blobs(), blobs('None')] },
      'no shared key': {
        settings: { sharedKey: 'forbidden' },
        given: [account({ allowBlobPublicAccess: false, allowSharedKeyAccess: false })],
      },
    },
    violations: {
      'a public account': {
        given: [account({ allowBlobPublicAccess: true })],
        says: ['allowBlobPublicAccess is true'],
      },
      'an account that does not say': { given: [account({})], says: ['allowBlobPublicAccess is not set'] },
      'a public container': { given: [blobs('Blob')], says: ['publicAccess is "Blob"'] },
      'a shared key where the plan forbids it': {
        settings: { sharedKey: 'forbidden' },
        given: [account({ allowBlobPublicAccess: false })],
        says: ['allowSharedKeyAccess is not set'],
      },
    },
  },
  {
    policy: 'workload-probes',
    passes: { 'both probes': { given: [deployment({}), app({})] } },
    violations: {
      'no readiness probe': {
        given: [deployment({ readinessProbe: undefined })],
        says: [`${path}.readinessProbe is not set`],
      },
      'no liveness probe': {
        given: [deployment({ livenessProbe: undefined })],
        says: [`${path}.livenessProbe is not set`],
      },
      'a container app that is not asked whether it lives': {
        given: [app({ probes: [{ type: 'Readiness' }] })],
        says: ['template.containers[keycloak].livenessProbe'],
      },
    },
  },
  {
    policy: 'workload-resources',
    passes: { 'requests and limits': { given: [deployment({}), app({})] } },
    violations: {
      'no limits': {
        given: [deployment({ resources: { requests: amounts } })],
        says: [`${path}.resources.limits.cpu`],
      },
      'no requests': {
        given: [deployment({ resources: { limits: amounts } })],
        says: [`${path}.resources.requests.cpu`],
      },
      'a container app without': {
        given: [app({ resources: undefined })],
        says: ['template.containers[keycloak].resources.cpu'],
      },
      'an init container without': {
        given: [deployment({}, { initContainers: [{ name: 'migrate' }] })],
        says: ['initContainers[migrate].resources'],
      },
    },
  },
  {
    policy: 'pinned-images',
    passes: { 'a digest': { given: [deployment({}), app({})] } },
    violations: {
      'a tag': {
        given: [deployment({ image: 'ghcr.io/moodtalk/platform:4.2.0' })],
        says: [`${path}.image is "ghcr.io/moodtalk/platform:4.2.0"`, 'sha256'],
      },
      'a digest cut short': { given: [deployment({ image: `x@sha256:${'a'.repeat(63)}` })], says: ['sha256'] },
      'no image': { given: [deployment({ image: undefined })], says: ['is not set'] },
      'a job': {
        given: [
          {
            type: 'kubernetes:batch/v1:CronJob',
            name: 'dump',
            inputs: {
              spec: {
                jobTemplate: { spec: { template: { spec: { containers: [{ name: 'dump', image: 'pg:16' }] } } } },
              },
            },
          },
        ],
        says: ['spec.jobTemplate.spec.template.spec.containers[dump].image'],
      },
    },
  },
  {
    policy: 'not-privileged',
    passes: { 'an ordinary container': { given: [deployment({ securityContext: { privileged: false } })] } },
    violations: {
      'a privileged container': {
        given: [deployment({ securityContext: { privileged: true } })],
        says: [`${path}.securityContext.privileged is true`],
      },
      "the node's network": {
        given: [deployment({}, { hostNetwork: true })],
        says: ['spec.template.spec.hostNetwork is true'],
      },
    },
  },
];
