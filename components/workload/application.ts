import { Deployment } from '@pulumi/kubernetes/apps/v1/deployment';
import { Service } from '@pulumi/kubernetes/core/v1/service';
import { Ingress } from '@pulumi/kubernetes/networking/v1/ingress';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { kept, noWait } from './kept';
import { podSpec, type PodArgs } from './pod';

export interface ApplicationArgs extends PodArgs {
  /** Instances of it. */
  readonly replicas: number;
  /** Ingress class that leads to it. @default - the platform's own */
  readonly ingressClass?: string;
}

/** One application of the platform: its instances, and the way to them. Without instances the way is there all the same. */
export class Application extends pulumi.ComponentResource {
  readonly url: string;

  constructor(name: string, args: ApplicationArgs, opts?: Options) {
    super('standby:workload:Application', name, {}, opts);
    deployment(this, name, args);
    service(this, name, args);
    ingress(this, name, args);

    this.url = `https://${args.host}`;
    this.registerOutputs({ url: this.url });
  }
}

const labels = ({ app }: ApplicationArgs) => ({ 'app.kubernetes.io/name': app });

function deployment(parent: pulumi.Resource, name: string, args: ApplicationArgs) {
  return new Deployment(
    `${name}-deployment`,
    {
      metadata: { name: args.app, namespace: args.platform, labels: labels(args) },
      spec: {
        replicas: args.replicas,
        revisionHistoryLimit: 3,
        selector: { matchLabels: labels(args) },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: { metadata: { labels: labels(args) }, spec: podSpec(args) },
      },
    },
    { ...kept(parent), customTimeouts: { create: '5m', update: '5m' } },
  );
}

function service(parent: pulumi.Resource, name: string, args: ApplicationArgs) {
  return new Service(
    `${name}-service`,
    {
      metadata: { name: args.app, namespace: args.platform, annotations: noWait },
      spec: { type: 'ClusterIP', selector: labels(args), ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    kept(parent),
  );
}

function ingress(parent: pulumi.Resource, name: string, args: ApplicationArgs) {
  return new Ingress(
    `${name}-ingress`,
    {
      metadata: { name: args.app, namespace: args.platform, annotations: noWait },
      spec: {
        ingressClassName: args.ingressClass ?? args.platform,
        tls: [{ hosts: [args.host] }],
        rules: [
          {
            host: args.host,
            http: {
              paths: [
                { path: '/', pathType: 'Prefix', backend: { service: { name: args.app, port: { number: 80 } } } },
              ],
            },
          },
        ],
      },
    },
    kept(parent),
  );
}
