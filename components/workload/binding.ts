/** What binds the applications of a namespace to a database and an identity provider, besides their addresses. */
import { Secret } from '@pulumi/kubernetes/core/v1/secret';
import * as pulumi from '@pulumi/pulumi';
import type { App } from '../../config/fields';
import type { PlatformSiteArgs } from './platformSite';

/** Name of the secret in the namespace. */
export const bindingName = 'binding';
export const databasePasswordKey = 'database-password';
export const sessionSecretKey = 'session-secret';
/** Key of an application's client secret. */
export const clientKey = (app: App): string => `client-${app}`;

export function bindingSecret(
  name: string,
  args: Pick<PlatformSiteArgs, 'platform' | 'apps' | 'clients' | 'database' | 'session'>,
  opts: pulumi.CustomResourceOptions,
): Secret {
  const clients = Object.fromEntries(args.apps.map((app) => [clientKey(app), args.clients[app]]));
  return new Secret(
    `${name}-binding`,
    {
      metadata: { name: bindingName, namespace: args.platform },
      type: 'Opaque',
      stringData: pulumi.secret({
        [databasePasswordKey]: args.database.password,
        [sessionSecretKey]: args.session,
        ...clients,
      }),
    },
    opts,
  );
}
