/** A pod's volumes: a folder each, filled when the pod starts. */
import type { V1KeyToPath, V1Pod, V1Volume, V1VolumeProjection } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isRoot } from '../process';
import { folders } from '../world';
import { ContainerConfigError, dataOf, fieldOf, makeFolder, namespaceOf, type PodPlace } from './environment';

interface File {
  readonly content: Buffer;
  /** As the volume asks for it. @default - the volume's own */
  readonly mode?: number;
}
type Files = Readonly<Record<string, File>>;

const defaultMode = 0o644;
/** Who has the group of the pod reads what is mounted, whatever the mode says. */
const groupReads = 0o440;
/** Every user of a pod writes there. */
const everybodyWrites = 0o777;

const plain = (data: Readonly<Record<string, Buffer>>): Files =>
  Object.fromEntries(Object.entries(data).map(([name, content]) => [name, { content }]));

function selected(data: Readonly<Record<string, Buffer>>, items: readonly V1KeyToPath[] | undefined): Files {
  if (!items) return plain(data);
  return Object.fromEntries(
    items.map(({ key, path: to, mode }) => {
      const content = data[key];
      if (!content) throw new ContainerConfigError(`references non-existent key "${key}"`);
      return [to, { content, ...(mode === undefined ? {} : { mode }) }];
    }),
  );
}

interface Access {
  readonly mode: number;
  /** Group of the pod's volumes. */
  readonly group: number | undefined;
}

function write(folder: string, files: Files, { mode: usual, group }: Access): void {
  for (const [name, { content, mode = usual }] of Object.entries(files)) {
    const file = path.join(folder, name);
    if (!file.startsWith(folder + path.sep)) throw new ContainerConfigError(`path "${name}" leads out of its volume`);
    makeFolder(path.dirname(file));
    fs.writeFileSync(file, content, { mode: 0o600 });
    if (group !== undefined && isRoot) fs.chownSync(file, -1, group);
    fs.chmodSync(file, group === undefined ? mode : mode | groupReads);
  }
}

/** A token of the pod's service account, as long as the pod is there. */
async function serviceAccountToken(
  place: PodPlace,
  audience: string | undefined,
  seconds: number | undefined,
): Promise<Buffer> {
  const { pod, cluster } = place;
  const answer = await cluster.core.createNamespacedServiceAccountToken({
    namespace: namespaceOf(pod),
    name: pod.spec?.serviceAccountName ?? 'default',
    body: {
      spec: {
        audiences: audience ? [audience] : [],
        expirationSeconds: seconds ?? 3600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata?.name ?? '', uid: pod.metadata?.uid ?? '' },
      },
    },
  });
  return Buffer.from(answer.status?.token ?? '');
}

function downward(place: PodPlace, items: readonly { path: string; fieldRef?: { fieldPath: string } }[]): Files {
  return Object.fromEntries(
    items.flatMap((item) =>
      item.fieldRef ? [[item.path, { content: Buffer.from(fieldOf(place, item.fieldRef.fieldPath)) }]] : [],
    ),
  );
}

async function projected(place: PodPlace, source: V1VolumeProjection): Promise<Files> {
  if (source.configMap) {
    const { name = '', optional, items } = source.configMap;
    return selected(await dataOf(place, 'configmap', name, optional), items);
  }
  if (source.secret) {
    const { name = '', optional, items } = source.secret;
    return selected(await dataOf(place, 'secret', name, optional), items);
  }
  if (source.serviceAccountToken) {
    const { path: to, audience, expirationSeconds } = source.serviceAccountToken;
    return plain({ [to]: await serviceAccountToken(place, audience, expirationSeconds) });
  }
  return downward(place, source.downwardAPI?.items ?? []);
}

async function contentOf(place: PodPlace, volume: V1Volume): Promise<readonly Files[]> {
  const { configMap, secret, projected: sources, downwardAPI, emptyDir } = volume;
  if (configMap)
    return [selected(await dataOf(place, 'configmap', configMap.name ?? '', configMap.optional), configMap.items)];
  if (secret) return [selected(await dataOf(place, 'secret', secret.secretName ?? '', secret.optional), secret.items)];
  if (sources) return Promise.all((sources.sources ?? []).map((source) => projected(place, source)));
  if (downwardAPI) return [downward(place, downwardAPI.items ?? [])];
  if (emptyDir) return [];
  const kind = Object.keys(volume).find((key) => key !== 'name' && volume[key as keyof V1Volume] !== undefined);
  throw new ContainerConfigError(
    `volume "${volume.name}" is of kind ${kind}; the sandbox has configMap, secret, projected, downwardAPI and emptyDir`,
  );
}

const modeOf = ({ secret, configMap, projected: sources, downwardAPI }: V1Volume): number =>
  secret?.defaultMode ?? (configMap ?? sources ?? downwardAPI)?.defaultMode ?? defaultMode;

/** What a pod writes is none of its folder: that one's path is too long, and its owner's alone. */
const scratchOf = (uid: string): string => path.join(folders.scratch, uid.slice(0, 8));

/** @param own - folder of the pod's volumes. @returns where a volume of the pod is. */
export function volumeFolder(pod: V1Pod, own: string, name: string): string {
  const written = pod.spec?.volumes?.some((volume) => volume.name === name && volume.emptyDir);
  return path.join(written ? scratchOf(pod.metadata?.uid ?? '') : own, name);
}

/** Fills every volume of a pod under `folder`. @throws ContainerConfigError when a source is missing. */
export async function fillVolumes(place: PodPlace, pod: V1Pod, folder: string): Promise<void> {
  const group = pod.spec?.securityContext?.fsGroup;
  for (const volume of pod.spec?.volumes ?? []) {
    const home = volumeFolder(pod, folder, volume.name);
    if (volume.emptyDir) makeWritable(home, group);
    else makeFolder(home);
    for (const files of await contentOf(place, volume)) write(home, files, { mode: modeOf(volume), group });
  }
}

function makeWritable(folder: string, group: number | undefined): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o711 });
  if (group !== undefined && isRoot) fs.chownSync(folder, -1, group);
  fs.chmodSync(folder, everybodyWrites);
}

/** Removes what a pod wrote. */
export const removeScratch = (uid: string): void => fs.rmSync(scratchOf(uid), { recursive: true, force: true });
