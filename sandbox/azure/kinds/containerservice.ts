/** Managed Kubernetes clusters. The control plane runs already (the supervisor starts it): the resource gives the way into it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, plan } from '../../world';
import { issuerOf } from '../issuer';
import { ArmError, type ArmContent, type Context, type Json, type Kind } from '../kind';
import { tenantId } from '../tokens';
import { guid, needReferenced, succeeded } from './common';

const clusterType = 'Microsoft.ContainerService/managedClusters';
const model = (mapper: string) => ({ package: '@azure/arm-containerservice', mapper });

interface Pool extends Json {
  readonly name: string;
  readonly mode?: string;
  readonly vnetSubnetID?: string;
}

function credentials(name: string) {
  return (ctx: Context) => {
    const file = path.join(folders.kubernetes(siteOf(ctx)), 'kubeconfig');
    if (!fs.existsSync(file)) {
      throw new ArmError(409, 'OperationNotAllowed', `The control plane of '${ctx.id.name}' does not run yet.`, {
        'retry-after': '2',
      });
    }
    return { kubeconfigs: [{ name, value: fs.readFileSync(file).toString('base64') }] };
  };
}

function siteOf(ctx: Context) {
  if (ctx.site) return ctx.site;
  const regions = Object.values(plan).map((site) => site.region);
  throw new ArmError(
    400,
    'LocationNotAvailableForResourceType',
    `'${clusterType}' is available in ${regions.join(', ')} only.`,
  );
}

function checkPools(ctx: Context, body: ArmContent): Pool[] {
  const pools = (body.properties['agentPoolProfiles'] as Pool[] | undefined) ?? [];
  if (!pools.some((pool) => pool.mode === 'System')) {
    throw new ArmError(
      400,
      'InvalidParameter',
      "The value of parameter 'agentPoolProfiles' is invalid: a cluster needs one pool of mode System.",
    );
  }
  const outbound = (body.properties['networkProfile'] as Json | undefined)?.['outboundType'];
  for (const pool of pools) {
    const subnet =
      pool.vnetSubnetID === undefined
        ? undefined
        : needReferenced(ctx, pool.vnetSubnetID, 'agentPoolProfiles.vnetSubnetID');
    if (outbound === 'userAssignedNATGateway' && !subnet?.properties['natGateway']) {
      throw new ArmError(
        400,
        'BadRequest',
        `The subnet of pool '${pool.name}' has no NAT gateway; outboundType userAssignedNATGateway needs one.`,
      );
    }
  }
  return pools;
}

function identityOf(ctx: Context, body: ArmContent): Json {
  const identity = body['identity'] as Json | undefined;
  if (!identity || identity['type'] === 'None') {
    throw new ArmError(400, 'BadRequest', 'A cluster needs an identity: SystemAssigned or UserAssigned.');
  }
  if (identity['type'] === 'SystemAssigned') {
    return { type: 'SystemAssigned', tenantId: tenantId(), principalId: guid('cluster principal', ctx.id.id) };
  }
  const asked = Object.keys((identity['userAssignedIdentities'] as Json | undefined) ?? {});
  const entries = asked.map((id) => {
    const { principalId, clientId } = needReferenced(ctx, id, 'identity.userAssignedIdentities').properties;
    return [id, { principalId, clientId }] as const;
  });
  return { type: 'UserAssigned', userAssignedIdentities: Object.fromEntries(entries) };
}

const clusters: Kind = {
  type: clusterType,
  apiVersions: ['2024-09-01', '2025-01-01', '2025-05-01', '2025-07-01', '2025-08-01', '2025-09-01', '2025-10-01'],
  name: /^[a-zA-Z0-9]([\w-]{0,61}[a-zA-Z0-9])?$/,
  location: 'required',
  model: model('ManagedCluster'),
  patchModel: model('TagsObject'),
  rules: [
    { path: 'sku.name', oneOf: ['Base', 'Automatic'], initial: 'Base' },
    { path: 'sku.tier', oneOf: ['Free', 'Standard', 'Premium'], initial: 'Free' },
    {
      path: 'properties.dnsPrefix',
      required: true,
      immutable: true,
      pattern: /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,52}[a-zA-Z0-9])?$/,
    },
    { path: 'properties.kubernetesVersion', pattern: /^1\.\d+(\.\d+)?$/, initial: '1.34' },
    {
      path: 'properties.networkProfile.networkPlugin',
      oneOf: ['azure', 'kubenet', 'none'],
      initial: 'azure',
      immutable: true,
    },
    {
      path: 'properties.networkProfile.outboundType',
      oneOf: ['loadBalancer', 'userDefinedRouting', 'managedNATGateway', 'userAssignedNATGateway', 'none'],
      initial: 'loadBalancer',
    },
    { path: 'properties.enableRBAC', initial: true, immutable: true },
    { path: 'properties.nodeResourceGroup', immutable: true },
  ],
  put(ctx, body) {
    const site = siteOf(ctx);
    const twin = ctx
      .list(clusterType)
      .find((other) => other.location === body['location'] && other.id.toLowerCase() !== ctx.id.key);
    if (twin) {
      throw new ArmError(
        409,
        'QuotaExceeded',
        `The sandbox has one control plane in '${plan[site].region}', and '${twin.id}' uses it.`,
      );
    }
    const pools = checkPools(ctx, body).map((pool) => ({
      osType: 'Linux',
      type: 'VirtualMachineScaleSets',
      provisioningState: 'Succeeded',
      powerState: { code: 'Running' },
      ...pool,
    }));
    const oidc = body.properties['oidcIssuerProfile'] as Json | undefined;
    return succeeded(
      { ...body, identity: identityOf(ctx, body) },
      {
        agentPoolProfiles: pools,
        fqdn: plan[site].apiServer,
        powerState: { code: 'Running' },
        nodeResourceGroup:
          body.properties['nodeResourceGroup'] ?? `MC_${ctx.id.resourceGroup}_${ctx.id.name}_${plan[site].region}`,
        currentKubernetesVersion: body.properties['kubernetesVersion'],
        ...(oidc?.['enabled'] === true ? { oidcIssuerProfile: { enabled: true, issuerURL: issuerOf(site) } } : {}),
      },
    );
  },
  actions: {
    listClusterUserCredential: credentials('clusterUser'),
    listClusterAdminCredential: credentials('clusterAdmin'),
  },
};

export const kinds: readonly Kind[] = [clusters];
