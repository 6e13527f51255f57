import { Deployment } from '@pulumi/kubernetes/apps/v1/deployment';
import { Secret } from '@pulumi/kubernetes/core/v1/secret';
import { Service } from '@pulumi/kubernetes/core/v1/service';
import { ServiceAccount } from '@pulumi/kubernetes/core/v1/serviceAccount';
import { Ingress } from '@pulumi/kubernetes/networking/v1/ingress';
import { Role } from '@pulumi/kubernetes/rbac/v1/role';
import { RoleBinding } from '@pulumi/kubernetes/rbac/v1/roleBinding';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { agentName, agentPod } from './agentPod';
import { kept, noWait } from './kept';

export interface AgentArgs {
  /** Namespace, and ingress class, of the platform. */
  readonly platform: string;
  readonly company: string;
  readonly site: string;
  readonly otherSite: string;
  /** The site has the business: the agent takes the lease for it. With false it gives it up, and answers for its site. */
  readonly active: boolean;
  /** Fencing token of the switch. */
  readonly epoch: number;
  /** With `off` nobody holds a lease: the agent admits and fences by `active` and `epoch` alone. */
  readonly writerLease: 'on' | 'off';
  /** Image of the agent, pinned by digest. */
  readonly image: string;
  /** Blob container outside both sites; `endpoint` is the account's, with a slash at its end. */
  readonly store: { readonly endpoint: pulumi.Input<string>; readonly container: pulumi.Input<string> };
  /** The site's managed identity, which trusts tokens of the service account `standby-agent` in the namespace. */
  readonly clientId: pulumi.Input<string>;
  readonly tenantId: pulumi.Input<string>;
  /** Address of the login service. @default - Azure's public cloud */
  readonly authorityHost?: string;
  readonly database: GuardedServer;
  /** Proves to the other site's agents and to the engine who speaks (config/credentials.ts). */
  readonly agentKey: pulumi.Input<string>;
  /** Name that the site's ingress answers to for the agent, and the ingress' address. */
  readonly host: string;
  readonly address: pulumi.Input<string>;
  /** The same of the other site. */
  readonly other: { readonly host: string; readonly address: pulumi.Input<string> };
  /** Deployments that write to the database, and the instances of each while the site may write. */
  readonly deployments: readonly string[];
  readonly replicas: number;
}

/** The server on which a site's right to write is given and taken, and its administrator. */
export interface GuardedServer {
  readonly host: pulumi.Input<string>;
  readonly port: number;
  /** Databases of the applications and of the identity provider. */
  readonly database: string;
  readonly identityDatabase: string;
  readonly user: string;
  readonly password: pulumi.Input<string>;
}

/** Holds the right to write for its site, and takes it from the site when nobody may rely on it any more. */
export class Agent extends pulumi.ComponentResource {
  /** The host that it answers to. */
  readonly host: string;
  /** Ready at the active site: it holds the lease, and the epoch has been admitted. */
  readonly deployment: Deployment;

  constructor(name: string, args: AgentArgs, opts?: Options) {
    super('standby:workload:Agent', name, {}, opts);
    const account = serviceAccount(this, name, args);
    const rights = role(this, name, args, account);
    const secrets = secret(this, name, args);
    service(this, name, args);
    ingress(this, name, args);

    this.deployment = deployment(this, name, args, [rights, secrets]);
    this.host = args.host;
    this.registerOutputs({ host: this.host });
  }
}

const labels = { 'app.kubernetes.io/name': agentName };
const metadata = (args: AgentArgs) => ({ name: agentName, namespace: args.platform, labels });

function serviceAccount(parent: pulumi.Resource, name: string, args: AgentArgs) {
  return new ServiceAccount(
    `${name}-account`,
    { metadata: metadata(args), automountServiceAccountToken: false },
    kept(parent),
  );
}

/** What stops a site, and nothing beside it. The lease object is the memory that the agents of a site share. */
function role(parent: pulumi.Resource, name: string, args: AgentArgs, account: ServiceAccount) {
  const role = new Role(
    `${name}-role`,
    {
      metadata: metadata(args),
      rules: [
        { apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'list', 'patch'] },
        { apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['get', 'patch'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'delete'] },
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] },
      ],
    },
    kept(parent),
  );
  return new RoleBinding(
    `${name}-binding`,
    {
      metadata: metadata(args),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: agentName },
      subjects: [{ kind: 'ServiceAccount', name: agentName, namespace: args.platform }],
    },
    { ...kept(parent), dependsOn: [account, role] },
  );
}

function secret(parent: pulumi.Resource, name: string, args: AgentArgs) {
  return new Secret(
    `${name}-secret`,
    {
      metadata: metadata(args),
      type: 'Opaque',
      stringData: pulumi.secret({ 'database-password': args.database.password, 'agent-key': args.agentKey }),
    },
    kept(parent),
  );
}

function deployment(parent: pulumi.Resource, name: string, args: AgentArgs, dependsOn: pulumi.Resource[]) {
  return new Deployment(
    `${name}-deployment`,
    {
      metadata: metadata(args),
      spec: {
        replicas: 2,
        revisionHistoryLimit: 3,
        selector: { matchLabels: labels },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: { metadata: { labels }, spec: agentPod(args, labels) },
      },
    },
    // It is ready when it has looked at the store, and a new role may take the vendor ten minutes to heed.
    { ...kept(parent), dependsOn, customTimeouts: { create: '15m', update: '5m' } },
  );
}

/** An agent that is not ready is asked all the same: it is the one that has something to say. */
function service(parent: pulumi.Resource, name: string, args: AgentArgs) {
  return new Service(
    `${name}-service`,
    {
      metadata: { ...metadata(args), annotations: noWait },
      spec: {
        type: 'ClusterIP',
        selector: labels,
        publishNotReadyAddresses: true,
        ports: [{ name: 'http', port: 80, targetPort: 8080 }],
      },
    },
    kept(parent),
  );
}

function ingress(parent: pulumi.Resource, name: string, args: AgentArgs) {
  const backend = { service: { name: agentName, port: { number: 80 } } };
  return new Ingress(
    `${name}-ingress`,
    {
      metadata: { ...metadata(args), annotations: noWait },
      spec: {
        ingressClassName: args.platform,
        tls: [{ hosts: [args.host] }],
        rules: [{ host: args.host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
      },
    },
    kept(parent),
  );
}
