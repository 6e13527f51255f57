/** What runs on a site's cluster, as the cluster says. */
import { apps, type App, type Site } from '../../config/fields';
import type { AppReading, ClusterReading } from '../../failover/model';
import type { AdapterContext } from '../context';
import { clusterOf, type Deployment } from './cluster';

export async function readCluster(context: AdapterContext, site: Site, signal: AbortSignal): Promise<ClusterReading> {
  const deployments = await clusterOf(context, site).deployments(context.configuration().company, signal);
  return { apps: deployments.flatMap(appOf) };
}

function appOf({ metadata, spec, status }: Deployment): AppReading[] {
  const app = apps.find((one: App) => one === metadata.name);
  const container = spec.template.spec.containers.find(({ name }) => name === app);
  const variable = (wanted: string) => container?.env?.find(({ name }) => name === wanted)?.value ?? '';
  if (!app) return [];
  return [
    {
      app,
      wanted: spec.replicas ?? 1,
      ready: status?.readyReplicas ?? 0,
      release: variable('RELEASE'),
      epoch: Number(variable('EPOCH')),
    },
  ];
}
