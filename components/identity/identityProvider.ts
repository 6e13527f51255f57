import { ContainerApp } from '@pulumi/azure-native/app/containerApp';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';

export interface IdentityProviderArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  readonly appName: string;
  readonly environmentId: pulumi.Input<string>;
  /** What the host names of the environment's apps end with. */
  readonly environmentDomain: pulumi.Input<string>;
  /** Keycloak, built for the database's vendor, pinned by digest. */
  readonly image: pulumi.Input<string>;
  readonly databaseVendor: pulumi.Input<string>;
  /** Address of its database for a Java client. */
  readonly databaseUrl: pulumi.Input<string>;
  readonly databaseUser: pulumi.Input<string>;
  readonly databasePassword: pulumi.Input<string>;
  /** Public host that people log in at. */
  readonly publicHost: pulumi.Input<string>;
  /** Realm file, imported into an empty database and ignored by one that has the realm. */
  readonly realm: pulumi.Input<string>;
  readonly realmName: string;
  readonly administrator: pulumi.Input<string>;
  readonly administratorPassword: pulumi.Input<string>;
  /** Instances that always run; with 0 it starts when somebody asks. @default - 1 */
  readonly minReplicas?: pulumi.Input<number>;
  /** It can't be reached: it stays as it is. @default - false */
  readonly frozen?: boolean;
}

/** Keycloak on a database of its own. Two of them on copies of one database are the same to a user who is logged in. */
export class IdentityProvider extends pulumi.ComponentResource {
  readonly fqdn: pulumi.Output<string>;

  constructor(name: string, args: IdentityProviderArgs, opts?: Options) {
    super('standby:identity:IdentityProvider', name, {}, opts);
    const app = new ContainerApp(
      `${name}-app`,
      {
        resourceGroupName: args.resourceGroupName,
        location: args.location,
        containerAppName: args.appName,
        managedEnvironmentId: args.environmentId,
        configuration: {
          activeRevisionsMode: 'Single',
          ingress: { external: true, targetPort: 8080, transport: 'auto', allowInsecure: false },
          secrets: secrets(args),
        },
        template: {
          containers: [container(args)],
          volumes: [
            {
              name: 'realm',
              storageType: 'Secret',
              secrets: [{ secretRef: 'realm', path: `${args.realmName}-realm.json` }],
            },
          ],
          scale: { minReplicas: args.minReplicas ?? 1, maxReplicas: 1 },
        },
      },
      { parent: this, ...untouched(args.frozen) },
    );
    this.fqdn = pulumi.interpolate`${app.name}.${args.environmentDomain}`;
    this.registerOutputs({ fqdn: this.fqdn });
  }
}

const secrets = (args: IdentityProviderArgs) => [
  { name: 'database-password', value: pulumi.secret(args.databasePassword) },
  { name: 'administrator-password', value: pulumi.secret(args.administratorPassword) },
  { name: 'realm', value: pulumi.secret(args.realm) },
];

/**
 * A server that went silent sends no word of it: what was open to it hangs until somebody gives it up. So no connection lives
 * long, and a new one is not waited for.
 */
const poolOptions = [
  { name: 'KC_DB_POOL_MAX_LIFETIME', value: '8s' },
  { name: 'KC_DB_CONNECT_TIMEOUT', value: '2s' },
];

const container = (args: IdentityProviderArgs) => ({
  name: 'keycloak',
  image: args.image,
  args: ['start', '--optimized', '--import-realm'],
  resources: { cpu: 1, memory: '2Gi' },
  env: [
    { name: 'KC_DB', value: args.databaseVendor },
    { name: 'KC_DB_URL', value: args.databaseUrl },
    { name: 'KC_DB_USERNAME', value: args.databaseUser },
    { name: 'KC_DB_PASSWORD', secretRef: 'database-password' },
    ...poolOptions,
    { name: 'KC_BOOTSTRAP_ADMIN_USERNAME', value: args.administrator },
    { name: 'KC_BOOTSTRAP_ADMIN_PASSWORD', secretRef: 'administrator-password' },
    { name: 'KC_HOSTNAME', value: pulumi.output(args.publicHost).apply((host) => `https://${host}`) },
    { name: 'KC_HTTP_ENABLED', value: 'true' },
    { name: 'KC_PROXY_HEADERS', value: 'xforwarded' },
    { name: 'KC_HEALTH_ENABLED', value: 'true' },
    { name: 'KC_CACHE', value: 'local' },
  ],
  volumeMounts: [{ volumeName: 'realm', mountPath: '/opt/keycloak/data/import' }],
  probes: [
    probe('Startup', '/health/started', 30),
    probe('Readiness', '/health/ready', 6),
    probe('Liveness', '/health/live', 6),
  ],
});

/** Health is served on the management port, which the ingress does not reach. */
const probe = (type: 'Startup' | 'Readiness' | 'Liveness', path: string, failureThreshold: number) => ({
  type,
  httpGet: { path, port: 9000 },
  periodSeconds: 10,
  timeoutSeconds: 5,
  failureThreshold,
});
