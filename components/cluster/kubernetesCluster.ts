import { RoleAssignment } from '@pulumi/azure-native/authorization/roleAssignment';
import { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster';
import { UserAssignedIdentity } from '@pulumi/azure-native/managedidentity/userAssignedIdentity';
import * as pulumi from '@pulumi/pulumi';
import { roleDefinition, roles, stableGuid } from '../access/roles';
import type { Options } from '../options';

export interface KubernetesClusterArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  /** Id of that group: the cluster's identity may change the network resources in it. */
  readonly resourceGroupId: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** What the names end with: `moodtalk-prod` makes `aks-moodtalk-prod`. */
  readonly label: string;
  readonly kubernetesVersion: pulumi.Input<string>;
  readonly nodeSize: pulumi.Input<string>;
  readonly nodeCount: pulumi.Input<number>;
  /** Subnet with a NAT gateway: the nodes leave the site through it. */
  readonly subnetId: pulumi.Input<string>;
}

/** A cluster with the vendor's ingress controller, which leaves the site through its network's fixed address. */
export class KubernetesCluster extends pulumi.ComponentResource {
  readonly clusterName: pulumi.Output<string>;
  readonly clusterId: pulumi.Output<string>;
  /** Who signs the tokens of the cluster's service accounts: what a federated credential trusts. */
  readonly issuer: pulumi.Output<string>;

  constructor(name: string, args: KubernetesClusterArgs, opts?: Options) {
    super('standby:cluster:KubernetesCluster', name, {}, opts);
    const identity = clusterIdentity(this, name, args);
    const mayUseNetwork = networkRole(this, name, args, identity);
    const cluster = managedCluster(this, name, args, identity, mayUseNetwork);

    this.clusterName = cluster.name;
    this.clusterId = cluster.id;
    this.issuer = cluster.oidcIssuerProfile.apply((profile) => profile?.issuerURL ?? '');
    this.registerOutputs({ clusterName: this.clusterName, clusterId: this.clusterId, issuer: this.issuer });
  }
}

function clusterIdentity(parent: pulumi.Resource, name: string, args: KubernetesClusterArgs) {
  return new UserAssignedIdentity(
    `${name}-identity`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      resourceName: `id-${args.label}-cluster`,
    },
    { parent },
  );
}

/** It binds the ingress address and the subnet, which are ours and not the cluster's own. */
function networkRole(
  parent: pulumi.Resource,
  name: string,
  args: KubernetesClusterArgs,
  identity: UserAssignedIdentity,
) {
  return new RoleAssignment(
    `${name}-network`,
    {
      scope: args.resourceGroupId,
      principalId: identity.principalId,
      principalType: 'ServicePrincipal',
      roleDefinitionId: roleDefinition(args.resourceGroupId, roles.networkContributor),
      roleAssignmentName: stableGuid(args.resourceGroupId, identity.principalId, roles.networkContributor),
    },
    { parent },
  );
}

function managedCluster(
  parent: pulumi.Resource,
  name: string,
  args: KubernetesClusterArgs,
  identity: UserAssignedIdentity,
  mayUseNetwork: RoleAssignment,
) {
  return new ManagedCluster(
    `${name}-cluster`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      resourceName: `aks-${args.label}`,
      dnsPrefix: args.label,
      kubernetesVersion: args.kubernetesVersion,
      enableRBAC: true,
      sku: { name: 'Base', tier: 'Standard' },
      identity: { type: 'UserAssigned', userAssignedIdentities: [identity.id] },
      agentPoolProfiles: [
        {
          name: 'system',
          mode: 'System',
          type: 'VirtualMachineScaleSets',
          vmSize: args.nodeSize,
          count: args.nodeCount,
          osType: 'Linux',
          vnetSubnetID: args.subnetId,
        },
      ],
      networkProfile: {
        networkPlugin: 'azure',
        networkPluginMode: 'overlay',
        networkPolicy: 'cilium',
        networkDataplane: 'cilium',
        loadBalancerSku: 'standard',
        outboundType: 'userAssignedNATGateway',
      },
      // The default controller would open a second address; ours is a NginxIngressController of the failover stack.
      ingressProfile: { webAppRouting: { enabled: true, nginx: { defaultIngressControllerType: 'None' } } },
      // The controller takes its certificate from a key vault by this driver alone, and a renewed one by its rotation.
      addonProfiles: { azureKeyvaultSecretsProvider: { enabled: true, config: { enableSecretRotation: 'true' } } },
      oidcIssuerProfile: { enabled: true },
      securityProfile: { workloadIdentity: { enabled: true } },
      autoUpgradeProfile: { upgradeChannel: 'patch', nodeOSUpgradeChannel: 'NodeImage' },
    },
    // Patch upgrades move the version by themselves.
    { parent, dependsOn: mayUseNetwork, ignoreChanges: ['kubernetesVersion'] },
  );
}
