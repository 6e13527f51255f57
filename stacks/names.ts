/** Names that a runbook must be able to say: fixed, never made up by the engine. */
import type { Site } from '../config/fields';
import { builtServer } from '../config/servers';

export const siteNames = (company: string, site: Site) => {
  const label = `${company}-${site}`;
  return {
    label,
    resourceGroup: `rg-${label}`,
    globalResourceGroup: `rg-${label}-global`,
    backupResourceGroup: `rg-${label}-backup`,
    server: builtServer(company, site),
    identityProvider: `ca-${label}-idp`,
    identity: `id-${label}`,
    backupAccount: `st${company}${site}backup`,
  } as const;
};

/** Service account of a site's agents: the only one that may be the site's managed identity. */
export const agentServiceAccount = 'standby-agent';

/** Host that a site's agents answer to, in the site's internal zone. */
export const agentHost = (internalZone: string): string => `${agentRecord}.${internalZone}`;
export const agentRecord = 'standby';

export const coordinationNames = (company: string) =>
  ({ resourceGroup: `rg-${company}-standby`, account: `st${company}standby`, container: 'standby' }) as const;

export const documentNames = (company: string) =>
  ({ resourceGroup: `rg-${company}-documents`, account: `st${company}documents` }) as const;

/** Of the identity provider on a recovered server. */
export const recoveredIdentityProvider = (company: string, site: Site, epoch: number): string =>
  `${siteNames(company, site).identityProvider}-e${epoch}`;
