/** `Microsoft.App/managedEnvironments`: where container apps live; gives them their domain. */
import { createHash } from 'node:crypto';
import type { ArmContent, Context, Json, Kind } from '../kind';

export const environmentType = 'Microsoft.App/managedEnvironments';
export const appType = 'Microsoft.App/containerApps';
/** Those of the vendor's SDK package and of the provider's default. */
export const apiVersions = ['2025-01-01', '2025-02-02-preview', '2025-07-01', '2026-01-01'] as const;

/** The same at every call, as a name that is made once; different for another environment. */
function domainOf(ctx: Context, location: string): string {
  const unique = createHash('sha256').update(ctx.id.key).digest('hex').slice(0, 8);
  return `sand-${unique}.${location}.azurecontainerapps.io`;
}

function put(ctx: Context, body: ArmContent): ArmContent {
  const properties: Json = {
    zoneRedundant: false,
    ...body.properties,
    defaultDomain: domainOf(ctx, String(body['location'])),
    provisioningState: 'Succeeded',
  };
  return { ...body, properties };
}

export const environment: Kind = {
  type: environmentType,
  apiVersions,
  name: /^[A-Za-z][A-Za-z0-9-]{0,58}[A-Za-z0-9]$/,
  location: 'required',
  model: {
    package: '@azure/arm-appcontainers',
    mapper: 'ManagedEnvironment',
    allow: ['properties.publicNetworkAccess', 'properties.ingressConfiguration', 'properties.availabilityZones'],
  },
  patchModel: { package: '@azure/arm-appcontainers', mapper: 'ManagedEnvironment' },
  writeOnly: ['properties.appLogsConfiguration.logAnalyticsConfiguration.sharedKey'],
  put,
  inUseBy: (ctx, resource) =>
    ctx
      .list(appType)
      .filter((app) => String(app.properties['environmentId']).toLowerCase() === resource.id.toLowerCase())
      .map((app) => app.id),
};
