/**
 * The ingress of a cluster, as AKS' application routing makes it: each NginxIngressController gets an IngressClass and
 * listens on the public address that its annotation names, for all Ingress objects of that class.
 */
import type {
  KubernetesListObject,
  KubernetesObject,
  V1EndpointSlice,
  V1Ingress,
  V1Secret,
  V1Service,
} from '@kubernetes/client-node';
import { standpointIn } from '../network/standpoints';
import { routeTo } from '../network/route';
import { plan } from '../world';
import { follow, isGone, keyOf, log, mergePatch, messageOf, patiently, type Cluster } from './cluster';
import { IngressListener } from './ingress-listener';
import { addressAnnotation, LoadBalancers } from './load-balancer';
import { Routes } from './ingress-routes';

const group = 'approuting.kubernetes.azure.com';
const version = 'v1alpha1';
const plural = 'nginxingresscontrollers';
const retryMs = 1_000;

interface NginxIngressController extends KubernetesObject {
  readonly spec: {
    readonly ingressClassName: string;
    readonly loadBalancerAnnotations?: Readonly<Record<string, string>>;
  };
}

interface Controller {
  readonly resource: NginxIngressController;
  listener?: IngressListener;
  retry?: NodeJS.Timeout;
}

class Ingresses {
  readonly routes = new Routes();
  private readonly controllers = new Map<string, Controller>();

  constructor(private readonly cluster: Cluster) {}

  async controller(resource: NginxIngressController, gone: boolean): Promise<void> {
    const name = resource.metadata?.name ?? '';
    const known = this.controllers.get(name);
    const address = addressOf(resource);
    if (!gone && known?.listener && known.listener.address === address) return;
    clearTimeout(known?.retry);
    this.controllers.delete(name);
    await known?.listener?.close();
    if (gone) return;
    const controller: Controller = { resource };
    this.controllers.set(name, controller);
    await this.ensureClass(resource);
    await this.listen(controller);
  }

  /** An Ingress of a class that listens gets the address of its controller, as the load balancer's. */
  async announce(ingress: V1Ingress): Promise<void> {
    const address = this.addressOfClass(ingress.spec?.ingressClassName);
    const [known] = ingress.status?.loadBalancer?.ingress ?? [];
    if (!address || known?.ip === address) return;
    const [namespace, name] = [ingress.metadata?.namespace ?? '', ingress.metadata?.name ?? ''];
    const body = { status: { loadBalancer: { ingress: [{ ip: address }] } } };
    await this.cluster.networking.patchNamespacedIngressStatus({ namespace, name, body }, mergePatch);
  }

  private addressOfClass(ingressClass: string | undefined): string | undefined {
    const all = [...this.controllers.values()];
    return all.find((one) => one.resource.spec.ingressClassName === ingressClass)?.listener?.address;
  }

  private async ensureClass(resource: NginxIngressController): Promise<void> {
    const { name = '', uid = '' } = resource.metadata ?? {};
    const owner = { apiVersion: `${group}/${version}`, kind: 'NginxIngressController', name, uid, controller: true };
    const metadata = { name: resource.spec.ingressClassName, ownerReferences: [owner] };
    try {
      await this.cluster.networking.createIngressClass({
        body: { metadata, spec: { controller: `${group}/${name}` } },
      });
    } catch (cause) {
      if (!isGone(cause)) throw cause;
    }
  }

  private async listen(controller: Controller): Promise<void> {
    const { resource } = controller;
    const address = addressOf(resource);
    try {
      controller.listener = await this.open(address, resource.spec.ingressClassName);
      log(`ingress ${resource.metadata?.name}: listening on ${address}`);
      await this.report(resource, 'True', 'ControllerAvailable', `listening on ${address}`);
      await Promise.all([...this.routes.ingresses.values()].map((ingress) => this.announce(ingress)));
    } catch (cause) {
      log(`ingress ${resource.metadata?.name}: ${messageOf(cause)}`);
      await this.report(resource, 'False', 'ControllerUnavailable', messageOf(cause)).catch(() => undefined);
      controller.retry = setTimeout(() => {
        if (!controller.listener) void this.listen(controller);
      }, retryMs);
    }
  }

