/** A pod's volumes: a folder each, filled when the pod starts. */
import type { V1KeyToPath, V1Pod, V1Volume, V1VolumeProjection } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ContainerConfigError, dataOf, fieldOf, makeFolder, namespaceOf, type PodPlace } from './environment';

type Files = Readonly<Record<string, Buffer>>;

const fileMode = 0o600;

function selected(files: Files, items: readonly V1KeyToPath[] | undefined): Files {
  if (!items) return files;
  return Object.fromEntries(
    items.map(({ key, path: to }) => {
      const file = files[key];
      if (!file) throw new ContainerConfigError(`references non-existent key "${key}"`);
      return [to, file];
    }),
  );
}

function write(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    if (!file.startsWith(folder + path.sep)) throw new ContainerConfigError(`path "${name}" leads out of its volume`);
    makeFolder(path.dirname(file));
    fs.writeFileSync(file, content, { mode: fileMode });
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
    items.flatMap((item) => (item.fieldRef ? [[item.path, Buffer.from(fieldOf(place, item.fieldRef.fieldPath))]] : [])),
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
    return { [to]: await serviceAccountToken(place, audience, expirationSeconds) };
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

/** Fills every volume of a pod under `folder`. @throws ContainerConfigError when a source is missing. */
export async function fillVolumes(place: PodPlace, pod: V1Pod, folder: string): Promise<void> {
  for (const volume of pod.spec?.volumes ?? []) {
    const home = makeFolder(path.join(folder, volume.name));
    for (const files of await contentOf(place, volume)) write(home, files);
  }
}
