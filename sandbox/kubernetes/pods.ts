/** All pods of the node: which come, which are found after a restart, which go. Schedules as well, there being one node. */
import type { V1Pod } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { PodAddresses } from './addresses';
import { follow, isGone, log, patiently, type Cluster } from './cluster';
import { stopOthers } from './container-process';
import { Pod, podsFolder, readRecord } from './pod';
import { removeScratch } from './volumes';

const defaultGraceSeconds = 30;
/** For what nobody waits for any more. */
const orphanGraceSeconds = 2;

export class Pods {
  private readonly known = new Map<string, Pod>();
  private readonly addresses: PodAddresses;

  constructor(private readonly cluster: Cluster) {
    this.addresses = new PodAddresses(cluster.site);
  }

  find(namespace: string, name: string): Pod | undefined {
    return [...this.known.values()].find((pod) => pod.namespace === namespace && pod.name === name);
  }

  /** Takes over what an earlier node agent left, ends what no pod claims, then follows the API. */
  async begin(): Promise<void> {
    const { items } = await patiently('list of pods', () => this.cluster.core.listPodForAllNamespaces());
    const mine = items.filter((pod) => pod.spec?.nodeName === this.cluster.node);
    const claimed = new Set(mine.map((pod) => pod.metadata?.uid ?? ''));
    const names = mine.map((pod) => `pod/${this.cluster.site}/${pod.metadata?.namespace}/${pod.metadata?.name}/`);
    const folder = podsFolder(this.cluster);
    const left = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    // Addresses of all found pods first: none may go to a new pod.
    for (const uid of left) {
      const address = readRecord(path.join(folder, uid))?.address;
      if (address && claimed.has(uid)) this.addresses.keep(address);
    }
    await stopOthers(
      this.cluster.site,
      (process) => names.some((name) => process.startsWith(name)),
      orphanGraceSeconds,
    );
    for (const uid of left) if (!claimed.has(uid)) this.removeFolders(uid);
    await follow<V1Pod>(
      this.cluster,
      '/api/v1/pods',
      () => this.cluster.core.listPodForAllNamespaces(),
      (pod, gone) => (gone ? this.gone(pod) : this.seen(pod)),
    );
  }

  /** Ends every process of the node's pods; the API keeps the pods. */
  async end(): Promise<void> {
    await Promise.all([...this.known.values()].map((pod) => pod.end(orphanGraceSeconds)));
    await stopOthers(this.cluster.site, () => false, orphanGraceSeconds);
  }

  private async seen(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? '';
    const known = this.known.get(uid);
    if (!known && !pod.spec?.nodeName) {
      await this.schedule(pod);
      return;
    }
    if (pod.spec?.nodeName !== this.cluster.node) return;
    const deleted = pod.metadata?.deletionTimestamp !== undefined;
    const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (!known && finished && !deleted) return;
    known?.update(pod);
    const mine = known ?? this.add(pod);
    if (deleted) await mine.stop(pod.metadata?.deletionGracePeriodSeconds ?? defaultGraceSeconds);
  }

  private add(pod: V1Pod): Pod {
    const uid = pod.metadata?.uid ?? '';
    const record = readRecord(path.join(podsFolder(this.cluster), uid));
    const mine = new Pod(this.cluster, pod, record?.address ?? this.addresses.take());
    this.known.set(uid, mine);
    mine.start(record);
    return mine;
  }

  private async gone(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? '';
    const mine = this.known.get(uid);
    if (mine) {
      // Deleted by force, perhaps: then its processes are still there.
      await mine.end(0);
      this.known.delete(uid);
      this.addresses.giveBack(mine.address);
    }
    if (uid) this.removeFolders(uid);
  }

  private removeFolders(uid: string): void {
    fs.rmSync(path.join(podsFolder(this.cluster), uid), { recursive: true, force: true });
    removeScratch(uid);
  }

  private async schedule(pod: V1Pod): Promise<void> {
    if (pod.metadata?.deletionTimestamp || pod.spec?.schedulingGates?.length) return;
    const [namespace, name] = [pod.metadata?.namespace ?? '', pod.metadata?.name ?? ''];
    const target = { apiVersion: 'v1', kind: 'Node', name: this.cluster.node };
    const body = { metadata: { name, ...(pod.metadata?.uid ? { uid: pod.metadata.uid } : {}) }, target };
    try {
      // The answer is a Status, which the client can't read as the Binding that the API's description promises.
      await this.cluster.core.createNamespacedPodBinding({ namespace, name, body });
    } catch (cause) {
      if (!isGone(cause)) log(`${namespace}/${name} can't be bound to ${this.cluster.node}: ${String(cause)}`);
    }
  }
}
