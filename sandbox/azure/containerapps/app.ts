/** `Microsoft.App/containerApps`: each one a process of its site, reached at an address of its own. */
import * as fs from 'node:fs';
import { isCutOff } from '../../silence';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind } from '../kind';
import { folderOf, readDeployment, writeDeployment, type Deployment } from './deployment';
import { apiVersions, appType, environmentType } from './environment';
import { end, ensure, isReady, isUp, keepApps, replace } from './revision';
import { deploymentOf, fqdnOf, part, wrong, type Secrets } from './template';

const secretsPath = 'properties.configuration.secrets';
/** Values by name. The body may name a secret without its value to keep it. */
const knownSecrets = 'values.secrets';

let endKeeping: (() => void) | undefined;
const keep = (ctx: Context) => (endKeeping ??= keepApps((line) => ctx.log(line)));

function secretsOf(ctx: Context): Secrets {
  const given = JSON.parse(ctx.secrets.get(secretsPath) ?? '[]') as readonly { name?: string; value?: string }[];
  const known = JSON.parse(ctx.secrets.get(knownSecrets) ?? '{}') as Secrets;
  return Object.fromEntries(
    given.map(({ name = '', value }) => {
      const kept = value ?? known[name];
      if (kept === undefined) throw wrong('configuration.secrets', `secret "${name}" has no value`);
      return [name, kept];
    }),
  );
}

function environmentOf(ctx: Context, body: ArmContent): ArmResource {
  const id = body.properties['environmentId'] ?? body.properties['managedEnvironmentId'];
  if (typeof id !== 'string') throw wrong('environmentId', 'it is missing');
  const found = ctx.get(id);
  if (found?.type.toLowerCase() !== environmentType.toLowerCase()) {
    throw new ArmError(404, 'ManagedEnvironmentNotFound', `The environment '${id}' does not exist.`);
  }
  if (found.location !== body['location']) {
    throw wrong('location', `the app is in ${String(body['location'])}, its environment in ${found.location}`);
  }
  return found;
}

/** What runs depends on this; names and secrets that nothing refers to do not matter. */
const same = (a: Deployment | undefined, b: Deployment) => JSON.stringify(a) === JSON.stringify(b);

async function put(ctx: Context, body: ArmContent, previous: ArmResource | undefined): Promise<ArmContent> {
  keep(ctx);
  const environment = environmentOf(ctx, body);
  const domain = String(environment.properties['defaultDomain']);
  const secrets = secretsOf(ctx);
  const deployment = deploymentOf(ctx, body, secrets, domain);
  const before = previous && readDeployment(ctx.id.id);
  if (!same(before, deployment) || (deployment.desired === 'running' && !isUp(deployment))) {
    await roll(ctx, deployment, before);
  }
  ctx.secrets.set(knownSecrets, JSON.stringify(secrets));
  return contentOf(ctx, body, environment, deployment, secrets);
}

/** The new revision takes the place of the old one; when it does not become ready the old one comes back. */
async function roll(ctx: Context, deployment: Deployment, before: Deployment | undefined): Promise<void> {
  try {
    await replace(deployment);
    writeDeployment(deployment);
  } catch (cause) {
    if (before) await ensure(before);
    throw new ArmError(
      400,
      'ContainerAppOperationError',
      `Failed to provision revision '${ctx.id.name}--${deployment.revision}' for container app '${ctx.id.name}': ${(cause as Error).message}`,
    );
  }
}

