import { expect } from 'chai';
import { Connection } from './client';
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

  const partner = new sql.Server('partner', { resourceGroupName, serverName: 'sql-partner', location: 'westeurope', administratorLogin: 'sa1', administratorLoginPassword: pulumi.secret('Pa55-word-of-trial'), version: '12.0' });
  new sql.FailoverGroup('failover', { resourceGroupName, serverName: server.name, failoverGroupName: 'fog-trial', partnerServers: [{ id: partner.id }],
    readWriteEndpoint: { failoverPolicy: 'Manual' }, readOnlyEndpoint: { failoverPolicy: 'Disabled' }, tags });
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

interface DatabaseVariant {
  readonly days?: number;
  readonly end?: string;
  readonly work?: string;
  readonly login?: string;
  /** Declares the server a second time. */
  readonly second?: boolean;
}

const database = ({
  days = 7,
  end = '127.62.20.5',
  work = '4096',
  login = 'keeper',
  second = false,
}: DatabaseVariant) => `
  const pulumi = require('@pulumi/pulumi');
  const resources = require('@pulumi/azure-native/resources');
  const pg = require('@pulumi/azure-native/dbforpostgresql');
  const group = new resources.ResourceGroup('group', { location: 'westeurope', resourceGroupName: 'rg-database' });
  const resourceGroupName = group.name;
  const args = { resourceGroupName, serverName: 'psql-trial', location: 'westeurope', version: '15', sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
    storage: { storageSizeGB: 32 }, backup: { backupRetentionDays: ${days}, geoRedundantBackup: 'Enabled' }, network: { publicNetworkAccess: 'Enabled' },
    administratorLogin: '${login}', administratorLoginPassword: pulumi.secret('Pa55-word-of-trial'), createMode: 'Default' };
  const server = new pg.Server('server', args);
  const serverName = server.name;
  new pg.Database('database', { resourceGroupName, serverName, databaseName: 'moodtalk', charset: 'UTF8', collation: 'en_US.utf8' });
  new pg.FirewallRule('rule', { resourceGroupName, serverName, firewallRuleName: 'egress', startIpAddress: '127.62.20.5', endIpAddress: '${end}' });
  new pg.Configuration('work', { resourceGroupName, serverName, configurationName: 'work_mem', value: '${work}', source: 'user-override' });
  ${second ? "new pg.Server('second', args, { dependsOn: server });" : ''}
  exports.host = server.fullyQualifiedDomainName;
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

  it('makes, keeps, changes, replaces and removes what a site is made of', async () => {
    const first = await project.up(program({ tag: 'a', name: 'idp' }));
    expect(first.changes).to.deep.equal({ create: 27 });
    expect(first.outputs).to.include({ prefix: '10.1.0.0/22', rbac: true, who: world.env['ARM_SUBSCRIPTION_ID'] });
    expect(first.outputs['autoName']).to.match(/^auto[0-9a-f]{8}$/);
    expect(first.outputs['blob']).to.equal('https://trialbackup.blob.core.windows.net/');
    for (const key of ['address', 'principal', 'keys', 'domain'])
      expect(first.outputs[key], key).to.be.a('string').that.is.not.empty;
    const state = await project.state();
    for (const secret of ['Pa55-word-of-trial', String(first.outputs['keys'])]) expect(state).to.not.include(secret);

    expect((await project.up(program({ tag: 'a', name: 'idp' }))).changes).to.deep.equal({ same: 27 });

    const changed = await project.up(program({ tag: 'b', name: 'idp2' }));
    expect(changed.changes).to.deep.equal({ same: 8, update: 17, replace: 2 });
    expect(changed.steps.filter(({ op }) => op === 'replace').map(({ name }) => name)).to.have.members([
      'record',
      'sqldb',
    ]);
    expect(changed.outputs['address']).to.equal(first.outputs['address']);

    expect((await project.refresh()).changes).to.deep.equal({ same: 27 });
    expect((await project.destroy()).changes).to.deep.equal({ delete: 27 });
  });

  it('makes a database server and what belongs to it; a new login is a new server', async () => {
    expect((await project.up(database({}))).changes).to.deep.equal({ create: 6 });
    expect((await project.up(database({}))).changes).to.deep.equal({ same: 6 });
    const changed = await project.up(database({ days: 8, end: '127.62.20.9', work: '8192' }));
    expect(changed.changes).to.deep.equal({ same: 3, update: 3 });
    const replaced = await project.preview(database({ login: 'another' }));
    expect(replaced.steps.filter(({ op }) => op === 'replace').map(({ name }) => name)).to.include('server');
    // One that is there is not taken over.
    const taken = database({ second: true });
    const refused = await project.up(taken).then(String, (cause: Error) => cause.message);
    expect(refused).to.include('cannot create already existing resource');
    expect((await project.destroy()).changes).to.deep.equal({ delete: 6 });
  });

  it('does not let a silent region hold up another one, and gives up when it is told to', async () => {
    const connections = [0, 1].map(
      () => new Connection(world.places.providers['azure-native'], 'azure-native:resources:ResourceGroup'),
    );
    const [silent, open] = connections as [Connection, Connection];
    await Promise.all(connections.map((connection) => connection.configure({})));
    world.silence({ prod: 'site', intg: 'none' });
    const refused = silent
      .create('a', { resourceGroupName: 'rg-silent', location: 'westeurope' })
      .then(String, (cause: Error) => cause.message);
    const { id } = await open.create('b', { resourceGroupName: 'rg-open', location: 'northeurope' });
    expect(id).to.match(/\/rg-open$/);
    await silent.cancel();
    expect(await refused).to.include('the update was cancelled');
    world.silence({ prod: 'none', intg: 'none' });
    for (const connection of connections) connection.close();
  });
});
