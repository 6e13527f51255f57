/** The realm that an identity provider starts with: clients, no users. Users live in its database alone. */
import * as pulumi from '@pulumi/pulumi';
import type { App, Hosts } from '../../config/fields';

export interface RealmArgs {
  readonly realm: string;
  readonly hosts: Hosts;
  /** Secret of each application's client. */
  readonly clients: Readonly<Record<App, pulumi.Input<string>>>;
}

const client = (app: App, host: string, secret: string) => ({
  clientId: app,
  name: app,
  enabled: true,
  protocol: 'openid-connect',
  publicClient: false,
  clientAuthenticatorType: 'client-secret',
  secret,
  standardFlowEnabled: true,
  implicitFlowEnabled: false,
  directAccessGrantsEnabled: false,
  serviceAccountsEnabled: false,
  rootUrl: `https://${host}`,
  redirectUris: [`https://${host}/*`],
  webOrigins: [`https://${host}`],
  attributes: { 'post.logout.redirect.uris': `https://${host}/*` },
});

/** @returns the realm file's JSON, secret. */
export const realmFile = ({ realm, hosts, clients }: RealmArgs): pulumi.Output<string> =>
  pulumi.secret(
    pulumi.all(clients as Record<string, pulumi.Input<string>>).apply((secrets) =>
      JSON.stringify({
        realm,
        enabled: true,
        sslRequired: 'external',
        registrationAllowed: false,
        bruteForceProtected: true,
        ssoSessionIdleTimeout: 1800,
        ssoSessionMaxLifespan: 36000,
        clients: Object.entries(secrets).map(([app, secret]) => client(app as App, hosts[app as App], secret)),
      }),
    ),
  );
