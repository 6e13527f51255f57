/** The platform's applications on a site's cluster: how many run, and an end to them. The site's agent is none of them. */
import { apps, type Site } from '../../config/fields';
import { StandbyError } from '../../failover/errors';
import type { Call, Workloads } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { until } from '../patience';
import { clusterOf, type Cluster } from './cluster';

/** Longer than an application may take to finish what it began. */
const stopMs = 60_000;
const everyMs = 100;

/** The label that every application's pods have. */
const applicationPods = `app.kubernetes.io/name in (${apps.join(',')})`;

const isApplication = (name: string) => (apps as readonly string[]).includes(name);

export function createWorkloads(context: AdapterContext): Workloads {
  const namespace = () => context.configuration().company;
  return {
    async stop(site, { signal, progress }: Call) {
      const cluster = clusterOf(context, site);
      const deployments = await cluster.deployments(namespace(), signal);
      const wanted = deployments.filter(({ metadata, spec }) => isApplication(metadata.name) && spec.replicas !== 0);
      await Promise.all(wanted.map(({ metadata }) => cluster.scale(namespace(), metadata.name, 0, signal)));
      await untilGone(cluster, namespace(), site, { signal, progress });
      return { stopped: wanted.reduce((sum, { spec }) => sum + (spec.replicas ?? 1), 0) };
    },
    async start(site, instances, { signal }: Call) {
      const cluster = clusterOf(context, site);
      const deployments = await cluster.deployments(namespace(), signal);
      const wanted = deployments.filter(
        ({ metadata, spec }) => isApplication(metadata.name) && (spec.replicas ?? 1) < instances,
      );
      await Promise.all(wanted.map(({ metadata }) => cluster.scale(namespace(), metadata.name, instances, signal)));
    },
    async running(site, { signal }: Call) {
      return (await instances(clusterOf(context, site), namespace(), signal)).length;
    },
  };
}

/** What has ended holds no connection any more. */
async function instances(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<readonly string[]> {
  const pods = await cluster.pods(namespace, applicationPods, signal);
  return pods
    .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
    .map(({ metadata }) => metadata.name);
}

async function untilGone(cluster: Cluster, namespace: string, site: Site, { signal, progress }: Call): Promise<void> {
  let left: readonly string[] = [];
  await until(
    { signal, everyMs, limitMs: stopMs },
    async () => {
      const now = await instances(cluster, namespace, signal);
      if (now.length !== left.length && now.length > 0) progress(`${now.length} instances at ${site} are ending`);
      left = now;
      return left.length === 0 ? true : undefined;
    },
    () =>
      new StandbyError(
        'InstancesRemain',
        `${left.length} instances at ${site} have not ended within ${stopMs / 1000} s (${left.slice(0, 3).join(', ')}): look at their nodes`,
        { retryable: true },
      ),
  );
}
