/** The one node of a cluster, as the API knows it. */
import type { V1NodeStatus } from '@kubernetes/client-node';
import * as os from 'node:os';
import { podCount } from './addresses';
import { isGone, log, mergePatch, messageOf, type Cluster } from './cluster';

const heartbeatMs = 10_000;
/** The kubelet's port, where the API server asks for logs. */
export const kubeletPort = 10250;

function statusOf(cluster: Cluster, since: Date): V1NodeStatus {
  const capacity = {
    cpu: String(os.cpus().length),
    memory: `${Math.floor(os.totalmem() / 1024)}Ki`,
    pods: String(podCount),
  };
  const condition = (type: string, status: string, reason: string) => ({
    type,
    status,
    reason,
    message: '',
    lastHeartbeatTime: new Date(),
    lastTransitionTime: since,
  });
  return {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address: cluster.address },
      { type: 'Hostname', address: cluster.node },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID'),
      condition('Ready', 'True', 'KubeletReady'),
    ],
    nodeInfo: {
      architecture: os.arch() === 'x64' ? 'amd64' : os.arch(),
      bootID: cluster.node,
      containerRuntimeVersion: 'process://1',
      kernelVersion: os.release(),
      kubeProxyVersion: '',
      kubeletVersion: 'v1.35.4',
      machineID: cluster.node,
      operatingSystem: 'linux',
      osImage: 'Standby sandbox',
      systemUUID: cluster.node,
    },
  };
}

/** Registers the node and keeps its heartbeat. A missed beat is told, and the next one tried. */
export async function registerNode(cluster: Cluster): Promise<void> {
  const name = cluster.node;
  const labels = {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'topology.kubernetes.io/region': cluster.site,
  };
  try {
    await cluster.core.createNode({ body: { metadata: { name, labels }, spec: {} } });
  } catch (cause) {
    if (!isGone(cause)) throw cause;
  }
  const since = new Date();
  const beat = () => cluster.core.patchNodeStatus({ name, body: { status: statusOf(cluster, since) } }, mergePatch);
  await beat();
  // The API server taints a new node; here nobody else would take the taint away.
  await cluster.core.patchNode({ name, body: { spec: { taints: null } } }, mergePatch);
  setInterval(() => void beat().catch((cause: unknown) => log(`heartbeat: ${messageOf(cause)}`)), heartbeatMs).unref();
}
