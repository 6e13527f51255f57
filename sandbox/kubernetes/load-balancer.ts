/** Services of type LoadBalancer: TCP on the public address that the annotation names, to ready endpoints in turn. */
import type { V1Service } from '@kubernetes/client-node';
import * as net from 'node:net';
import { routeTo } from '../network/route';
import { standpointIn } from '../network/standpoints';
import { keyOf, log, mergePatch, messageOf, type Cluster } from './cluster';
import type { Routes } from './ingress-routes';

/** How a Service or a controller asks for an address that exists already. Without it, none is given here. */
export const addressAnnotation = 'service.beta.kubernetes.io/azure-load-balancer-ipv4';

interface Balancer {
  readonly wanted: string;
  readonly servers: readonly net.Server[];
}

export class LoadBalancers {
  private readonly open = new Map<string, Balancer>();
  private turn = 0;

  constructor(
    private readonly cluster: Cluster,
    private readonly routes: Routes,
  ) {}

  async see(service: V1Service, gone: boolean): Promise<void> {
    const key = keyOf(service);
    const address = service.metadata?.annotations?.[addressAnnotation];
    const ports = (service.spec?.ports ?? []).filter((port) => (port.protocol ?? 'TCP') === 'TCP');
    const serves = !gone && service.spec?.type === 'LoadBalancer' && address !== undefined;
    const wanted = serves ? JSON.stringify([address, ports.map((port) => [port.port, port.name])]) : '';
    const known = this.open.get(key);
    if ((known?.wanted ?? '') === wanted) return;
    for (const server of known?.servers ?? []) server.close();
    this.open.delete(key);
    if (!serves) return;
    const servers = ports.map((port) => this.listen(service, address, port.port, port.name));
    this.open.set(key, { wanted, servers });
    const [namespace, name] = [service.metadata?.namespace ?? '', service.metadata?.name ?? ''];
    const body = { status: { loadBalancer: { ingress: [{ ip: address }] } } };
    await this.cluster.core.patchNamespacedServiceStatus({ namespace, name, body }, mergePatch);
  }

  private listen(service: V1Service, address: string, port: number, portName: string | undefined): net.Server {
    const from = standpointIn(this.cluster.site, address);
    const server = net.createServer((client) => {
      const { namespace = '', name = '' } = service.metadata ?? {};
      const targets = this.routes
        .endpoints(namespace, name, portName)
        .flatMap((upstream) => upstream.hosts.map((host) => ({ host, port: upstream.port })));
      const target = targets[this.turn++ % Math.max(1, targets.length)];
      if (!target) {
        client.resetAndDestroy();
        return;
      }
      const upstream = net.connect(target);
      client.pipe(upstream).pipe(client);
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
    });
    server.on('error', (cause) => log(`service ${keyOf(service)}: ${messageOf(cause)}`));
    server.listen(from.ports[port] ?? port, routeTo(from, address, port)?.address ?? address);
    return server;
  }
}
