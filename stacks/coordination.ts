/** What the sites and the operators share outside both sites, and what the operators are told. */
import * as pulumi from '@pulumi/pulumi';
import { BlobAccess } from '../components/access/blobAccess';
import { CoordinationStore } from '../components/coordination/coordinationStore';
import type { FailoverConfig } from '../config/failover';
import { sites, type Site } from '../config/fields';
import type { Landscape } from '../config/landscape';
import { lostSite } from '../config/servers';
import { coordinationNames, siteNames } from './names';
import type { KnownSites } from './sites';

export function coordinationStore(config: FailoverConfig, known: KnownSites): CoordinationStore {
  const names = coordinationNames(config.company);
  return new CoordinationStore('coordination', {
    resourceGroupName: names.resourceGroup,
    location: known.prod.outputs.globalRegion,
    accountName: names.account,
    containerName: names.container,
    identities: { prod: known.prod.outputs.principalId, intg: known.intg.outputs.principalId },
    ...(config.operatorPrincipalId
      ? { operator: { principalId: config.operatorPrincipalId, principalType: config.operatorPrincipalType } }
      : {}),
  });
}

/** Operators take and restore backups, in the storage that the configuration names. */
export function backupAccess(config: FailoverConfig, known: KnownSites): void {
  const { backup, operatorPrincipalId, operatorPrincipalType, company } = config;
  if (!backup || !operatorPrincipalId) return;
  const site = backup.vaults.site;
  const { resourceGroup, backup: storage } = known[site].outputs;
  const subscription = resourceGroup.id.split('/')[2];
  const group = `/subscriptions/${subscription}/resourceGroups/${siteNames(company, site).backupResourceGroup}`;
  const account = `${group}/providers/Microsoft.Storage/storageAccounts/${storage.account}`;
  new BlobAccess(`backup-${site}`, {
    scope: `${account}/blobServices/default/containers/${storage.container}`,
    operator: { principalId: operatorPrincipalId, principalType: operatorPrincipalType },
    frozen: lostSite(config) === site,
  });
}

/** @returns one line for each site in whose region the store would be: it must outlive them both. */
export const misplacedStore = (known: KnownSites): string[] => {
  const { globalRegion } = known.prod.outputs;
  return sites
    .filter((site) => known[site].outputs.region === globalRegion)
    .map(
      (site) => `PROD's globalRegion is ${globalRegion}, where ${site} is: choose a third region, update prod first`,
    );
};

export function landscape(known: KnownSites, store: CoordinationStore): pulumi.Output<Landscape> {
  const each = <T>(of: (site: Site) => T) => ({ prod: of('prod'), intg: of('intg') });
  return pulumi.secret(
    pulumi.output({
      sites: each((site) => known[site].outputs),
      secrets: each((site) => known[site].secrets),
      store: { account: store.accountName, endpoint: store.endpoint, container: store.containerName },
    }),
  );
}
