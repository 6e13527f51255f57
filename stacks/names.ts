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

/** Of the identity provider on a recovered server. */
export const recoveredIdentityProvider = (company: string, site: Site, epoch: number): string =>
  `${siteNames(company, site).identityProvider}-e${epoch}`;
