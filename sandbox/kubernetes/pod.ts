/** One pod on this node, from its start to the moment when nothing of it is left. */
import type { V1Pod } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isGone, log, mergePatch, messageOf, type Cluster } from './cluster';
import { Container, type ContainerRecord, type Surroundings } from './container';
import { makeFolder, namespaceOf, type PodPlace } from './environment';
import { Conditions, podStatus } from './pod-status';
import { fillVolumes } from './volumes';

/** Changes that come together are told together. */
const gatherMs = 10;
const retryMs = 1_000;

/** What survives a killed node agent: where the pod is, and which of its processes are the current ones. */
export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly containers: Readonly<Record<string, ContainerRecord>>;
}

export const podsFolder = (cluster: Cluster) => path.join(cluster.folder, 'pods');
const recordFile = (folder: string) => path.join(folder, 'pod.json');

export function readRecord(folder: string): PodRecord | undefined {
  try {
    return JSON.parse(fs.readFileSync(recordFile(folder), 'utf8')) as PodRecord;
  } catch {
    return undefined;
  }
}

export class Pod {
  readonly inits: readonly Container[];
  readonly containers: readonly Container[];
  readonly namespace: string;
  readonly name: string;
  private readonly folder: string;
  private readonly place: PodPlace & { pod: V1Pod };
  private readonly ending = new AbortController();
  private readonly conditions: Conditions;
  private readonly startTime: Date;
  private gathering: NodeJS.Timeout | undefined;
  private telling: Promise<void> = Promise.resolve();
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly cluster: Cluster,
    pod: V1Pod,
    readonly address: string,
  ) {
    this.namespace = namespaceOf(pod);
    this.name = pod.metadata?.name ?? '';
    this.folder = path.join(podsFolder(cluster), pod.metadata?.uid ?? '');
    this.place = { cluster, pod, address };
    this.conditions = new Conditions(pod.status?.conditions);
    this.startTime = pod.status?.startTime ?? new Date();
    const around: Surroundings = {
      place: this.place,
      folder: this.folder,
      volumes: path.join(this.folder, 'volumes'),
      stopping: this.ending.signal,
      changed: () => this.changed(),
      save: () => this.save(),
    };
    this.inits = (pod.spec?.initContainers ?? []).map((spec) => new Container(spec, true, around));
    this.containers = (pod.spec?.containers ?? []).map((spec) => new Container(spec, false, around));
  }

  get stopping(): boolean {
    return this.ending.signal.aborted;
  }

  /** The API's newest word on this pod. */
  update(pod: V1Pod): void {
    this.place.pod = pod;
  }

  container(name: string): Container | undefined {
    return [...this.containers, ...this.inits].find((one) => one.spec.name === name);
  }

  /** @param record of the pod's processes, when an earlier node agent started them */
  start(record?: PodRecord): void {
    log(`${record ? 'adopt' : 'start'} ${this.namespace}/${this.name} at ${this.address}`);
    makeFolder(this.folder);
    if (!record) this.save();
    this.running = this.run(record).catch((cause: unknown) =>
      log(`${this.namespace}/${this.name}: ${messageOf(cause)}`),
    );
  }

  /**
   * Ends every process of the pod, then takes the pod out of the API: whoever sees it gone knows that it can't act.
   * @param graceSeconds from SIGTERM to SIGKILL
   */
  async stop(graceSeconds: number): Promise<void> {
    if (this.stopping) return;
    log(`stop ${this.namespace}/${this.name}`);
    this.ending.abort();
    await this.endProcesses(graceSeconds);
    await this.tell();
    await this.removeFromApi();
  }

  /** Ends every process of the pod without a word to the API. */
  async end(graceSeconds: number): Promise<void> {
    this.ending.abort();
    await this.endProcesses(graceSeconds);
  }

  private async endProcesses(graceSeconds: number): Promise<void> {
    await Promise.all([...this.inits, ...this.containers].map((one) => one.stop(graceSeconds)));
    await this.running;
  }

  private async removeFromApi(): Promise<void> {
    const uid = this.place.pod.metadata?.uid ?? '';
    const body = { gracePeriodSeconds: 0, preconditions: { uid } };
    for (;;) {
      try {
        await this.cluster.core.deleteNamespacedPod({
          namespace: this.namespace,
          name: this.name,
          gracePeriodSeconds: 0,
          body,
        });
        return;
      } catch (cause) {
        if (isGone(cause)) return;
        log(`${this.namespace}/${this.name} has ended but can't be removed yet: ${messageOf(cause)}`);
        await delay(retryMs);
      }
    }
  }

  private async run(record: PodRecord | undefined): Promise<void> {
    this.changed();
    if (!record || !Object.keys(record.containers).length) await this.prepareVolumes();
    for (const container of this.inits) {
      await container.run(record?.containers[container.spec.name]);
      if (this.stopping || container.exitCode !== 0) return;
    }
    await Promise.all(this.containers.map((one) => one.run(record?.containers[one.spec.name])));
  }

  /** A missing ConfigMap or Secret may still come: the pod waits for it. */
  private async prepareVolumes(): Promise<void> {
    let said = '';
    while (!this.stopping) {
      try {
        await fillVolumes(this.place, this.place.pod, path.join(this.folder, 'volumes'));
        return;
      } catch (cause) {
        const message = messageOf(cause);
        if (message !== said) log(`${this.namespace}/${this.name}: ${message}`);
        said = message;
        await delay(retryMs, undefined, { signal: this.ending.signal }).catch(() => undefined);
      }
    }
  }

  private save(): void {
    const all = [...this.inits, ...this.containers];
    const containers = Object.fromEntries(all.flatMap((one) => (one.record ? [[one.spec.name, one.record]] : [])));
    const record: PodRecord = { namespace: this.namespace, name: this.name, address: this.address, containers };
    fs.writeFileSync(recordFile(this.folder) + '.new', JSON.stringify(record));
    fs.renameSync(recordFile(this.folder) + '.new', recordFile(this.folder));
  }

  private changed(): void {
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      void this.tell();
    }, gatherMs);
  }

  /** Tells the API the status of this moment, after those before it. */
  private tell(): Promise<void> {
    this.telling = this.telling.then(async () => {
      const { pod } = this.place;
      const facts = {
        pod,
        hostAddress: this.cluster.address,
        address: this.address,
        startTime: this.startTime,
        stopping: this.stopping,
        inits: this.inits,
        containers: this.containers,
      };
      const body = { metadata: { uid: pod.metadata?.uid }, status: podStatus(facts, this.conditions) };
      try {
        await this.cluster.core.patchNamespacedPodStatus(
          { namespace: this.namespace, name: this.name, body },
          mergePatch,
        );
      } catch (cause) {
        if (isGone(cause)) return;
        log(`status of ${this.namespace}/${this.name}: ${messageOf(cause)}`);
        if (!this.stopping) setTimeout(() => this.changed(), retryMs).unref();
      }
    });
    return this.telling;
  }
}
