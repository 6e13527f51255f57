/** The applications of the site: stopped with a note of who stopped them, and started again by that note only. */
import { KubernetesError, patient, type Kubernetes, type KubernetesObject, type Limits } from './kubernetes';

const note = 'standby/stopped';

interface Deployment extends KubernetesObject {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
}
type List<T> = { readonly items: readonly T[] };

export class Workloads {
  constructor(
    private readonly kubernetes: Kubernetes,
    private readonly namespace: string,
    private readonly names: readonly string[],
  ) {}

  /** @returns the database servers that the applications of this site work on. */
  async servers(): Promise<string[]> {
    const containers = (await this.list(patient)).flatMap((one) => one.spec.template.spec.containers);
    return [
      ...new Set(
        containers.flatMap((one) =>
          (one.env ?? []).flatMap(({ name, value }) => (name === 'PGHOST' && value ? [value] : [])),
        ),
      ),
    ];
  }

  /** Scales to zero, and ends what runs without the usual grace. @returns instances that were still there. */
  async stop(epoch: number, final: boolean): Promise<number> {
    const deployments = await this.list();
    const running = deployments.filter(
      (one) => (one.spec.replicas ?? 1) > 0 || (final && one.metadata.annotations?.[note]),
    );
    await Promise.all(
      running.map(({ metadata, spec }) => {
        const word = final ? null : JSON.stringify({ epoch, replicas: spec.replicas ?? 1 });
        return this.patch(metadata.name, { metadata: { annotations: { [note]: word } }, spec: { replicas: 0 } });
      }),
    );
    const pods = (await Promise.all(deployments.map((one) => this.pods(one)))).flat();
    await Promise.all(pods.map((pod) => this.end(pod.metadata.name)));
    return pods.length;
  }

  /**
   * Starts again what agents of this site had stopped in this epoch.
   * @param signal - the site is closed again: nothing more is started.
   * @returns how many applications.
   */
  async start(epoch: number, signal: AbortSignal): Promise<number> {
    const stopped = (await this.list({ ...patient, signal })).flatMap(({ metadata }) => {
      const text = metadata.annotations?.[note];
      const word = text ? (JSON.parse(text) as { epoch: number; replicas: number }) : undefined;
      return text && word?.epoch === epoch ? [{ name: metadata.name, text, replicas: word.replicas }] : [];
    });
    signal.throwIfAborted();
    const started = await Promise.all(stopped.map(({ name, text, replicas }) => this.startNoted(name, text, replicas)));
    return started.filter(Boolean).length;
  }

  /** @returns false when the note is another one by now: the other agent was first, or it is stopped for good. */
  private async startNoted(name: string, text: string, replicas: number): Promise<boolean> {
    const place = `/metadata/annotations/${note.replace('/', '~1')}`;
    const steps = [
      { op: 'test', path: place, value: text },
      { op: 'remove', path: place },
      { op: 'replace', path: '/spec/replicas', value: replicas },
    ];
    try {
      await this.patch(name, steps);
      return true;
    } catch (cause) {
      if (cause instanceof KubernetesError && cause.status === 422) return false;
      throw cause;
    }
  }

  private get base(): string {
    return `/apis/apps/v1/namespaces/${this.namespace}/deployments`;
  }

  private async list(limits?: Limits): Promise<Deployment[]> {
    const { items } = await this.kubernetes.call<List<Deployment>>('GET', this.base, undefined, limits);
    return items.filter((one) => this.names.includes(one.metadata.name));
  }

  private async pods({ spec }: Deployment): Promise<readonly KubernetesObject[]> {
    const selector = Object.entries(spec.selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
    const query = `?labelSelector=${encodeURIComponent(selector.join(','))}`;
    return (
      await this.kubernetes.call<List<KubernetesObject>>('GET', `/api/v1/namespaces/${this.namespace}/pods${query}`)
    ).items;
  }

  private patch(name: string, body: object): Promise<unknown> {
    return this.kubernetes.call('PATCH', `${this.base}/${name}`, body);
  }

  private async end(pod: string): Promise<void> {
    const path = `/api/v1/namespaces/${this.namespace}/pods/${pod}`;
    await this.kubernetes.call('DELETE', path, { gracePeriodSeconds: 1 }).catch(() => undefined);
  }
}
