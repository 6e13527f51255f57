/** From a container app's wire form to what is to run. */
import { createHash } from 'node:crypto';
import { findImage } from '../../application/registry';
import { ports } from '../../world';
import { ArmError, type ArmContent, type Context, type Json } from '../kind';
import type { Deployment, Probe } from './deployment';
import { canRun } from './revision';

export type Secrets = Readonly<Record<string, string>>;

const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as Json[]) : []);
export const part = (value: unknown, name: string): Json => ((value as Json | undefined)?.[name] ?? {}) as Json;
const text = (value: unknown) => (typeof value === 'string' ? value : '');

export const wrong = (field: string, details: string) =>
  new ArmError(
    400,
    'ContainerAppInvalidParameter',
    `The following field is either invalid or missing. Field '${field}' is invalid with details: '${details}'.`,
  );

function secretOf(secrets: Secrets, name: unknown, field: string): string {
  const value = secrets[text(name)];
  if (value === undefined) throw wrong(field, `secret "${text(name)}" is not in configuration.secrets`);
  return value;
}

/** @throws ArmError 400 */
function onlyContainer(body: ArmContent): Json {
  const containers = list(part(body.properties, 'template')['containers']);
  const [container] = containers;
  if (!container) throw wrong('template.containers', 'a container app needs at least one container');
  if (containers.length > 1 || list(part(body.properties, 'template')['initContainers']).length > 0) {
    throw wrong('template.containers', 'this sandbox runs apps of one container, without init containers');
  }
  return container;
}

function imageOf(container: Json): string {
  const reference = text(container['image']);
  const image = findImage(reference);
  if (!image || !canRun(image.name)) {
    throw wrong(
      `template.containers.${text(container['name'])}.image`,
      `"${reference}" is not in the registry; name an image with its digest`,
    );
  }
  return reference;
}

function environmentOf(container: Json, secrets: Secrets): Record<string, string> {
  const field = (name: string) => `template.containers.${text(container['name'])}.env.${name}`;
  return Object.fromEntries(
    list(container['env']).map((variable) => {
      const name = text(variable['name']);
      const value =
        variable['secretRef'] === undefined
          ? text(variable['value'])
          : secretOf(secrets, variable['secretRef'], field(name));
      return [name, value];
    }),
  );
}

/** Volumes of type Secret: each secret a file, all of them unless the volume names some. */
function filesOf(body: ArmContent, container: Json, secrets: Secrets): Record<string, string> {
  const volumes = new Map(
    list(part(body.properties, 'template')['volumes']).map((volume) => [text(volume['name']), volume]),
  );
  const files: Record<string, string> = {};
  for (const mount of list(container['volumeMounts'])) {
    const name = text(mount['volumeName']);
    const volume = volumes.get(name);
    if (!volume) throw wrong('template.containers.volumeMounts', `volume "${name}" is not in template.volumes`);
    if (text(volume['storageType']).toLowerCase() === 'emptydir') continue;
    if (text(volume['storageType']).toLowerCase() !== 'secret') {
      throw wrong(
        `template.volumes.${name}.storageType`,
        `"${text(volume['storageType'])}" is not supported here; use Secret or EmptyDir`,
      );
    }
    const named = list(volume['secrets']);
    const items =
      named.length > 0 ? named : Object.keys(secrets).map((secret): Json => ({ secretRef: secret, path: secret }));
    for (const item of items) {
      const file = `${text(mount['mountPath'])}/${text(item['path'] ?? item['secretRef'])}`;
      if (!file.startsWith('/') || file.split('/').includes('..'))
        throw wrong(`template.volumes.${name}`, `"${file}" is no absolute path`);
      files[file] = secretOf(secrets, item['secretRef'], `template.volumes.${name}.secrets`);
    }
  }
  return files;
}

function probesOf(container: Json, targetPort: number): { readiness: Probe | undefined; liveness: Probe | undefined } {
  const find = (type: string): Probe | undefined => {
    const probe = list(container['probes']).find((each) => text(each['type']).toLowerCase() === type);
    const get = part(probe, 'httpGet');
    if (!probe || get['port'] === undefined) return undefined;
    // What the container serves on its target port is behind TLS here.
    const target = Number(get['port']) === targetPort;
    const plain = text(get['scheme'] ?? 'HTTP').toLowerCase() === 'http' && !target;
    return {
      scheme: plain ? 'http' : 'https',
      port: target ? ports.https : Number(get['port']),
      path: text(get['path'] ?? '/'),
      periodSeconds: Number(probe['periodSeconds'] ?? 10),
      failureThreshold: Number(probe['failureThreshold'] ?? 3),
      initialDelaySeconds: Number(probe['initialDelaySeconds'] ?? 0),
    };
  };
  return { readiness: find('readiness'), liveness: find('liveness') };
}

/** Name that the app is reached at: outside its environment only when the ingress is external. */
export function fqdnOf(name: string, body: ArmContent, domain: string): string {
  const { external } = part(part(body.properties, 'configuration'), 'ingress');
  return external === true ? `${name}.${domain}` : `${name}.internal.${domain}`;
}

/** @throws ArmError 400 when a field of the template can't be run */
export function deploymentOf(ctx: Context, body: ArmContent, secrets: Secrets, domain: string): Deployment {
  const container = onlyContainer(body);
  const ingress = part(part(body.properties, 'configuration'), 'ingress');
  const targetPort = Number(ingress['targetPort'] ?? 8080);
  const domains = list(ingress['customDomains']).map((each) => text(each['name']));
  const { minReplicas, maxReplicas } = part(part(body.properties, 'template'), 'scale');
  if (Number(minReplicas ?? 0) > Number(maxReplicas ?? 10)) {
    throw wrong('template.scale', `minReplicas ${String(minReplicas)} is more than maxReplicas ${String(maxReplicas)}`);
  }
  const address = ctx.address('containerApp');
  const site = ctx.site as NonNullable<Context['site']>;
  const content = {
    image: imageOf(container),
    command: (container['command'] ?? []) as string[],
    args: (container['args'] ?? []) as string[],
    env: environmentOf(container, secrets),
    files: filesOf(body, container, secrets),
    names: [fqdnOf(ctx.id.name, body, domain), ...domains, address],
    targetPort,
    ...probesOf(container, targetPort),
  };
  return {
    resourceId: ctx.id.id,
    process: `container-app/${site}/${ctx.id.resourceGroup}/${ctx.id.name}`,
    site,
    address,
    revision: revisionOf(body, content),
    ...content,
    desired: Number(minReplicas ?? 1) === 0 ? 'stopped' : 'running',
  };
}

/** A changed template is a new revision; the same one is the same revision. */
function revisionOf(body: ArmContent, content: Json): string {
  const suffix = part(body.properties, 'template')['revisionSuffix'];
  return text(suffix) || createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 7);
}
