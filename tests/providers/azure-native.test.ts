import { expect } from 'chai';
import { Project } from './engine';
import { World } from './world';

interface Variant {
  /** In place. */
  readonly tag: string;
  /** Forces a new record and a new database. */
  readonly name: string;
}

const program = ({ tag, name }: Variant) => `
  const pulumi = require('@pulumi/pulumi');
  const azure = (module) => require('@pulumi/azure-native/' + module);
  const [resources, network, storage, privatedns, identity, authorization, insights, monitor, app, containerservice, sql] =
    ['resources', 'network', 'storage', 'privatedns', 'managedidentity', 'authorization', 'operationalinsights', 'monitor', 'app', 'containerservice', 'sql'].map(azure);
  const tags = { tag: '${tag}' };
  const group = new resources.ResourceGroup('group', { location: 'North Europe', resourceGroupName: 'rg-trial', tags });
  const resourceGroupName = group.name;
  const auto = new resources.ResourceGroup('auto', { location: 'westeurope' });

  const net = new network.VirtualNetwork('net', { resourceGroupName, virtualNetworkName: 'vnet', addressSpace: { addressPrefixes: ['10.1.0.0/16'] }, tags });
  const address = new network.PublicIPAddress('address', { resourceGroupName, publicIpAddressName: 'pip', sku: { name: 'Standard' }, publicIPAllocationMethod: 'Static' });
  const nat = new network.NatGateway('nat', { resourceGroupName, natGatewayName: 'nat', sku: { name: 'Standard' }, publicIpAddresses: [{ id: address.id }], tags });
  const subnet = new network.Subnet('subnet', { resourceGroupName, virtualNetworkName: net.name, subnetName: 'cluster', addressPrefix: '10.1.0.0/22', natGateway: { id: nat.id } });

  const workspace = new insights.Workspace('logs', { resourceGroupName, workspaceName: 'logs', retentionInDays: 30, sku: { name: 'PerGB2018' }, tags });
  const user = new identity.UserAssignedIdentity('user', { resourceGroupName, resourceName: 'user', tags });
  new authorization.RoleAssignment('grant', {
    scope: group.id, principalId: user.principalId, principalType: 'ServicePrincipal', roleAssignmentName: '5f0ae8b8-4f3a-4c8e-9d3d-6f3f3b1f0c01',
    roleDefinitionId: pulumi.interpolate\`/subscriptions/\${process.env.ARM_SUBSCRIPTION_ID}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7\`,
  });

  const account = new storage.StorageAccount('account', { resourceGroupName, accountName: 'trialbackup', kind: 'StorageV2', sku: { name: 'Standard_LRS' },
    allowBlobPublicAccess: false, minimumTlsVersion: 'TLS1_2', networkRuleSet: { defaultAction: 'Allow', bypass: 'AzureServices' }, tags });
  const accountName = account.name;
  new storage.BlobServiceProperties('blobs', { resourceGroupName, accountName, blobServicesName: 'default', isVersioningEnabled: true,
    deleteRetentionPolicy: { enabled: true, days: ${tag === 'a' ? 7 : 8} } });
  const container = new storage.BlobContainer('container', { resourceGroupName, accountName, containerName: 'backups', publicAccess: 'None' });
  new storage.BlobContainerImmutabilityPolicy('worm', { resourceGroupName, accountName, containerName: container.name,
    immutabilityPeriodSinceCreationInDays: ${tag === 'a' ? 3 : 4}, allowProtectedAppendWrites: true });
  new storage.ManagementPolicy('life', { resourceGroupName, accountName, managementPolicyName: 'default', policy: { rules: [{ name: 'old', enabled: true, type: 'Lifecycle',
    definition: { filters: { blobTypes: ['blockBlob'], prefixMatch: ['backups'] }, actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: ${tag === 'a' ? 30 : 31} } } } } }] } });

  const zone = new privatedns.PrivateZone('zone', { resourceGroupName, privateZoneName: 'trial.internal', location: 'global', tags });
  new privatedns.VirtualNetworkLink('link', { resourceGroupName, privateZoneName: zone.name, virtualNetworkLinkName: 'link', location: 'global', registrationEnabled: false, virtualNetwork: { id: net.id } });
  new privatedns.PrivateRecordSet('record', { resourceGroupName, privateZoneName: zone.name, recordType: 'A', relativeRecordSetName: '${name}', ttl: ${tag === 'a' ? 30 : 31}, aRecords: [{ ipv4Address: '10.1.0.4' }] });

  const action = new monitor.ActionGroup('action', { resourceGroupName, actionGroupName: 'people', location: 'global', groupShortName: 'people', enabled: true, emailReceivers: [{ name: 'a', emailAddress: 'a@moodtalk.ch', useCommonAlertSchema: true }], tags });
  new monitor.MetricAlert('alert', { resourceGroupName, ruleName: 'alert', location: 'global', severity: 1, enabled: true, scopes: [account.id], evaluationFrequency: 'PT1M', windowSize: 'PT5M', autoMitigate: true,
    criteria: { odataType: 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria', allOf: [{ name: 'x', criterionType: 'StaticThresholdCriterion', metricName: 'Availability', operator: 'LessThan', threshold: 100, timeAggregation: 'Average' }] },
    actions: [{ actionGroupId: action.id }], tags });
  new monitor.DiagnosticSetting('diagnostics', { name: 'logs', resourceUri: account.id, workspaceId: workspace.id, metrics: [{ category: 'Transaction', enabled: true }${tag === 'a' ? '' : ", { category: 'Capacity', enabled: true }"}] });

  const cluster = new containerservice.ManagedCluster('cluster', { resourceGroupName, resourceName: 'aks', dnsPrefix: 'aks', enableRBAC: true, identity: { type: 'UserAssigned', userAssignedIdentities: [user.id] },
    agentPoolProfiles: [{ name: 'system', mode: 'System', count: 1, vmSize: 'Standard_D2s_v5', vnetSubnetID: subnet.id }], networkProfile: { networkPlugin: 'azure', outboundType: 'userAssignedNATGateway' }, tags });
  const environment = new app.ManagedEnvironment('environment', { resourceGroupName, environmentName: 'env', zoneRedundant: false, tags });

  const server = new sql.Server('sql', { resourceGroupName, serverName: 'sql-trial', administratorLogin: 'sa1', administratorLoginPassword: pulumi.secret('Pa55-word-of-trial'), version: '12.0', tags });
  new sql.Database('sqldb', { resourceGroupName, serverName: server.name, databaseName: 'db', collation: '${name === 'idp' ? 'SQL_Latin1_General_CP1_CI_AS' : 'Latin1_General_CI_AS'}', sku: { name: 'S0', tier: 'Standard' }, tags });

  exports.autoName = auto.name;
  exports.address = address.ipAddress;
  exports.blob = account.primaryEndpoints.blob;
  exports.principal = user.principalId;
  exports.who = authorization.getClientConfigOutput().subscriptionId;
  exports.keys = storage.listStorageAccountKeysOutput({ resourceGroupName, accountName }).keys[0].value;
  exports.prefix = subnet.addressPrefix;
  exports.domain = environment.defaultDomain;
  exports.rbac = cluster.enableRBAC;
`;

