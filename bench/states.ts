/** Synthetic estates, all as they must be: every judge has to look at everything, and nobody stops at a finding. */

interface Given {
  readonly type: string;
  readonly inputs: object;
  readonly protect?: true;
  /** Property → index inside the unit, or `group`. */
  readonly from?: Readonly<Record<string, number | 'group'>>;
}

const group = 'azure-native:resources:ResourceGroup';
const inGroup = { resourceGroupName: 'group' } as const;

const server: Given = {
  type: 'azure-native:dbforpostgresql:Server',
  inputs: {
    location: 'westeurope',
    version: '16',
    sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
    backup: { backupRetentionDays: 35, geoRedundantBackup: 'Enabled' },
  },
  protect: true,
  from: inGroup,
};
const account = (immutable: boolean): Given => ({
  type: 'azure-native:storage:StorageAccount',
  inputs: {
    location: 'westeurope',
    kind: 'StorageV2',
    sku: { name: 'Standard_RAGZRS' },
    minimumTlsVersion: 'TLS1_2',
    enableHttpsTrafficOnly: true,
    allowBlobPublicAccess: false,
    ...(immutable && { immutableStorageWithVersioning: { enabled: true, immutabilityPolicy: { state: 'Unlocked' } } }),
  },
  protect: true,
  from: inGroup,
});
const container: Given = {
  type: 'azure-native:storage:BlobContainer',
  inputs: { containerName: 'backups', publicAccess: 'None' },
  protect: true,
  from: { ...inGroup, accountName: 1 },
};
const immutability: Given = {
  type: 'azure-native:storage:BlobContainerImmutabilityPolicy',
  inputs: { immutabilityPeriodSinceCreationInDays: 35, immutabilityPolicyName: 'default' },
  from: { ...inGroup, accountName: 1, containerName: 2 },
};
const expiry: Given = {
  type: 'azure-native:storage:ManagementPolicy',
  inputs: {
    managementPolicyName: 'default',
    policy: {
      rules: [
        {
          name: 'expiry',
          enabled: true,
          definition: { actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 40 } } } },
        },
      ],
    },
  },
  from: { ...inGroup, accountName: 1 },
};
const firewallRule: Given = {
  type: 'azure-native:dbforpostgresql:FirewallRule',
  inputs: { startIpAddress: '192.0.2.1', endIpAddress: '192.0.2.16' },
  from: { ...inGroup, serverName: 0 },
};
const parameter: Given = {
  type: 'azure-native:dbforpostgresql:Configuration',
  inputs: { configurationName: 'require_secure_transport', value: 'on', source: 'user-override' },
  from: { ...inGroup, serverName: 0 },
};
const share = { cpu: '250m', memory: '256Mi' };
const probe = { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 5 };
const deployment: Given = {
  type: 'kubernetes:apps/v1:Deployment',
  inputs: {
    spec: {
      replicas: 2,
      template: {
        spec: {
          containers: [
            {
              name: 'app',
              image: `registry.example/app:1.0.0@sha256:${'0'.repeat(64)}`,
              resources: { requests: share, limits: share },
              readinessProbe: probe,
              livenessProbe: probe,
            },
          ],
        },
      },
    },
  },
};
const service: Given = {
  type: 'kubernetes:core/v1:Service',
  inputs: { spec: { selector: { app: 'app' }, ports: [{ port: 80, targetPort: 8080 }] } },
};
const record: Given = {
  type: 'cloudflare:index/dnsRecord:DnsRecord',
  inputs: { type: 'A', content: '192.0.2.1', proxied: true, ttl: 1 },
};

/** Ten resources that belong together. Every other unit's container is covered by its account instead of a policy of its own. */
const unit = (number: number): readonly Given[] => {
  const byAccount = number % 2 === 1;
  const rest = [firewallRule, parameter, deployment, deployment, service, record];
  return [server, account(byAccount), container, byAccount ? expiry : immutability, ...rest];
};

/**
 * @param size a multiple of 10; the stack and its resource group, which most of the others depend on, come on top.
 * @returns what `pulumi stack export` would print.
 */
export function syntheticState(size: number): { version: number; deployment: { resources: readonly object[] } } {
  const urn = (type: string, name: string) => `urn:pulumi:prod::standby::${type}::${name}`;
  const hub = urn(group, 'group');
  const units = Array.from({ length: size / 10 }, (_, number) => {
    const given = unit(number);
    const urns = given.map(({ type }, index) => urn(type, `unit-${number}-${index}`));
    return given.map(({ type, inputs, protect = false, from = {} }, index) => {
      const id = `/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/group/${type}/${number}-${index}`;
      const propertyDependencies = Object.fromEntries(
        Object.entries(from).map(([property, target]) => [property, [target === 'group' ? hub : urns[target]]]),
      );
      return {
        urn: urns[index],
        type,
        custom: true,
        id,
        inputs,
        outputs: { id, ...inputs },
        protect,
        propertyDependencies,
      };
    });
  });
  const stack = { urn: urn('pulumi:pulumi:Stack', 'standby-prod'), type: 'pulumi:pulumi:Stack' };
  const root = { urn: hub, type: group, inputs: { location: 'westeurope' }, outputs: {}, protect: true };
  return { version: 3, deployment: { resources: [stack, root, ...units.flat()] } };
}

/** @returns an ARM template of as many resources, for a judge that does not read Pulumi's states. */
export function syntheticTemplate(size: number): object {
  const resources = Array.from({ length: size }, (_, number) => {
    const base = { name: `unit${number}`, location: 'westeurope' };
    return number % 2 === 0
      ? {
          ...base,
          type: 'Microsoft.DBforPostgreSQL/flexibleServers',
          apiVersion: '2024-08-01',
          properties: server.inputs,
        }
      : {
          ...base,
          type: 'Microsoft.Storage/storageAccounts',
          apiVersion: '2024-01-01',
          kind: 'StorageV2',
          sku: { name: 'Standard_RAGZRS' },
          properties: { ...account(false).inputs, networkAcls: { defaultAction: 'Deny', bypass: 'AzureServices' } },
        };
  });
  const $schema = 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#';
  return { $schema, contentVersion: '1.0.0.0', resources };
}