function contentOf(
  ctx: Context,
  body: ArmContent,
  environment: ArmResource,
  deployment: Deployment,
  secrets: Secrets,
): ArmContent {
  const domain = String(environment.properties['defaultDomain']);
  const configuration = part(body.properties, 'configuration');
  const ingress = configuration['ingress'] as Json | undefined;
  const revision = `${ctx.id.name}--${deployment.revision}`;
  const names = Object.keys(secrets).map((name) => ({ name }));
  return {
    ...body,
    properties: {
      ...body.properties,
      environmentId: environment.id,
      managedEnvironmentId: environment.id,
      configuration: {
        activeRevisionsMode: 'Single',
        ...configuration,
        ...(names.length > 0 ? { secrets: names } : {}),
        ...(ingress ? { ingress: { ...ingress, fqdn: fqdnOf(ctx.id.name, body, domain) } } : {}),
      },
      latestRevisionName: revision,
      latestReadyRevisionName: revision,
      ...(ingress ? { latestRevisionFqdn: fqdnOf(revision, body, domain) } : {}),
      provisioningState: 'Succeeded',
    },
  };
}

async function read(_ctx: Context, resource: ArmResource): Promise<ArmResource> {
  const deployment = readDeployment(resource.id);
  return { ...resource, properties: { ...resource.properties, runningStatus: await statusOf(deployment) } };
}

async function statusOf(deployment: Deployment | undefined): Promise<string> {
  if (!deployment || deployment.desired === 'stopped') return 'Stopped';
  if (isCutOff(deployment.site) || !isUp(deployment)) return 'Progressing';
  return (await isReady(deployment)) ? 'Running' : 'Progressing';
}

async function run(ctx: Context, resource: ArmResource, desired: Deployment['desired']): Promise<ArmResource> {
  const deployment = readDeployment(resource.id);
  if (!deployment)
    throw new ArmError(409, 'ContainerAppNotReady', `The container app '${resource.name}' was never ready.`);
  writeDeployment({ ...deployment, desired });
  await roll(ctx, { ...deployment, desired }, undefined);
  return read(ctx, resource);
}

export const app: Kind = {
  type: appType,
  apiVersions,
  name: /^[a-z](?:[a-z0-9]|-(?!-)){0,30}[a-z0-9]$/,
  location: 'required',
  model: {
    package: '@azure/arm-appcontainers',
    mapper: 'ContainerApp',
    allow: [
      'properties.patchingConfiguration',
      'properties.configuration.revisionTransitionThreshold',
      'properties.configuration.targetLabel',
      'properties.configuration.ingress.targetPortHttpScheme',
      'properties.template.containers[].imageType',
    ],
  },
  patchModel: { package: '@azure/arm-appcontainers', mapper: 'ContainerApp' },
  rules: [
    { path: 'properties.environmentId', immutable: true },
    { path: 'properties.template', required: true },
    { path: 'properties.template.scale.minReplicas', min: 0, max: 300 },
    { path: 'properties.template.scale.maxReplicas', min: 1, max: 1000 },
    { path: 'properties.configuration.activeRevisionsMode', oneOf: ['Single'] },
  ],
  writeOnly: [secretsPath],
  put,
  read,
  async remove(ctx) {
    const deployment = readDeployment(ctx.id.id);
    if (deployment) await end(deployment);
    await fs.promises.rm(folderOf(ctx.id.id), { recursive: true, force: true });
  },
  actions: {
    start: (ctx, resource) => run(ctx, resource, 'running'),
    stop: (ctx, resource) => run(ctx, resource, 'stopped'),
    listSecrets: (ctx) => ({ value: Object.entries(secretsOf(ctx)).map(([name, value]) => ({ name, value })) }),
  },
  async onStart(ctx, resource) {
    keep(ctx);
    const deployment = readDeployment(resource.id);
    if (deployment && !isCutOff(deployment.site)) await ensure(deployment);
  },
  async onStop(_ctx, resource) {
    endKeeping?.();
    const deployment = readDeployment(resource.id);
    if (deployment) await end(deployment);
  },
  publicNames(_ctx, resource) {
    const deployment = readDeployment(resource.id);
    const { external, fqdn } = part(part(resource.properties, 'configuration'), 'ingress');
    return deployment && external === true ? [{ name: String(fqdn), type: 'A', data: deployment.address }] : [];
  },
};
