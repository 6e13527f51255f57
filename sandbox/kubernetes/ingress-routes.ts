/** Which backend serves a request: the rules of all Ingress objects of one class, and the endpoints behind them. */
import type {
  V1EndpointSlice,
  V1HTTPIngressPath,
  V1Ingress,
  V1IngressServiceBackend,
  V1Secret,
  V1Service,
} from '@kubernetes/client-node';
import { machineAddress } from '../network/route';
import { annotation, upstreamTls, type UpstreamTls } from './upstream-tls';

export interface Upstream {
  /** Addresses of ready endpoints, or the one name of an ExternalName service. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly external: boolean;
}

export interface Backend {
  readonly protocol: 'http' | 'https';
  /** Host header for the upstream. @default - the request's own */
  readonly vhost?: string;
  /** How it speaks TLS to the upstream. @default - it names no host and verifies nothing, as nginx has it */
  readonly tls?: UpstreamTls;
  readonly redirectToHttps: boolean;
  /** Several, one for each port group of the endpoints. Empty: nobody is ready. */
  readonly upstreams: readonly Upstream[];
}

interface Match {
  readonly ingress: V1Ingress;
  readonly path: V1HTTPIngressPath;
}

/** What the ingress knows of the cluster; kept up to date by watches. */
export class Routes {
  readonly ingresses = new Map<string, V1Ingress>();
  readonly services = new Map<string, V1Service>();
  readonly slices = new Map<string, V1EndpointSlice>();
  readonly secrets = new Map<string, V1Secret>();

  hostsOf(ingressClass: string): ReadonlySet<string> {
    const mine = [...this.ingresses.values()].filter((one) => one.spec?.ingressClassName === ingressClass);
    return new Set(mine.flatMap((one) => (one.spec?.rules ?? []).flatMap((rule) => rule.host ?? [])));
  }

  /** @returns undefined when no rule of the class matches. */
  find(ingressClass: string, host: string, path: string): Backend | undefined {
    const match = this.match(ingressClass, host, path);
    const service = match?.path.backend.service;
    if (!match || !service) return undefined;
    const notes = match.ingress.metadata?.annotations ?? {};
    const protocol = notes[annotation('backend-protocol')]?.toUpperCase() === 'HTTPS' ? 'https' : 'http';
    const vhost = notes[annotation('upstream-vhost')];
    const namespace = match.ingress.metadata?.namespace ?? '';
    const tls = upstreamTls(notes, namespace, this.secrets);
    const secured = (match.ingress.spec?.tls ?? []).some((one) => one.hosts?.some((name) => hostMatches(name, host)));
    return {
      protocol,
      ...(vhost ? { vhost } : {}),
      ...(tls && tls !== 'denied' ? { tls } : {}),
      redirectToHttps:
        notes[annotation('force-ssl-redirect')] === 'true' ||
        (secured && notes[annotation('ssl-redirect')] !== 'false'),
      upstreams: tls === 'denied' ? [] : this.upstreams(namespace, service),
    };
  }

  private match(ingressClass: string, host: string, path: string): Match | undefined {
    const matches = [...this.ingresses.values()]
      .filter((ingress) => ingress.spec?.ingressClassName === ingressClass)
      .flatMap((ingress) =>
        (ingress.spec?.rules ?? [])
          .filter((rule) => hostMatches(rule.host, host))
          .flatMap((rule) => (rule.http?.paths ?? []).map((one) => ({ ingress, path: one, host: rule.host ?? '' }))),
      )
      .filter((match) => pathMatches(match.path, path));
    // A host of its own before a wildcard, an exact path before a prefix, the longest prefix first.
    const rank = (match: (typeof matches)[number]) => [
      match.host.startsWith('*') || !match.host ? 0 : 1,
      match.path.pathType === 'Exact' ? 1 : 0,
      match.path.path?.length ?? 0,
    ];
    return matches.sort((a, b) => compare(rank(b), rank(a)))[0];
  }

  private upstreams(namespace: string, backend: V1IngressServiceBackend): readonly Upstream[] {
    const service = this.services.get(`${namespace}/${backend.name}`);
    if (!service) return [];
    const { number, name } = backend.port ?? {};
    const port = service.spec?.ports?.find((one) => (number ? one.port === number : one.name === name));
    if (service.spec?.type === 'ExternalName') {
      return [{ hosts: [service.spec.externalName ?? ''], port: number ?? port?.port ?? 80, external: true }];
    }
    return port ? this.endpoints(namespace, backend.name, port.name) : [];
  }

  /** Ready endpoints behind one port of a service. */
  endpoints(namespace: string, service: string, portName: string | undefined): readonly Upstream[] {
    return [...this.slices.values()]
      .filter((slice) => slice.metadata?.namespace === namespace)
      .filter((slice) => slice.metadata?.labels?.['kubernetes.io/service-name'] === service)
      .flatMap((slice) => {
        const target = slice.ports?.find((one) => (one.name ?? '') === (portName ?? ''))?.port;
        // A service without pods has a slice whose list is null, whatever the client's types say.
        const endpoints = (slice.endpoints as V1EndpointSlice['endpoints'] | null) ?? [];
        const ready = endpoints.filter((one) => one.conditions?.ready !== false);
        const hosts = ready.flatMap((one) => one.addresses.slice(0, 1).map(machineAddress));
        return target && hosts.length ? [{ hosts, port: target, external: false }] : [];
      });
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((one, index) => one !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

function hostMatches(rule: string | undefined, host: string): boolean {
  if (!rule || rule === host) return true;
  // A wildcard stands for one label.
  return rule.startsWith('*.') && host.slice(host.indexOf('.')) === rule.slice(1);
}

function pathMatches(rule: V1HTTPIngressPath, path: string): boolean {
  const wanted = rule.path ?? '/';
  if (rule.pathType === 'Exact') return path === wanted;
  const prefix = wanted.replace(/\/$/, '');
  return path === prefix || path.startsWith(prefix + '/');
}
