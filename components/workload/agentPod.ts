/** What runs in an agent's pod. */
import type * as pulumi from '@pulumi/pulumi';
import type { AgentArgs } from './agent';

/** Of everything on a cluster that is the agent's. */
export const agentName = 'standby-agent';

const tokens = '/var/run/secrets/standby';
/** Azure accepts tokens of a cluster that were made for it. */
const azureAudience = 'api://AzureADTokenExchange';
const tokenSeconds = 86_400;

const value = (name: string, text: pulumi.Input<string>) => ({ name, value: text });
const secret = (name: string, key: string) => ({ name, valueFrom: { secretKeyRef: { name: agentName, key } } });
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

function environment(args: AgentArgs) {
  const { database, store, other } = args;
  return [
    value('PORT', '8080'),
    field('POD_NAME', 'metadata.name'),
    field('NAMESPACE', 'metadata.namespace'),
    value('COMPANY', args.company),
    value('SITE', args.site),
    value('OTHER_SITE', args.otherSite),
    value('ACTIVE', String(args.active)),
    value('EPOCH', String(args.epoch)),
    value('WRITER_LEASE', args.writerLease),
    value('STORE_ENDPOINT', store.endpoint),
    value('STORE_CONTAINER', store.container),
    value('PGHOST', database.host),
    value('PGPORT', String(database.port)),
    value('PGDATABASE', database.database),
    value('IDENTITY_DATABASE', database.identityDatabase),
    value('PGUSER', database.user),
    secret('PGPASSWORD', 'database-password'),
    secret('AGENT_KEY', 'agent-key'),
    value('HOST', args.host),
    value('ADDRESS', args.address),
    value('OTHER_HOST', other.host),
    value('OTHER_ADDRESS', other.address),
    value('DEPLOYMENTS', args.deployments.join(',')),
    value('REPLICAS', String(args.replicas)),
    value('AZURE_CLIENT_ID', args.clientId),
    value('AZURE_TENANT_ID', args.tenantId),
    value('AZURE_FEDERATED_TOKEN_FILE', `${tokens}/azure`),
    ...(args.authorityHost ? [value('AZURE_AUTHORITY_HOST', args.authorityHost)] : []),
    value('KUBERNETES_TOKEN_FILE', `${tokens}/kubernetes`),
    value('KUBERNETES_CA_FILE', `${tokens}/ca.crt`),
  ];
}

const volumes = [
  {
    name: 'tokens',
    projected: {
      sources: [
        { serviceAccountToken: { path: 'azure', audience: azureAudience, expirationSeconds: tokenSeconds } },
        { serviceAccountToken: { path: 'kubernetes', expirationSeconds: tokenSeconds } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      ],
    },
  },
];

/** Two agents on one node would be lost together. */
const apart = (labels: Readonly<Record<string, string>>) => ({
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } },
      },
    ],
  },
});

const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
  httpGet: { path, port: 8080 },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});

/** @returns the pod's specification: one container with the rights of its service account, known limits. */
export const agentPod = (args: AgentArgs, labels: Readonly<Record<string, string>>) => ({
  serviceAccountName: agentName,
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 5,
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 10001,
    fsGroup: 10001,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  affinity: apart(labels),
  volumes,
  containers: [
    {
      name: agentName,
      image: args.image,
      ports: [{ name: 'http', containerPort: 8080 }],
      env: environment(args),
      volumeMounts: [{ name: 'tokens', mountPath: tokens, readOnly: true }],
      readinessProbe: probe('/readyz', 1, 2),
      livenessProbe: probe('/healthz', 5, 3),
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '500m', memory: '192Mi' } },
      securityContext: {
        allowPrivilegeEscalation: false,
        privileged: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
    },
  ],
});
