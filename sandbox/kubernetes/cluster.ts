/** The node's way to the API server of its cluster. */
import * as k8s from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { folders, plan, type Site } from '../world';

const retryMs = 250;

export const mergePatch = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);

/** One line with the time, never with a secret. */
export const log = (line: string) => console.log(`${new Date().toISOString()} ${line.replaceAll('\n', ' ')}`);

const codeOf = (cause: unknown) => (cause as { code?: unknown }).code;
/** The object is not there, or not any more, or another one has taken its place. */
export const isGone = (cause: unknown) => codeOf(cause) === 404 || codeOf(cause) === 409;

export function messageOf(cause: unknown): string {
  const fault = cause as { message?: string; body?: string };
  try {
    return (JSON.parse(fault.body ?? '') as { message: string }).message;
  } catch {
    return fault.message ?? String(cause);
  }
}

export interface Cluster {
  readonly site: Site;
  /** Name of the one node. */
  readonly node: string;
  /** Its address: the API server's, on another port. */
  readonly address: string;
  readonly folder: string;
  readonly config: k8s.KubeConfig;
  readonly core: k8s.CoreV1Api;
  readonly networking: k8s.NetworkingV1Api;
  readonly discovery: k8s.DiscoveryV1Api;
  readonly custom: k8s.CustomObjectsApi;
}

/** Waits until the cluster's API server answers: it may be started at the same time as its node. */
export async function openCluster(site: Site): Promise<Cluster> {
  const folder = folders.kubernetes(site);
  // Its own way in, with a certificate: faults that are asked for befall people and pods, not the node.
  const kubeconfig = path.join(folder, 'pki', 'controllers.kubeconfig');
  let said = false;
  for (;;) {
    try {
      const config = new k8s.KubeConfig();
      if (!fs.existsSync(kubeconfig)) throw new Error(`${kubeconfig} is not written yet`);
      config.loadFromFile(kubeconfig);
      await config.makeApiClient(k8s.VersionApi).getCode();
      return {
        site,
        node: `node-${site}`,
        address: plan[site].apiServer,
        folder,
        config,
        core: config.makeApiClient(k8s.CoreV1Api),
        networking: config.makeApiClient(k8s.NetworkingV1Api),
        discovery: config.makeApiClient(k8s.DiscoveryV1Api),
        custom: config.makeApiClient(k8s.CustomObjectsApi),
      };
    } catch (cause) {
      if (!said) log(`waiting for the API server of ${site}: ${messageOf(cause)}`);
      said = true;
      await delay(retryMs);
    }
  }
}

/** Asks until the API server has an answer: a cluster that is starting or was killed refuses some questions for a moment. */
export async function patiently<T>(what: string, ask: () => Promise<T>): Promise<T> {
  for (let said = false; ; said = true) {
    try {
      return await ask();
    } catch (cause) {
      const code = codeOf(cause);
      // Only these won't become right by waiting: the question itself is wrong, or not allowed.
      if (typeof code === 'number' && code >= 400 && code < 500 && code !== 404 && code !== 429) throw cause;
      if (!said) log(`${what}: ${messageOf(cause)}; asking again`);
      await delay(retryMs);
    }
  }
}

/**
 * Follows all objects under `url` for as long as the process lives, through restarts of the API server.
 * `on` gets each object when it appears or changes, and once more when it is gone.
 */
export async function follow<T extends k8s.KubernetesObject>(
  cluster: Cluster,
  url: string,
  list: () => Promise<k8s.KubernetesListObject<T>>,
  on: (object: T, gone: boolean) => Promise<void> | void,
): Promise<void> {
  const informer = k8s.makeInformer<T>(cluster.config, url, list);
  const handle = (gone: boolean) => (object: T) => {
    Promise.resolve()
      .then(() => on(object, gone))
      .catch((cause: unknown) => {
        if (!isGone(cause)) log(`${url} ${object.metadata?.name ?? ''}: ${messageOf(cause)}`);
      });
  };
  informer.on('add', handle(false));
  informer.on('update', handle(false));
  informer.on('delete', handle(true));
  const begin = async (): Promise<void> => {
    for (;;) {
      try {
        await informer.start();
        return;
      } catch {
        await delay(retryMs);
      }
    }
  };
  informer.on('error', () => void delay(retryMs).then(begin));
  await begin();
}

export const keyOf = (object: k8s.KubernetesObject) =>
  `${object.metadata?.namespace ?? ''}/${object.metadata?.name ?? ''}`;
