/** A site's Kubernetes API: credentials from Azure, kept in memory; silence is noticed in seconds, slowness is borne. */
import type { Site } from '../../config/fields';
import { StandbyError } from '../../failover/errors';
import { apiVersions, cloudOf } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { exchange, passing } from '../http';
import { accessOf, type Access } from './kubeconfig';

const answerMs = 8_000;

export interface Deployment {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly name: string;
          readonly image?: string;
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
  readonly status?: { readonly readyReplicas?: number };
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: { readonly phase?: string };
}

export interface CronJob {
  readonly metadata: { readonly name: string; readonly creationTimestamp: string };
  readonly spec: { readonly suspend?: boolean };
}

export interface Job {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
  };
}

interface Options {
  readonly method?: 'GET' | 'PATCH';
  readonly body?: object;
  readonly withinMs?: number;
}

export class Cluster {
  private access: Promise<Access> | undefined;

  constructor(
    private readonly context: AdapterContext,
    private readonly site: Site,
  ) {}

  deployments(namespace: string, signal: AbortSignal): Promise<readonly Deployment[]> {
    return this.list<Deployment>(`/apis/apps/v1/namespaces/${namespace}/deployments`, signal);
  }

  pods(namespace: string, labels: string, signal: AbortSignal): Promise<readonly Pod[]> {
    return this.list<Pod>(`/api/v1/namespaces/${namespace}/pods${selected(labels)}`, signal);
  }

  cronJobs(namespace: string, labels: string, signal: AbortSignal): Promise<readonly CronJob[]> {
    return this.list<CronJob>(`/apis/batch/v1/namespaces/${namespace}/cronjobs${selected(labels)}`, signal);
  }

  jobs(namespace: string, labels: string, signal: AbortSignal): Promise<readonly Job[]> {
    return this.list<Job>(`/apis/batch/v1/namespaces/${namespace}/jobs${selected(labels)}`, signal);
  }

  /** Sets the number of instances and touches nothing else of the object. */
  async scale(namespace: string, name: string, replicas: number, signal: AbortSignal): Promise<void> {
    await this.ask(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}/scale`, signal, {
      method: 'PATCH',
      body: { spec: { replicas } },
    });
  }

  private async list<T>(path: string, signal: AbortSignal): Promise<readonly T[]> {
    return (await this.ask<{ readonly items: readonly T[] }>(path, signal)).items;
  }

  /** @throws StandbyError ClusterUnreachable, ClusterRefused */
  private async ask<T>(path: string, signal: AbortSignal, options: Options = {}): Promise<T> {
    const { method = 'GET', body, withinMs = answerMs } = options;
    const access = await this.open(signal);
    const answer = await exchange(`${access.server}${path}`, {
      ...{ method, agent: access.agent, signal, withinMs },
      headers: { ...access.headers, 'content-type': 'application/merge-patch+json', accept: 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }).catch((cause: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw this.unreachable(cause);
    });
    if (answer.status < 400) return JSON.parse(answer.text) as T;
    // Credentials that a cluster no longer takes are fetched anew the next time.
    if (answer.status === 401) this.access = undefined;
    const said = sayingOf(answer.text);
    throw new StandbyError(
      'ClusterRefused',
      `the cluster of ${this.site} refuses ${method} ${path.split('?')[0]} with ${answer.status}: ${said}`,
      { retryable: passing(answer.status) || answer.status === 401 || answer.status === 409 },
    );
  }

  private open(signal: AbortSignal): Promise<Access> {
    this.access ??= this.fetchAccess(signal).catch((cause: unknown) => {
      this.access = undefined;
      throw cause;
    });
    return this.access;
  }

  private async fetchAccess(signal: AbortSignal): Promise<Access> {
    const { cluster } = this.context.landscape.sites[this.site];
    const { body } = await cloudOf(this.context).ask<{ kubeconfigs?: { value: string }[] }>({
      method: 'POST',
      path: `${cluster.id}/listClusterUserCredential`,
      apiVersion: apiVersions.containerService,
      signal,
      // Whoever needs the cluster asks again itself, and knows for how long.
      tries: 1,
    });
    const [first] = body.kubeconfigs ?? [];
    if (!first) {
      throw new StandbyError(
        'ClusterUnreachable',
        `Azure has no credentials for cluster ${cluster.name}: is it running?`,
        {
          retryable: true,
        },
      );
    }
    return accessOf(Buffer.from(first.value, 'base64').toString('utf8'), signal);
  }

  private readonly unreachable = (cause: unknown) =>
    new StandbyError(
      'ClusterUnreachable',
      `the cluster of ${this.site} gives no answer (${(cause as Error).message}): check its API server and the way to it`,
      { retryable: true, cause },
    );
}

const selected = (labels: string) => `?labelSelector=${encodeURIComponent(labels)}`;

function sayingOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? 'no reason given';
  } catch {
    return text.slice(0, 100).split('\n')[0] ?? '';
  }
}

const clusters = new WeakMap<AdapterContext, Partial<Record<Site, Cluster>>>();

/** @returns the same one for the same context, so that credentials and connections are shared. */
export function clusterOf(context: AdapterContext, site: Site): Cluster {
  const known = clusters.get(context) ?? {};
  clusters.set(context, known);
  return (known[site] ??= new Cluster(context, site));
}
