/**
 * Which resource of a program is which of Azure Resource Manager: a row for each type. Names, bodies and answers follow from the
 * vendor's models; a row says only what these do not.
 */
import type { Autoname } from '../naming';
import type { Properties } from '../plugin';
import type { Service } from './models';

export interface Row {
  /** The api-version that the official plugin uses for a type without one in its token. */
  readonly version: string;
  /** `{name}` is an input of the program; a change of it is another resource. */
  readonly path: string;
  readonly service: Service;
  /** The client's model of the request. */
  readonly body: string;
  /** The client's model of the answer. @default - the same */
  readonly answer?: string;
  /** Inputs (or nested ones, `sku.name`) that need a new resource, apart from those of the path and `location`. */
  readonly forcesNew?: readonly string[];
  /** @default - `random` below a resource group, `copy` for what belongs to another resource */
  readonly autoname?: Autoname;
  /** The name that the last part of the path has when a program gives none; no other one exists. */
  readonly onlyName?: string;
  /** It exists as long as what it belongs to: made by a PUT over what is there, never deleted. */
  readonly always?: boolean;
  /** Parts that are also resources of their own: an update that doesn't name them keeps what is there. */
  readonly keeps?: readonly string[];
  /** Changes and removal need the ETag of what is there. */
  readonly matches?: boolean;
  /** Outputs by which the service says that there is none, where others answer 404. */
  readonly noneIf?: Properties;
}

const subscription = '/subscriptions/{subscriptionId}';
const group = `${subscription}/resourceGroups/{resourceGroupName}`;
const inGroup = (rest: string) => `${group}/providers/${rest}`;

const storage = { service: 'storage', version: '2024-01-01' } as const;
const account = inGroup('Microsoft.Storage/storageAccounts/{accountName}');
const network = { service: 'network', version: '2024-05-01' } as const;
const postgres = { service: 'dbforpostgresql', version: '2025-08-01' } as const;
const postgresServer = inGroup('Microsoft.DBforPostgreSQL/flexibleServers/{serverName}');
const app = { service: 'app', version: '2025-02-02-preview' } as const;
const privateDns = { service: 'privatedns', version: '2024-06-01' } as const;
const privateZone = inGroup('Microsoft.Network/privateDnsZones/{privateZoneName}');
const identity = { service: 'managedidentity', version: '2023-01-31' } as const;
const userIdentity = inGroup('Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}');
const sql = { service: 'sql', version: '2023-08-01' } as const;
const sqlServer = inGroup('Microsoft.Sql/servers/{serverName}');

