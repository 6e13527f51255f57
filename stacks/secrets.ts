/** What a site keeps secret, made once and kept in the encrypted state. */
import * as pulumi from '@pulumi/pulumi';
import { RandomPassword } from '@pulumi/random/randomPassword';
import { realmFile } from '../components/identity/realm';
import type { EnvironmentConfig } from '../config/environment';
import { apps, type App } from '../config/fields';

export interface ClientSecrets {
  readonly administratorPassword: pulumi.Output<string>;
  readonly clients: Readonly<Record<App, pulumi.Output<string>>>;
  readonly session: pulumi.Output<string>;
  readonly realm: pulumi.Output<string>;
}

const random = (name: string, length: number): pulumi.Output<string> =>
  pulumi.secret(new RandomPassword(name, { length, special: false }).result);

export function siteSecrets(name: string, config: EnvironmentConfig): ClientSecrets {
  const clients = Object.fromEntries(
    apps.map((app) => [app, random(`${name}-client-${app}`, 40)]),
  ) as ClientSecrets['clients'];
  return {
    administratorPassword: random(`${name}-idp-administrator`, 32),
    clients,
    session: random(`${name}-session`, 64),
    realm: realmFile({ realm: config.identity.realm, hosts: config.hosts, clients }),
  };
}
