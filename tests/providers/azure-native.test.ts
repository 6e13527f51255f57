import { expect } from 'chai';
import { Connection } from './client';
import { Project } from './engine';
import { World } from './world';

interface Variant {
  /** In place. */
  readonly tag: string;
  /** Forces a new record and a new database. */
  readonly name: string;
  /** Forces a new database server. */
  readonly login: string;
  /** Declares the database server a second time. */
  readonly second: boolean;
}

const program = ({ tag, name, login, second }: Variant) => `
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

  const kept = new sql.Database('kept', { resourceGroupName, serverName: server.name, databaseName: 'kept', sku: { name: 'S0', tier: 'Standard' } });
  new sql.BackupShortTermRetentionPolicy('retention', { resourceGroupName, serverName: server.name, databaseName: kept.name, policyName: 'default', retentionDays: ${tag === 'a' ? 35 : 28} });
  const partner = new sql.Server('partner', { resourceGroupName, serverName: 'sql-partner', location: 'westeurope', administratorLogin: 'sa1', administratorLoginPassword: pulumi.secret('Pa55-word-of-trial'), version: '12.0' });
  new sql.FailoverGroup('failover', { resourceGroupName, serverName: server.name, failoverGroupName: 'fog-trial', partnerServers: [{ id: partner.id }],
    readWriteEndpoint: { failoverPolicy: 'Manual' }, readOnlyEndpoint: { failoverPolicy: 'Disabled' }, tags });
  const pg = azure('dbforpostgresql');
  const pgArgs = { resourceGroupName, serverName: 'psql-trial', version: '15', sku: { name: 'Standard_D2ds_v5', tier: 'GeneralPurpose' },
    storage: { storageSizeGB: 32 }, backup: { backupRetentionDays: ${tag === 'a' ? 7 : 8}, geoRedundantBackup: 'Enabled' }, network: { publicNetworkAccess: 'Enabled' },
    administratorLogin: '${login}', administratorLoginPassword: pulumi.secret('Pa55-word-of-trial'), createMode: 'Default' };
  const postgres = new pg.Server('postgres', pgArgs);
  const serverName = postgres.name;
  const database = new pg.Database('database', { resourceGroupName, serverName, databaseName: 'moodtalk', charset: 'UTF8', collation: 'en_US.utf8' });
  const rule = new pg.FirewallRule('rule', { resourceGroupName, serverName, firewallRuleName: 'egress', startIpAddress: '127.222.20.5', endIpAddress: '127.222.20.${tag === 'a' ? 5 : 9}' }, { dependsOn: database });
  new pg.Configuration('work', { resourceGroupName, serverName, configurationName: 'work_mem', value: '${tag === 'a' ? 4096 : 8192}', source: 'user-override' }, { dependsOn: rule });
  ${second ? "new pg.Server('second', pgArgs, { dependsOn: postgres });" : ''}
  exports.host = postgres.fullyQualifiedDomainName;
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
  const world = new World(222);
  let project: Project;
  before(async () => {
    await Promise.all([world.start('azure'), world.start('providers')]);
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    project?.stop();
    await world.stop();
  });

  it('makes, keeps, changes, replaces, refuses and removes what a site is made of', async () => {
    const before = { tag: 'a', name: 'idp', login: 'keeper', second: false };
    expect((await project.up(program(before))).changes).to.deep.equal({ create: 33 });
    const first = await project.outputs();
    expect(first).to.include({ prefix: '10.1.0.0/22', rbac: true, who: world.env['ARM_SUBSCRIPTION_ID'] });
    expect(first['autoName']).to.match(/^auto[0-9a-f]{8}$/);
    expect(first['blob']).to.equal('https://trialbackup.blob.core.windows.net/');
    expect(first['host']).to.equal('psql-trial.postgres.database.azure.com');
    for (const key of ['address', 'principal', 'keys', 'domain'])
      expect(first[key], key).to.be.a('string').that.is.not.empty;
    const state = await project.state();
    for (const secret of ['Pa55-word-of-trial', String(first['keys'])]) expect(state).to.not.include(secret);

    expect((await project.up(program(before))).changes).to.deep.equal({ same: 33 });

    const after = { ...before, tag: 'b', name: 'idp2' };
    const changed = await project.up(program(after));
    expect(changed.changes).to.deep.equal({ same: 10, update: 21, replace: 2 });
    const replaced = ({ steps }: typeof changed) => steps.filter(({ op }) => op === 'replace').map(({ name }) => name);
    expect(replaced(changed)).to.have.members(['record', 'sqldb']);
    expect((await project.refresh()).changes).to.deep.equal({ same: 33 });

    expect(replaced(await project.preview(program({ ...after, login: 'another' })))).to.include('postgres');
    // What is there is not taken over.
    expect(await project.refusal(program({ ...after, second: true }))).to.include(
      'cannot create already existing resource',
    );
    expect((await project.destroy()).changes).to.deep.equal({ delete: 33 });
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
