/** What the exercise needs of the stacks' outputs. */
import { parseSecrets, parseSite, type FailoverOutputs } from '../../config/outputs';
import type { DatabaseAccess } from './data';
import type { User } from './client';

export interface SiteView {
  readonly resourceGroup: string;
  readonly database: DatabaseAccess & { readonly server: string };
  readonly identity: { readonly realm: string; readonly admin: User };
}

/** @param outputs of the stack `prod` or `intg`, secrets shown. @throws Error when they are not what the program exports. */
export function siteView(stack: string, outputs: unknown): SiteView {
  const { site: raw, secrets: rawSecrets } = outputs as { site?: unknown; secrets?: unknown };
  const site = parseSite(stack, raw);
  const secrets = parseSecrets(stack, rawSecrets);
  return {
    resourceGroup: site.resourceGroup.name,
    database: {
      server: site.database.server,
      fqdn: site.database.fqdn,
      database: site.database.database,
      user: site.database.user,
      password: secrets.databasePassword,
      source: site.network.egressAddress,
    },
    identity: {
      realm: site.identity.realm,
      admin: { name: site.identity.administrator, password: secrets.administratorPassword },
    },
  };
}

export const failoverView = (outputs: unknown): FailoverOutputs => outputs as FailoverOutputs;
