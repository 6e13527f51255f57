/** Plays the nodes of a cluster: pods become ready at once, unless their image is named `broken`; an Ingress gets an address. */
import { Cluster, load } from '../../sandbox/providers/kubernetes/cluster';
import { setTimeout as delay } from 'node:timers/promises';

interface Item {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string; readonly containers?: readonly { name: string; image: string }[] };
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: unknown;
    readonly loadBalancer?: { ingress?: unknown };
  };
}

function podStatus(pod: Item): unknown {
  const containers = pod.spec.containers ?? [];
  const broken = containers.some(({ image }) => image === 'broken');
  const state = broken ? { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } } : { running: {} };
  const condition = {
    type: 'Ready',
    status: broken ? 'False' : 'True',
    ...(broken ? { reason: 'ContainersNotReady', message: 'not ready' } : {}),
  };
  const containerStatuses = containers.map(({ name, image }) => ({
    name,
    image,
    imageID: '',
    ready: !broken,
    restartCount: 0,
    state,
  }));
  return {
    phase: broken ? 'Pending' : 'Running',
    podIP: '10.0.0.9',
    podIPs: [{ ip: '10.0.0.9' }],
    conditions: [condition],
    containerStatuses,
  };
}

/** What the tests look at. */
export interface Live {
  readonly metadata: { readonly managedFields: readonly { readonly manager: string }[] };
  readonly data?: unknown;
  readonly items?: unknown;
}

export class Kubelet {
  private readonly stopped = new AbortController();
  private readonly cluster: Cluster;
  private readonly loop: Promise<void>;

  constructor(kubeconfig: string) {
    this.cluster = new Cluster(load(kubeconfig));
    this.loop = this.run();
  }

  private async items(path: string): Promise<Item[]> {
    return (await this.cluster.request('GET', path, this.stopped.signal))['items'] as Item[];
  }

  private async status(path: string, status: unknown): Promise<void> {
    const init = { body: { status }, contentType: 'application/merge-patch+json' };
    await this.cluster.request('PATCH', `${path}/status`, this.stopped.signal, init);
  }

  private send = (method: string, path: string, body: unknown) =>
    this.cluster.request(method, path, this.stopped.signal, { body });

  private async round(): Promise<void> {
    for (const pod of await this.items('/api/v1/pods')) {
      const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`;
      if (pod.metadata.deletionTimestamp)
        await this.send('DELETE', path, { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 });
      else if (!pod.spec.nodeName)
        await this.send('POST', `${path}/binding`, {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name: pod.metadata.name },
          target: { kind: 'Node', name: 'node' },
        });
      else if (!pod.status?.containerStatuses) await this.status(path, podStatus(pod));
    }
    for (const { metadata, status } of await this.items('/apis/networking.k8s.io/v1/ingresses')) {
      const path = `/apis/networking.k8s.io/v1/namespaces/${metadata.namespace}/ingresses/${metadata.name}`;
      if (!status?.loadBalancer?.ingress) await this.status(path, { loadBalancer: { ingress: [{ ip: '10.0.0.8' }] } });
    }
  }

  private async run(): Promise<void> {
    await this.send('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } });
    while (!this.stopped.signal.aborted) {
      await this.round().catch(() => undefined); // what went away in between is looked at in the next round
      await delay(50);
    }
  }

  /** An object as the cluster has it, or undefined. */
  async get(path: string): Promise<Live | undefined> {
    return this.cluster.request('GET', path, this.stopped.signal).then(
      (live) => live as unknown as Live,
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.loop;
  }
}
