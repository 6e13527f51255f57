import { Namespace } from '@pulumi/kubernetes/core/v1/namespace';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { Application } from './application';
import { bindingSecret } from './binding';
import { identityFront } from './front';
import { isolation } from './isolation';
import type { PlatformSiteArgs } from './platformSite';

export type DrillPlatformArgs = Pick<
  PlatformSiteArgs,
  'platform' | 'site' | 'apps' | 'hosts' | 'image' | 'release' | 'epoch' | 'database' | 'realm' | 'clients' | 'session'
> & {
  readonly identityFqdn: string;
  /** Ingress class of the site's own platform, which leads here by other host names. */
  readonly ingressClass: string;
};

const postgresqlPort = 5432;

/**
 * The platform beside the site's own, in a namespace of its own: one instance of each application, bound to a copy. All of it goes
 * with the namespace. Its pods reach names, HTTPS and the database's port: no mail leaves.
 */
export class DrillPlatform extends pulumi.ComponentResource {
  readonly namespace: string;

  constructor(name: string, args: DrillPlatformArgs, opts?: Options) {
    super('standby:workload:DrillPlatform', name, {}, opts);
    const namespace = new Namespace(
      `${name}-namespace`,
      { metadata: { name: args.platform, labels: { 'standby-purpose': 'drill' } } },
      { parent: this },
    );
    const binding = bindingSecret(name, args, { parent: this, dependsOn: namespace });
    isolation(this, name, args.platform, namespace, [postgresqlPort]);
    identityFront(this, name, { ...args, identityName: args.identityFqdn, after: namespace });
    for (const app of args.apps) {
      new Application(
        `${name}-${app}`,
        { ...args, app, host: args.hosts[app], replicas: 1 },
        { parent: this, dependsOn: [namespace, binding] },
      );
    }

    this.namespace = args.platform;
    this.registerOutputs({ namespace: this.namespace });
  }
}
