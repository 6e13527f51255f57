/** What the sites and the operators share outside both sites, and what the operators are told. */
import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup';
import * as pulumi from '@pulumi/pulumi';
import { BlobAccess } from '../components/access/blobAccess';
import { DocumentStore } from '../components/backup/documentStore';
import { OffsiteBucket } from '../components/backup/offsiteBucket';
import { CoordinationStore } from '../components/coordination/coordinationStore';
import { r2Jurisdiction, wantedDays } from '../config/backup';
import type { FailoverConfig } from '../config/failover';
import { sites, type Site } from '../config/fields';
import type { Landscape } from '../config/landscape';
import { lostSite } from '../config/servers';
import { coordinationNames, documentNames, siteNames } from './names';
import type { KnownSites } from './sites';

export function coordinationStore(config: FailoverConfig, known: KnownSites): CoordinationStore {
  const names = coordinationNames(config.company);
  return new CoordinationStore('coordination', {
    resourceGroupName: names.resourceGroup,
    location: known.prod.outputs.globalRegion,
    accountName: names.account,
    containerName: names.container,
    identities: { prod: known.prod.outputs.principalId, intg: known.intg.outputs.principalId },
    ...operatorOf(config),
  });
}

const operatorOf = ({ operatorPrincipalId: principalId, operatorPrincipalType: principalType }: FailoverConfig) =>
  principalId === undefined ? {} : { operator: { principalId, principalType } };

/** Customers' documents: outside both sites, so that whichever is active finds them, and no change of role moves them. */
export function documentStore(config: FailoverConfig, known: KnownSites): DocumentStore | undefined {
  const { documents } = config;
  if (!documents) return undefined;
  const names = documentNames(config.company);
  const group = new ResourceGroup(
    'documents-group',
    { resourceGroupName: names.resourceGroup, location: known.prod.outputs.globalRegion },
    { protect: true },
  );
  return new DocumentStore('documents', {
    resourceGroupName: group.name,
    location: known.prod.outputs.globalRegion,
    accountName: names.account,
    ...documents,
    ...operatorOf(config),
  });
}

/** Operators take and restore backups, in the storage that the configuration names. */
export function backupAccess(config: FailoverConfig, known: KnownSites): void {
  const { backup, company } = config;
  const { operator } = operatorOf(config);
  if (!backup || !operator) return;
  const site = backup.vaults.site;
  const { resourceGroup, backup: storage } = known[site].outputs;
  const subscription = resourceGroup.id.split('/')[2];
  const group = `/subscriptions/${subscription}/resourceGroups/${siteNames(company, site).backupResourceGroup}`;
  const account = `${group}/providers/Microsoft.Storage/storageAccounts/${storage.account}`;
  new BlobAccess(`backup-${site}`, {
    scope: `${account}/blobServices/default/containers/${storage.container}`,
    operator,
    frozen: lostSite(config) === site,
  });
}

/** The bucket at another provider, where the stack is to make it: locked as long as anything in it is wanted. */
export function offsiteBucket({ backup }: FailoverConfig): OffsiteBucket | undefined {
  const offsite = backup?.vaults.offsite;
  if (!backup || offsite?.account === undefined) return undefined;
  const { account: accountId, bucket: bucketName } = offsite;
  const retentionDays = wantedDays(backup);
  return new OffsiteBucket('offsite', { accountId, bucketName, jurisdiction: r2Jurisdiction, retentionDays });
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

const placeOf = ({ accountName, endpoint, containerName }: CoordinationStore | DocumentStore) => ({
  ...{ account: accountName, endpoint, container: containerName },
});

export function landscape(
  known: KnownSites,
  store: CoordinationStore,
  documents: DocumentStore | undefined,
): pulumi.Output<Landscape> {
  const each = <T>(of: (site: Site) => T) => ({ prod: of('prod'), intg: of('intg') });
  return pulumi.secret(
    pulumi.output({
      sites: each((site) => known[site].outputs),
      secrets: each((site) => known[site].secrets),
      store: placeOf(store),
      ...(documents ? { documents: placeOf(documents) } : {}),
    }),
  );
}