describe('providers: azure-native', function () {
  this.timeout(120_000);
  const world = new World(62);
  let project: Project;
  before(async () => {
    await Promise.all([world.start('azure'), world.start('providers')]);
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    project?.stop();
    await world.stop();
  });

  it('makes, keeps, changes, replaces and removes a site', async () => {
    const first = await project.up(program({ tag: 'a', name: 'idp' }));
    console.log((Date.now() / 1000) | 0, first.changes, first.outputs);
    const second = await project.up(program({ tag: 'a', name: 'idp' }));
    console.log((Date.now() / 1000) | 0, second.changes);
    const third = await project.up(program({ tag: 'b', name: 'idp' }));
    console.log(
      (Date.now() / 1000) | 0,
      third.changes,
      third.steps
        .filter((x) => x.op !== 'same')
        .map((x) => x.op + ' ' + x.name)
        .join(', '),
    );
    console.log((Date.now() / 1000) | 0, (await project.refresh()).changes);
    const fourth = await project.up(program({ tag: 'b', name: 'idp2' }));
    console.log(
      (Date.now() / 1000) | 0,
      fourth.changes,
      fourth.steps
        .filter((x) => x.op !== 'same')
        .map((x) => x.op + ' ' + x.name)
        .join(', '),
    );
    console.log((Date.now() / 1000) | 0, (await project.destroy()).changes);
    expect(1).to.equal(1);
  });
});
