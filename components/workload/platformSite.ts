import { Namespace } from '@pulumi/kubernetes/core/v1/namespace';
import * as pulumi from '@pulumi/pulumi';
import type { App } from '../../config/fields';
import { untouched, type Options } from '../options';
import { Agent, type AgentArgs } from './agent';
import { Application } from './application';
import { bindingSecret } from './binding';
import { Front, type FrontArgs } from './front';
import { isolation } from './isolation';
import { kept } from './kept';
import type { Platform } from './platform';

export interface PlatformSiteArgs extends Platform, FrontArgs {
  /** With false no application runs, and everything else is ready. */
  readonly running: boolean;
  readonly apps: readonly App[];
  /** Instances of each application while it runs. */
  readonly replicas: number;
  /** Secret of each application's client at the identity provider. */
  readonly clients: Readonly<Record<App, pulumi.Input<string>>>;
  /** Signs the sessions; the same at both sites, so that a session survives a failover. */
  readonly session: pulumi.Input<string>;
  /** The site's agent. Applications that run wait until it is ready: at the active site, until it has the right to write. @default - none */
  readonly agent?: AgentArgs;
  /** The agent stays as it is. @default - false */
  readonly agentFrozen?: boolean;
  /** What else the applications wait for; it may be made later than this. @default - [] */
  readonly applicationsAfter?: pulumi.Resource[] | Promise<pulumi.Resource[]>;
}

/** The platform on one site's cluster: all of it on both sites, running on the active one. */
export class PlatformSite extends pulumi.ComponentResource {
  readonly url: string;
  /** The site's agent; when it is ready, the site has the right to write, or has given it up. */
  readonly agent: Agent | undefined;

  constructor(name: string, args: PlatformSiteArgs, opts?: Options) {
    super('standby:workload:PlatformSite', name, {}, opts);
    const namespace = new Namespace(`${name}-namespace`, { metadata: { name: args.platform } }, kept(this));
    const binding = bindingSecret(name, args, kept(this, namespace));
    isolation(this, name, args.platform, namespace);
    new Front(`${name}-front`, args, { parent: this, dependsOn: namespace });
    this.agent = args.agent && siteAgent(this, name, args.agent, namespace, args.agentFrozen);
    // What stands still need not wait for anybody's leave.
    const first = [namespace, binding, ...(this.agent && args.running ? [this.agent] : [])];
    const dependsOn = Promise.resolve(args.applicationsAfter ?? []).then((more) => [...first, ...more]);
    for (const app of args.apps) {
      new Application(
        `${name}-${app}`,
        { ...args, app, host: args.hosts[app], replicas: args.running ? args.replicas : 0 },
        { parent: this, dependsOn },
      );
    }

    this.url = `https://${args.hosts.admin}`;
    this.registerOutputs({ url: this.url });
  }
}

/** Frozen, it is in the program as the state has it: the component itself need not know. */
function siteAgent(
  parent: pulumi.Resource,
  name: string,
  args: AgentArgs,
  namespace: Namespace,
  frozen: boolean | undefined,
): Agent {
  const freeze: pulumi.ResourceTransformation = ({ props, opts }) => ({ props, opts: { ...opts, ...untouched(true) } });
  return new Agent(`${name}-agent`, args, {
    parent,
    dependsOn: namespace,
    ...(frozen ? { transformations: [freeze] } : {}),
  });
}
