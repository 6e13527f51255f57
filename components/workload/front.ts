import { CustomResource } from '@pulumi/kubernetes/apiextensions/customResource';
import { Secret } from '@pulumi/kubernetes/core/v1/secret';
import { Service } from '@pulumi/kubernetes/core/v1/service';
import { Ingress } from '@pulumi/kubernetes/networking/v1/ingress';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { kept, noWait } from './kept';
import type { Platform } from './platform';
import { publicAuthorities } from './publicAuthorities';

export interface FrontArgs extends Pick<Platform, 'platform' | 'hosts' | 'identityFqdn'> {
  /** Name that the cluster finds the identity provider by. */
  readonly identityName: string;
  readonly ingressAddress: pulumi.Input<string>;
  /** Resource group of that address. */
  readonly ingressGroup: pulumi.Input<string>;
  /** Certificate, in a key vault, that the ingress shows. @default - the ingress controller's own */
  readonly certificate?: string;
}

/** A site's reverse proxy on its fixed address, and its way to the identity provider, which runs outside the cluster. */
export class Front extends pulumi.ComponentResource {
  readonly ingressClass: string;

  constructor(name: string, args: FrontArgs, opts?: Options) {
    super('standby:workload:Front', name, {}, opts);
    controller(this, name, args);
    identityFront(this, name, args);

    this.ingressClass = args.platform;
    this.registerOutputs({ ingressClass: this.ingressClass });
  }
}

function controller(parent: pulumi.Resource, name: string, args: FrontArgs) {
  const annotation = 'service.beta.kubernetes.io/azure-load-balancer';
  return new CustomResource(
    `${name}-controller`,
    {
      apiVersion: 'approuting.kubernetes.azure.com/v1alpha1',
      kind: 'NginxIngressController',
      metadata: { name: args.platform },
      spec: {
        ingressClassName: args.platform,
        controllerNamePrefix: args.platform,
        loadBalancerAnnotations: {
          [`${annotation}-ipv4`]: args.ingressAddress,
          [`${annotation}-resource-group`]: args.ingressGroup,
        },
        ...(args.certificate ? { defaultSSLCertificate: { keyVaultURI: args.certificate } } : {}),
      },
    },
    kept(parent),
  );
}

export type IdentityFrontArgs = Pick<FrontArgs, 'platform' | 'hosts' | 'identityFqdn'> & {
  /** Name that the cluster finds the identity provider by. */
  readonly identityName: pulumi.Input<string>;
  /** Ingress class that leads to it. @default - the platform's own */
  readonly ingressClass?: string;
  /** Namespace that it lives in, when nothing else waits for that. */
  readonly after?: pulumi.Resource;
};

/** The way from a cluster's ingress to the identity provider, which runs outside it. */
export function identityFront(parent: pulumi.Resource, name: string, args: IdentityFrontArgs): void {
  identityService(parent, name, args);
  identityIngress(parent, name, args, identityAuthorities(parent, name, args));
}

/** An internal name, so that the identity provider moves by DNS and the cluster's objects stay as they are. */
function identityService(parent: pulumi.Resource, name: string, args: IdentityFrontArgs) {
  return new Service(
    `${name}-idp`,
    {
      metadata: { name: 'idp', namespace: args.platform, annotations: noWait },
      spec: { type: 'ExternalName', externalName: args.identityName, ports: [{ name: 'https', port: 443 }] },
    },
    kept(parent, args.after),
  );
}

/** Who may sign the identity provider's certificate. */
function identityAuthorities(parent: pulumi.Resource, name: string, args: IdentityFrontArgs) {
  return new Secret(
    `${name}-idp-authorities`,
    {
      metadata: { name: authoritiesName, namespace: args.platform },
      type: 'Opaque',
      stringData: { 'ca.crt': publicAuthorities() },
    },
    kept(parent, args.after),
  );
}

const authoritiesName = 'idp-authorities';

function identityIngress(parent: pulumi.Resource, name: string, args: IdentityFrontArgs, authorities: Secret) {
  const nginx = 'nginx.ingress.kubernetes.io';
  return new Ingress(
    `${name}-idp-ingress`,
    {
      metadata: {
        name: 'idp',
        namespace: args.platform,
        annotations: {
          ...noWait,
          [`${nginx}/backend-protocol`]: 'HTTPS',
          // Container apps are told apart by host name; the public one goes along as X-Forwarded-Host.
          [`${nginx}/upstream-vhost`]: args.identityFqdn,
          // In the handshake as well: one that names no host is reset. The controller ignores all of these without the secret.
          [`${nginx}/proxy-ssl-secret`]: `${args.platform}/${authoritiesName}`,
          [`${nginx}/proxy-ssl-server-name`]: 'on',
          [`${nginx}/proxy-ssl-name`]: args.identityFqdn,
          [`${nginx}/proxy-ssl-verify`]: 'on',
          [`${nginx}/proxy-ssl-verify-depth`]: mostIntermediates,
          [`${nginx}/proxy-buffer-size`]: '16k',
        },
      },
      spec: {
        ingressClassName: args.ingressClass ?? args.platform,
        tls: [{ hosts: [args.hosts.idp] }],
        rules: [
          {
            host: args.hosts.idp,
            http: {
              paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'idp', port: { number: 443 } } } }],
            },
          },
        ],
      },
    },
    // A controller that finds no such secret answers 503.
    kept(parent, authorities),
  );
}

/** Authorities between a certificate and the root: Azure has one, and two where a new root is vouched for by an old one. */
const mostIntermediates = '3';
