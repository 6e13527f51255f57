/** What runs in an application's pod. */
import * as pulumi from '@pulumi/pulumi';
import type { App } from '../../config/fields';
import { bindingName, clientKey, databasePasswordKey, sessionSecretKey } from './binding';
import type { Platform } from './platform';

export interface PodArgs extends Platform {
  readonly app: App;
  /** Its public host. */
  readonly host: string;
}

const value = (name: string, text: string) => ({ name, value: text });
const secret = (name: string, key: string) => ({
  name,
  valueFrom: { secretKeyRef: { name: bindingName, key } },
});

/** Everything an instance needs to know. The epoch is among it: a change of role is a new set of pods. */
function environment({ app, host, hosts, database, realm, ...args }: PodArgs) {
  return [
    value('APP', app),
    value('PORT', '8080'),
    value('SITE', args.site),
    value('RELEASE', args.release),
    value('EPOCH', String(args.epoch)),
    value('PUBLIC_URL', `https://${host}`),
    value('PGHOST', database.host),
    value('PGPORT', String(database.port)),
    value('PGDATABASE', database.database),
    value('PGUSER', database.user),
    secret('PGPASSWORD', databasePasswordKey),
    value('PGSSLMODE', 'verify-full'),
    value('OIDC_ISSUER', `https://${hosts.idp}/realms/${realm}`),
    // Its own calls go straight to the provider in use, so that it is ready before the public name leads there.
    { name: 'OIDC_BACKCHANNEL', value: pulumi.interpolate`https://${args.identityFqdn}` },
    value('OIDC_CLIENT_ID', app),
    secret('OIDC_CLIENT_SECRET', clientKey(app)),
    secret('SESSION_SECRET', sessionSecretKey),
    { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
  ];
}

const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
  httpGet: { path, port: 8080 },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});

/** @returns the pod's specification: one container, no rights, known limits. */
export const podSpec = (args: PodArgs) => ({
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 10,
  securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    {
      name: args.app,
      image: args.image,
      ports: [{ name: 'http', containerPort: 8080 }],
      env: environment(args),
      // Ready instances end a change of role: each second until the next probe is one in which nobody is served.
      readinessProbe: probe('/readyz', 1, 6),
      livenessProbe: probe('/healthz', 10, 3),
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '256Mi' } },
      securityContext: {
        allowPrivilegeEscalation: false,
        privileged: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
    },
  ],
});
