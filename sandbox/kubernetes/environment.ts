/** What a container finds: its variables, its volumes as folders, and its place in the network. */
import type { V1Container, V1EnvVarSource, V1Pod, V1ResourceRequirements } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { authorityFile } from '../authority';
import { clockFile } from '../chaos/clocks';
import { standpointIn } from '../network/standpoints';
import { folders, outside, ports } from '../world';
import type { Cluster } from './cluster';

export interface PodPlace {
  readonly cluster: Cluster;
  readonly pod: V1Pod;
  readonly address: string;
}

/** A container can't be made from what its pod says: the reason is the API's word for it. */
export class ContainerConfigError extends Error {
  override readonly name = 'ContainerConfigError';
  readonly reason = 'CreateContainerConfigError';
}

const podName = (pod: V1Pod) => pod.metadata?.name ?? '';
export const namespaceOf = (pod: V1Pod) => pod.metadata?.namespace ?? 'default';

type Kind = 'configmap' | 'secret';
type Data = Readonly<Record<string, Buffer>>;

/** @throws ContainerConfigError when it does not exist and is not optional. */
export async function dataOf(place: PodPlace, kind: Kind, name: string, optional = false): Promise<Data> {
  const object = { name, namespace: namespaceOf(place.pod) };
  try {
    if (kind === 'secret') {
      const { data = {} } = await place.cluster.core.readNamespacedSecret(object);
      return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
    }
    const { data = {}, binaryData = {} } = await place.cluster.core.readNamespacedConfigMap(object);
    const text = Object.entries(data).map(([key, value]) => [key, Buffer.from(value)] as const);
    const binary = Object.entries(binaryData).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const);
    return Object.fromEntries([...text, ...binary]);
  } catch (cause) {
    if ((cause as { code?: number }).code !== 404) throw cause;
    if (optional) return {};
    throw new ContainerConfigError(`${kind} "${name}" not found`);
  }
}

/** @throws ContainerConfigError for a field that a pod does not offer. */
export function fieldOf(place: PodPlace, fieldPath: string): string {
  const { pod, cluster } = place;
  const entry = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath);
  if (entry) return pod.metadata?.[entry[1] as 'labels' | 'annotations']?.[entry[2] ?? ''] ?? '';
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': podName(pod),
    'metadata.namespace': namespaceOf(pod),
    'metadata.uid': pod.metadata?.uid,
    'spec.nodeName': cluster.node,
    'spec.serviceAccountName': pod.spec?.serviceAccountName ?? 'default',
    'status.hostIP': cluster.address,
    // What the process can bind to; the API shows it as 10.x.y.z (network/route.ts).
    'status.podIP': place.address,
    'status.podIPs': place.address,
  };
  if (!(fieldPath in fields))
    throw new ContainerConfigError(`fieldPath "${fieldPath}" is not one of ${Object.keys(fields).join(', ')}`);
  return fields[fieldPath] ?? '';
}

function resourceOf(container: V1Container, resource: string): string {
  const [kind, name = ''] = resource.split('.') as [keyof V1ResourceRequirements, string];
  const amounts = container.resources?.[kind] as Record<string, string> | undefined;
  return amounts?.[name] ?? '0';
}

async function valueFrom(place: PodPlace, container: V1Container, source: V1EnvVarSource): Promise<string | undefined> {
  if (source.fieldRef) return fieldOf(place, source.fieldRef.fieldPath);
  if (source.resourceFieldRef) return resourceOf(container, source.resourceFieldRef.resource);
  const [kind, ref] = source.secretKeyRef
    ? (['secret', source.secretKeyRef] as const)
    : (['configmap', source.configMapKeyRef] as const);
  if (!ref) throw new ContainerConfigError('valueFrom names no source');
  const value = (await dataOf(place, kind, ref.name ?? '', ref.optional))[ref.key];
  if (!value && !ref.optional) throw new ContainerConfigError(`couldn't find key ${ref.key} in ${kind} ${ref.name}`);
  return value?.toString();
}

/** `$(NAME)` in values, commands and arguments; `$$(NAME)` stays as `$(NAME)`. */
export const expand = (text: string, env: Readonly<Record<string, string>>): string =>
  text.replace(/\$\$|\$\(([\w.-]+)\)/g, (match, name?: string) => (name === undefined ? '$' : (env[name] ?? match)));

/** The variables that the pod's author asked for. @throws ContainerConfigError */
export async function declaredEnvironment(place: PodPlace, container: V1Container): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const kind = secretRef ? 'secret' : 'configmap';
    const data = await dataOf(
      place,
      kind,
      (secretRef ?? configMapRef)?.name ?? '',
      (secretRef ?? configMapRef)?.optional,
    );
    for (const [key, value] of Object.entries(data)) env[prefix + key] = value.toString();
  }
  for (const { name, value, valueFrom: source } of container.env ?? []) {
    const found = source ? await valueFrom(place, container, source) : expand(value ?? '', env);
    if (found !== undefined) env[name] = found;
  }
  return env;
}

/** Puts the process at the pod's place: the hook, its standpoint, and the authority that all TLS names here are signed by. */
export function placeEnvironment(place: PodPlace, declared: Readonly<Record<string, string>>): Record<string, string> {
  const preload = (part: string) => `--require ${JSON.stringify(path.join(folders.build, `${part}.js`))}`;
  return {
    HOSTNAME: podName(place.pod),
    NODE_EXTRA_CA_CERTS: authorityFile,
    SSL_CERT_FILE: authorityFile,
    // Where a pod logs in unless it is told otherwise: on Azure the vendor's clients know it.
    AZURE_AUTHORITY_HOST: `https://${outside.login}:${ports.https}`,
    ...declared,
    // On a real node this is the address of a service in front of the API server.
    KUBERNETES_SERVICE_HOST: place.cluster.address,
    KUBERNETES_SERVICE_PORT: String(ports.kubernetes),
    NODE_OPTIONS: [preload('hook'), preload('clock'), declared['NODE_OPTIONS']].filter(Boolean).join(' '),
    STANDBY_CLOCK: clockFile(place.cluster.site),
    STANDBY_NET: JSON.stringify(standpointIn(place.cluster.site, place.address)),
  };
}

/**
 * There are no mount namespaces, so a volume is not at its mountPath. Where a command, an argument or a variable names a
 * path under it, the folder's real path is put there; a program with the path built in does not find it.
 */
export function mountRewriter(container: V1Container, folderOf: (volume: string) => string): (text: string) => string {
  const mounts = (container.volumeMounts ?? [])
    .map((mount) => ({
      from: mount.mountPath.replace(/\/$/, ''),
      to: path.join(folderOf(mount.name), mount.subPath ?? ''),
    }))
    .sort((a, b) => b.from.length - a.from.length);
  const edge = '[=:,\\s"\']';
  const rules = mounts.map(({ from, to }) => ({
    pattern: new RegExp(`(^|${edge})${escapeRegExp(from)}(?=$|/|${edge})`, 'g'),
    to,
  }));
  return (text) => {
    const rule = rules.find(({ pattern }) => text.search(pattern) >= 0);
    return rule ? text.replace(rule.pattern, (_, before: string) => before + rule.to) : text;
  };
}

const escapeRegExp = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

export function makeFolder(folder: string): string {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}