  /** @throws Error when the address is none of the site's public ones, or can't be bound. */
  private async open(address: string | undefined, ingressClass: string): Promise<IngressListener> {
    const { site } = this.cluster;
    if (!address)
      throw new Error(
        `annotation ${addressAnnotation} is missing; it names the public IP address of the load balancer`,
      );
    const from = standpointIn(site, address);
    if (routeTo(from, address, 443)?.localAddress !== address || !address.startsWith(from.site ?? '-')) {
      throw new Error(
        `${addressAnnotation} is "${address}"; allowed is a public IP address of ${site} (${plan[site].clusterRange})`,
      );
    }
    const listener = new IngressListener(address, ingressClass, this.routes, from);
    await listener.open();
    return listener;
  }

  private async report(
    resource: NginxIngressController,
    status: 'True' | 'False',
    reason: string,
    message: string,
  ): Promise<void> {
    const { name = '', generation = 1 } = resource.metadata ?? {};
    const lastTransitionTime = new Date().toISOString();
    const condition = (type: string) => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime,
      observedGeneration: generation,
    });
    const ready = status === 'True' ? 1 : 0;
    const body = {
      status: {
        ingressClass: resource.spec.ingressClassName,
        controllerReplicas: 1,
        controllerReadyReplicas: ready,
        controllerAvailableReplicas: ready,
        controllerUnavailableReplicas: 1 - ready,
        conditions: [condition('IngressClassReady'), condition('ControllerAvailable'), condition('Available')],
      },
    };
    await this.cluster.custom.patchClusterCustomObjectStatus({ group, version, plural, name, body }, mergePatch);
  }
}

const addressOf = (resource: NginxIngressController) => resource.spec.loadBalancerAnnotations?.[addressAnnotation];

/** Follows the cluster's ingress objects and serves them. */
export async function serveIngress(cluster: Cluster): Promise<void> {
  const ingresses = new Ingresses(cluster);
  const { services, slices, secrets, ingresses: rules } = ingresses.routes;
  const loadBalancers = new LoadBalancers(cluster, ingresses.routes);
  const keep = <T extends KubernetesObject>(map: Map<string, T>, object: T, gone: boolean) => {
    if (gone) map.delete(keyOf(object));
    else map.set(keyOf(object), object);
  };
  await follow<V1EndpointSlice>(
    cluster,
    '/apis/discovery.k8s.io/v1/endpointslices',
    () => cluster.discovery.listEndpointSliceForAllNamespaces(),
    (slice, gone) => keep(slices, slice, gone),
  );
  await follow<V1Secret>(
    cluster,
    '/api/v1/secrets',
    () => cluster.core.listSecretForAllNamespaces(),
    (secret, gone) => keep(secrets, secret, gone),
  );
  await follow<V1Service>(
    cluster,
    '/api/v1/services',
    () => cluster.core.listServiceForAllNamespaces(),
    async (service, gone) => {
      keep(services, service, gone);
      await loadBalancers.see(service, gone);
    },
  );
  await follow<V1Ingress>(
    cluster,
    '/apis/networking.k8s.io/v1/ingresses',
    () => cluster.networking.listIngressForAllNamespaces(),
    async (ingress, gone) => {
      keep(rules, ingress, gone);
      if (!gone) await ingresses.announce(ingress);
    },
  );
  const controllers = () =>
    cluster.custom.listClusterCustomObject({ group, version, plural }) as Promise<
      KubernetesListObject<NginxIngressController>
    >;
  // Those that are there already must listen again before the node calls itself ready.
  const { items } = await patiently('list of ingress controllers', controllers);
  await Promise.all(items.map((resource) => ingresses.controller(resource, false)));
  await follow(cluster, `/apis/${group}/${version}/${plural}`, controllers, (resource, gone) =>
    ingresses.controller(resource, gone),
  );
}
