/** The agent of a site: holds the site's right to write, and stops the site when it can't rely on it any more. */
import { containerClient } from '../adapters/store/client';
import { StoredLease } from '../adapters/store/lease';
import { times } from '../failover/leaseTimes';
import { Agent } from './agent';
import { Boards } from './boards';
import { Kubernetes } from './kubernetes';
import { log, messageOf } from './log';
import { serve } from './server';
import { readSettings } from './settings';
import { SiteControl } from './site';
import { Workloads } from './workloads';

function main(): void {
  const settings = readSettings(process.env);
  const { company, namespace, deployments, key, name, port } = settings;
  const kubernetes = new Kubernetes(settings.kubernetes);
  const workloads = new Workloads(kubernetes, namespace, deployments);
  const container = containerClient(settings.store, process.env, { tryMs: times.answerMs, tries: 1 });
  const agent = new Agent(settings, {
    store: new StoredLease(container, company),
    boards: new Boards(kubernetes, namespace),
    site: new SiteControl(settings.server, workloads, log),
    log,
  });
  const server = serve(agent, { key, name, log });
  server.listen(port, () => agent.start());
  // An agent that goes leaves the site as it is: the other one goes on, and its successor begins by looking.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log('agent ends');
      agent.stop();
      server.close(() => process.exit(0));
      server.closeAllConnections();
    });
  }
}

try {
  main();
} catch (cause) {
  log('agent failed', { why: messageOf(cause) });
  process.exitCode = 1;
}
