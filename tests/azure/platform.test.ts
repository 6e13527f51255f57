import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ContainerServiceClient } from '@azure/arm-containerservice';
import { MonitorClient } from '@azure/arm-monitor';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { NetworkManagementClient } from '@azure/arm-network';
import { OperationalInsightsManagementClient } from '@azure/arm-operationalinsights';
import { ResourceManagementClient } from '@azure/arm-resources';
import { SqlManagementClient } from '@azure/arm-sql';
import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { address, refusal, Service, subscription } from './service';

const scope = `/subscriptions/${subscription}`;
const reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7';
const contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c';
const role = (id: string) => `${scope}/providers/Microsoft.Authorization/roleDefinitions/${id}`;

describe('azure: networks, identities, rights, clusters, alerts, SQL by the vendor’s clients', function () {
  this.timeout(20_000);
  const service = new Service();
  const group = 'rg-site';
  const location = 'westeurope';

  before(async () => {
    await service.start();
    const groups = new ResourceManagementClient(service.credential, subscription, service.options).resourceGroups;
    await groups.createOrUpdate(group, { location });
    await groups.createOrUpdate('rg-intg', { location: 'northeurope' });
  });
  after(() => service.stop());

  it('gives a site its egress address: public IP, NAT gateway, subnet', async () => {
    const network = new NetworkManagementClient(service.credential, subscription, service.options);
    const fixed = { location, sku: { name: 'Standard' }, publicIPAllocationMethod: 'Static' };
    expect(
      await refusal(
        network.publicIPAddresses.beginCreateOrUpdateAndWait(group, 'pip', {
          ...fixed,
          publicIPAllocationMethod: 'Dynamic',
        }),
      ),
    ).to.equal('400 StandardSkuPublicIPAddressesMustBeStatic');
    const ip = await network.publicIPAddresses.beginCreateOrUpdateAndWait(group, 'pip', fixed);
    expect(ip.ipAddress).to.equal(address(10, 140));
    const gateway = { location, sku: { name: 'Standard' }, publicIpAddresses: [{ id: ip.id as string }] };
    const nat = await network.natGateways.beginCreateOrUpdateAndWait(group, 'nat', gateway);
    const egress = JSON.parse(fs.readFileSync(path.join(service.state, 'network-prod.json'), 'utf8')) as object;
    expect(egress).to.deep.equal({ egressAddress: ip.ipAddress });
    await network.virtualNetworks.beginCreateOrUpdateAndWait(group, 'vnet', {
      location,
      addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
    });
    const subnet = { addressPrefix: '10.1.0.0/24', natGateway: { id: nat.id as string } };
    await network.subnets.beginCreateOrUpdateAndWait(group, 'vnet', 'nodes', subnet);
    expect(
      await refusal(network.subnets.beginCreateOrUpdateAndWait(group, 'vnet', 'far', { addressPrefix: '10.2.0.0/24' })),
    ).to.equal('400 NetcfgInvalidSubnet');
    expect(
      await refusal(
        network.subnets.beginCreateOrUpdateAndWait(group, 'vnet', 'twin', { addressPrefix: '10.1.0.128/25' }),
      ),
    ).to.equal('400 NetcfgSubnetRangesOverlap');
    expect((await network.virtualNetworks.get(group, 'vnet')).subnets?.map((each) => each.name)).to.deep.equal([
      'nodes',
    ]);
    expect(await refusal(network.publicIPAddresses.beginDeleteAndWait(group, 'pip'))).to.equal(
      '409 CannotDeleteResource',
    );
  });

  it('gives an identity only what it was assigned', async () => {
    const identities = new ManagedServiceIdentityClient(service.credential, subscription, service.options);
    const authorization = new AuthorizationManagementClient(service.credential, subscription, service.options);
    const identity = await identities.userAssignedIdentities.createOrUpdate(group, 'id-intg', { location });
    const principalId = identity.principalId as string;
    const headers = { authorization: `Bearer ${await service.identityToken(identity.clientId as string)}` };
    const attempt = async (method: string, of: string, body?: object) => {
      const reply = await service.raw(method, `${scope}/resourceGroups/${of}?api-version=2024-03-01`, body, headers);
      return `${reply.status} ${reply.body.error?.code ?? 'ok'}`;
    };
    expect(await attempt('GET', group)).to.equal('403 AuthorizationFailed');

    const name = '11111111-1111-4111-8111-111111111111';
    const groupScope = `${scope}/resourceGroups/${group}`;
    const parameters = { roleDefinitionId: role(reader), principalId, principalType: 'ServicePrincipal' };
    await authorization.roleAssignments.create(groupScope, name, parameters);
    expect(await attempt('GET', group)).to.equal('200 ok');
    expect(await attempt('GET', 'rg-intg')).to.equal('403 AuthorizationFailed');
    expect(await attempt('PUT', group, { location })).to.equal('403 AuthorizationFailed');
    expect(
      await refusal(
        authorization.roleAssignments.create(groupScope, name, { ...parameters, roleDefinitionId: role(contributor) }),
      ),
    ).to.equal('400 RoleAssignmentUpdateNotPermitted');
    expect(
      await refusal(authorization.roleAssignments.create(groupScope, name.replace(/^1/, '2'), parameters)),
    ).to.equal('409 RoleAssignmentExists');
    expect(
      await refusal(
        authorization.roleAssignments.create(groupScope, name.replace(/^1/, '3'), { ...parameters, principalId: name }),
      ),
    ).to.equal('400 PrincipalNotFound');

    await authorization.roleAssignments.create(groupScope, name.replace(/^1/, '4'), {
      ...parameters,
      roleDefinitionId: role(contributor),
    });
    expect(await attempt('PUT', group, { location })).to.equal('200 ok');
    const assigning = `${groupScope}/providers/Microsoft.Authorization/roleAssignments/${name.replace(/^1/, '5')}?api-version=2022-04-01`;
    expect((await service.raw('PUT', assigning, { properties: parameters }, headers)).status).to.equal(403);
    const found: (string | undefined)[] = [];
    for await (const each of authorization.roleAssignments.listForScope(groupScope, {
      filter: `principalId eq '${principalId}'`,
    }))
      found.push(each.name);
    expect(found).to.have.length(2);
    await authorization.roleAssignments.delete(groupScope, name);
    await authorization.roleAssignments.delete(groupScope, name.replace(/^1/, '4'));
    expect(await attempt('GET', group)).to.equal('403 AuthorizationFailed');
  });

  it('hands out the kubeconfig of the region’s control plane', async () => {
    const clusters = new ContainerServiceClient(service.credential, subscription, service.options).managedClusters;
    const folder = path.join(service.home, 'run', 'kubernetes', 'prod');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'kubeconfig'), 'apiVersion: v1\n');
    const subnet = `${scope}/resourceGroups/${group}/providers/Microsoft.Network/virtualNetworks/vnet/subnets/nodes`;
    const cluster = {
      location,
      dnsPrefix: 'aks',
      identity: { type: 'SystemAssigned' as const },
      networkProfile: { outboundType: 'userAssignedNATGateway' },
      agentPoolProfiles: [
        { name: 'system', mode: 'System', count: 1, vmSize: 'Standard_D2s_v5', vnetSubnetID: subnet },
      ],
    };
    expect(
      await refusal(clusters.beginCreateOrUpdateAndWait(group, 'aks', { ...cluster, agentPoolProfiles: [] })),
    ).to.equal('400 InvalidParameter');
    const made = await clusters.beginCreateOrUpdateAndWait(group, 'aks', cluster);
    expect(made.identity?.principalId).to.match(/^[\da-f-]{36}$/);
    const { kubeconfigs } = await clusters.listClusterUserCredentials(group, 'aks');
    expect(Buffer.from(kubeconfigs?.[0]?.value as Uint8Array).toString()).to.equal('apiVersion: v1\n');
  });

  it('checks workspaces, diagnostic settings, alerts and action groups', async () => {
    const logs = new OperationalInsightsManagementClient(service.credential, subscription, service.options);
    const monitor = new MonitorClient(service.credential, subscription, service.options);
    const workspace = { location, sku: { name: 'PerGB2018' }, retentionInDays: 90 };
    expect(
      await refusal(
        logs.workspaces.beginCreateOrUpdateAndWait(group, 'log-site', { ...workspace, retentionInDays: 7 }),
      ),
    ).to.equal('400 InvalidParameterValue');
    const made = await logs.workspaces.beginCreateOrUpdateAndWait(group, 'log-site', workspace);
    expect((await logs.sharedKeysOperations.getSharedKeys(group, 'log-site')).primarySharedKey).to.be.a('string');

    const watched = `${scope}/resourceGroups/${group}/providers/Microsoft.Network/natGateways/nat`;
    const setting = { workspaceId: made.id as string, logs: [{ category: 'audit', enabled: true }] };
    await monitor.diagnosticSettings.createOrUpdate(watched, 'to-logs', setting);
    expect(
      await refusal(monitor.diagnosticSettings.createOrUpdate(watched, 'nowhere', { logs: setting.logs })),
    ).to.equal('400 BadRequest');
    expect((await monitor.diagnosticSettings.list(watched)).value?.map((each) => each.name)).to.deep.equal(['to-logs']);

    const people = {
      location: 'global',
      groupShortName: 'infra',
      enabled: true,
      emailReceivers: [{ name: 'infra', emailAddress: 'infra@moodtalk.ch' }],
    };
    const short = await monitor.actionGroups.createOrUpdate(group, 'ag', people);
    const tooLong = await service.request(
      'PUT',
      `/resourceGroups/${group}/providers/Microsoft.Insights/actionGroups/x?api-version=2021-09-01`,
      {
        location: 'global',
        properties: { groupShortName: 'thirteen-char', enabled: true },
      },
    );
    expect(tooLong.body.error?.message).to.contain('at most 12 characters');
    const criterion = {
      name: 'c',
      metricName: 'is_db_alive',
      operator: 'LessThan',
      threshold: 1,
      timeAggregation: 'Maximum',
      criterionType: 'StaticThresholdCriterion' as const,
    };
    const alert = {
      location: 'global',
      severity: 1,
      enabled: true,
      scopes: [watched],
      evaluationFrequency: 'PT1M',
      windowSize: 'PT5M',
      criteria: {
        odataType: 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria' as const,
        allOf: [criterion],
      },
      actions: [{ actionGroupId: short.id as string }],
    };
    await monitor.metricAlerts.createOrUpdate(group, 'alive', alert);
    expect(await refusal(monitor.metricAlerts.createOrUpdate(group, 'alive', { ...alert, severity: 5 }))).to.equal(
      '400 InvalidParameterValue',
    );
    const got = await monitor.metricAlerts.get(group, 'alive');
    expect(got.criteria).to.deep.include({ allOf: [criterion] });
  });

  it('keeps Azure SQL’s control plane: the failover action flips the roles on both servers', async () => {
    const sql = new SqlManagementClient(service.credential, subscription, service.options);
    const login = { administratorLogin: 'dba', administratorLoginPassword: 'A-long-passw0rd' };
    await sql.servers.beginCreateOrUpdateAndWait(group, 'sql-prod', { location, ...login });
    const intg = await sql.servers.beginCreateOrUpdateAndWait('rg-intg', 'sql-intg', {
      location: 'northeurope',
      ...login,
    });
    expect(JSON.stringify(intg)).not.to.contain(login.administratorLoginPassword);
    const database = await sql.databases.beginCreateOrUpdateAndWait(group, 'sql-prod', 'moodtalk', { location });
    const days = await refusal(
      sql.backupShortTermRetentionPolicies.beginCreateOrUpdateAndWait(group, 'sql-prod', 'moodtalk', 'default', {
        retentionDays: 36,
      }),
    );
    expect(days).to.equal('400 InvalidParameterValue');
    const made = await sql.failoverGroups.beginCreateOrUpdateAndWait(group, 'sql-prod', 'fg', {
      partnerServers: [{ id: intg.id as string }],
      readWriteEndpoint: { failoverPolicy: 'Manual' },
      databases: [database.id as string],
    });
    expect(made.replicationRole).to.equal('Primary');
    await sql.failoverGroups.beginFailoverAndWait('rg-intg', 'sql-intg', 'fg');
    const roles = await Promise.all([
      sql.failoverGroups.get(group, 'sql-prod', 'fg'),
      sql.failoverGroups.get('rg-intg', 'sql-intg', 'fg'),
    ]);
    expect(roles.map((each) => each.replicationRole)).to.deep.equal(['Secondary', 'Primary']);
    const live = (
      await service.request(
        'GET',
        `/resourceGroups/${group}/providers/Microsoft.Sql/servers/sql-prod?api-version=2023-08-01`,
      )
    ).body['properties'];
    expect(live).to.have.property('sandbox').that.contains('control plane only');
  });
});