export const resources: Readonly<Record<string, Row>> = {
  'resources:ResourceGroup': {
    service: 'resources',
    version: '2024-03-01',
    path: group,
    body: 'ResourceGroup',
    autoname: 'random',
  },

  'network:VirtualNetwork': {
    ...network,
    path: inGroup('Microsoft.Network/virtualNetworks/{virtualNetworkName}'),
    body: 'VirtualNetwork',
    keeps: ['subnets'],
  },
  'network:Subnet': {
    ...network,
    path: inGroup('Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}'),
    body: 'Subnet',
  },
  'network:PublicIPAddress': {
    ...network,
    path: inGroup('Microsoft.Network/publicIPAddresses/{publicIpAddressName}'),
    body: 'PublicIPAddress',
    forcesNew: ['publicIPAddressVersion', 'publicIPPrefix', 'sku'],
  },
  'network:NatGateway': {
    ...network,
    path: inGroup('Microsoft.Network/natGateways/{natGatewayName}'),
    body: 'NatGateway',
  },
  'network:NetworkSecurityGroup': {
    ...network,
    path: inGroup('Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}'),
    body: 'NetworkSecurityGroup',
    keeps: ['securityRules'],
  },

  'dbforpostgresql:Server': {
    ...postgres,
    path: postgresServer,
    body: 'Server',
    forcesNew: [
      'administratorLogin',
      'availabilityZone',
      'backup.geoRedundantBackup',
      'pointInTimeUTC',
      'sourceServerResourceId',
    ],
  },
  'dbforpostgresql:Database': { ...postgres, path: `${postgresServer}/databases/{databaseName}`, body: 'Database' },
  'dbforpostgresql:FirewallRule': {
    ...postgres,
    path: `${postgresServer}/firewallRules/{firewallRuleName}`,
    body: 'FirewallRule',
  },
  'dbforpostgresql:Configuration': {
    ...postgres,
    path: `${postgresServer}/configurations/{configurationName}`,
    body: 'Configuration',
    always: true,
  },
  'dbforpostgresql:VirtualEndpoint': {
    ...postgres,
    path: `${postgresServer}/virtualendpoints/{virtualEndpointName}`,
    body: 'VirtualEndpoint',
  },

  'containerservice:ManagedCluster': {
    service: 'containerservice',
    version: '2025-09-01',
    path: inGroup('Microsoft.ContainerService/managedClusters/{resourceName}'),
    body: 'ManagedCluster',
    forcesNew: [
      ...['diskEncryptionSetID', 'dnsPrefix', 'fqdnSubdomain', 'linuxProfile', 'nodeResourceGroup', 'windowsProfile'],
      ...[
        'serviceCidr',
        'serviceCidrs',
        'dnsServiceIP',
        'networkMode',
        'networkPlugin',
        'networkPluginMode',
        'podCidr',
      ].map((name) => `networkProfile.${name}`),
      ...['networkDataplane', 'networkPolicy', 'outboundType'].map((name) => `networkProfile.${name}`),
      'agentPoolProfiles[].vmSize',
    ],
  },

  'app:ManagedEnvironment': {
    ...app,
    path: inGroup('Microsoft.App/managedEnvironments/{environmentName}'),
    body: 'ManagedEnvironment',
  },
  'app:ContainerApp': {
    ...app,
    path: inGroup('Microsoft.App/containerApps/{containerAppName}'),
    body: 'ContainerApp',
    forcesNew: ['environmentId', 'managedEnvironmentId'],
  },

  'storage:StorageAccount': {
    ...storage,
    path: account,
    body: 'StorageAccountCreateParameters',
    answer: 'StorageAccount',
    forcesNew: ['isHnsEnabled'],
  },
  'storage:BlobContainer': {
    ...storage,
    path: `${account}/blobServices/default/containers/{containerName}`,
    body: 'BlobContainer',
  },
  'storage:BlobContainerImmutabilityPolicy': {
    ...storage,
    path: `${account}/blobServices/default/containers/{containerName}/immutabilityPolicies/{immutabilityPolicyName}`,
    body: 'ImmutabilityPolicy',
    onlyName: 'default',
    matches: true,
    noneIf: { immutabilityPeriodSinceCreationInDays: 0 },
  },
  'storage:BlobServiceProperties': {
    ...storage,
    path: `${account}/blobServices/{blobServicesName}`,
    body: 'BlobServiceProperties',
    onlyName: 'default',
    always: true,
  },
  'storage:ManagementPolicy': {
    ...storage,
    path: `${account}/managementPolicies/{managementPolicyName}`,
    body: 'ManagementPolicy',
    onlyName: 'default',
  },

  'privatedns:PrivateZone': { ...privateDns, path: privateZone, body: 'PrivateZone' },
  'privatedns:PrivateRecordSet': {
    ...privateDns,
    path: `${privateZone}/{recordType}/{relativeRecordSetName}`,
    body: 'RecordSet',
  },
  'privatedns:VirtualNetworkLink': {
    ...privateDns,
    path: `${privateZone}/virtualNetworkLinks/{virtualNetworkLinkName}`,
    body: 'VirtualNetworkLink',
  },

  'managedidentity:UserAssignedIdentity': { ...identity, path: userIdentity, body: 'Identity' },
  'managedidentity:FederatedIdentityCredential': {
    ...identity,
    path: `${userIdentity}/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}`,
    body: 'FederatedIdentityCredential',
  },
  'authorization:RoleAssignment': {
    service: 'authorization',
    version: '2022-04-01',
    path: '/{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}',
    body: 'RoleAssignmentCreateParameters',
    answer: 'RoleAssignment',
    forcesNew: ['principalId'],
    autoname: 'uuid',
  },

  'operationalinsights:Workspace': {
    service: 'operationalinsights',
    version: '2023-09-01',
    path: inGroup('Microsoft.OperationalInsights/workspaces/{workspaceName}'),
    body: 'Workspace',
  },
  'monitor:DiagnosticSetting': {
    service: 'monitor',
    version: '2021-05-01-preview',
    path: '/{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}',
    body: 'DiagnosticSettingsResource',
    autoname: 'random',
  },
  'monitor:MetricAlert': {
    service: 'monitor',
    version: '2018-03-01',
    path: inGroup('Microsoft.Insights/metricAlerts/{ruleName}'),
    body: 'MetricAlertResource',
  },
  'monitor:ActionGroup': {
    service: 'monitor',
    version: '2024-10-01-preview',
    path: inGroup('Microsoft.Insights/actionGroups/{actionGroupName}'),
    body: 'ActionGroupResource',
  },

  'sql:Server': { ...sql, path: sqlServer, body: 'Server', forcesNew: ['administratorLogin'] },
  'sql:Database': {
    ...sql,
    path: `${sqlServer}/databases/{databaseName}`,
    body: 'Database',
    forcesNew: ['catalogCollation', 'collation'],
  },
  'sql:BackupShortTermRetentionPolicy': {
    ...sql,
    path: `${sqlServer}/databases/{databaseName}/backupShortTermRetentionPolicies/{policyName}`,
    body: 'BackupShortTermRetentionPolicy',
    onlyName: 'default',
    always: true,
  },
  'sql:FailoverGroup': { ...sql, path: `${sqlServer}/failoverGroups/{failoverGroupName}`, body: 'FailoverGroup' },
};

export interface FunctionRow {
  readonly version: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly service: Service;
  readonly answer: string;
  /** Its answer is a credential. */
  readonly secret?: boolean;
}

export const functions: Readonly<Record<string, FunctionRow>> = {
  'dbforpostgresql:getServer': { ...postgres, method: 'GET', path: postgresServer, answer: 'Server' },
  'network:getPublicIPAddress': {
    ...network,
    method: 'GET',
    path: inGroup('Microsoft.Network/publicIPAddresses/{publicIpAddressName}'),
    answer: 'PublicIPAddress',
  },
  'resources:getResourceGroup': {
    service: 'resources',
    version: '2024-03-01',
    method: 'GET',
    path: group,
    answer: 'ResourceGroup',
  },
  'containerservice:listManagedClusterUserCredentials': {
    service: 'containerservice',
    version: '2025-09-01',
    method: 'POST',
    path: inGroup('Microsoft.ContainerService/managedClusters/{resourceName}/listClusterUserCredential'),
    answer: 'CredentialResults',
    secret: true,
  },
  'storage:listStorageAccountKeys': {
    ...storage,
    method: 'POST',
    path: `${account}/listKeys`,
    answer: 'StorageAccountListKeysResult',
    secret: true,
  },
};
