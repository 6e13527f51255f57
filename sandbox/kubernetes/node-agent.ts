/**
 * The node of a site's cluster: schedules pods and runs them as processes of this machine, answers for their logs, and is
 * the cluster's ingress. STANDBY_SITE says which site.
 */
import { sites, type Site } from '../world';
import { log, messageOf, openCluster, patiently } from './cluster';
import { serveIngress } from './ingress';
import { serveKubelet } from './kubelet';
import { registerNode } from './node';
import { Pods } from './pods';

async function main(): Promise<void> {
  const site = process.env['STANDBY_SITE'] as Site;
  if (!sites.includes(site)) throw new Error(`STANDBY_SITE is "${site}"; allowed: ${sites.join(', ')}`);
  const began = Date.now();
  const cluster = await openCluster(site);
  const pods = new Pods(cluster);
  const end = () => {
    log('ending, and all pods with it');
    void pods.end().finally(() => process.exit(0));
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  await serveKubelet(cluster, pods);
  await patiently('registration of the node', () => registerNode(cluster));
  await pods.begin();
  await serveIngress(cluster);
  console.log(JSON.stringify({ ready: true, node: cluster.node, milliseconds: Date.now() - began }));
}

main().catch((cause: unknown) => {
  log(`node agent: ${messageOf(cause)}`);
  process.exit(1);
});
