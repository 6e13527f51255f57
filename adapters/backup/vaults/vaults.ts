/** The vaults that the configuration names. */
import type { Vault } from '../../../backup/ports';
import type { BackupConfig } from '../../../config/backup';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { azureVault } from './azure';
import { s3Vault } from './s3';

/** @throws StandbyError BackupNotConfigured */
export function backupOf(context: AdapterContext): BackupConfig {
  const { backup } = context.configuration();
  if (backup) return backup;
  throw new StandbyError(
    'BackupNotConfigured',
    'standby:backup is not set: docs/configuration.md says what it needs, recipients and databases at least',
  );
}

export interface Vaults {
  /** Where backups are restored from, and verdicts and receipts are read. */
  readonly site: Vault;
  readonly offsite?: Vault;
  /** All that can be written to by a program. */
  readonly all: readonly Vault[];
}

/** The one that outlives the business' own site; it needs no credentials of another provider. Asks nobody yet. */
export function openSiteVault(context: AdapterContext): Vault {
  const { vaults } = backupOf(context);
  const { environment, landscape } = context;
  const { account, container, retentionDays: keepsDays } = landscape.sites[vaults.site].backup;
  // Both accounts are of one cloud, so their addresses differ in their names alone.
  const endpoint = landscape.store.endpoint.replace(landscape.store.account, account);
  return azureVault({ name: vaults.site, endpoint, container, keepsDays }, environment);
}

/**
 * Those that can be found. The site's own is told by the stacks, another provider's stands in the configuration: that one is there also
 * when the stacks' state is what was lost.
 * @throws StandbyError CredentialsMissing; LandscapeUnread where there is no other
 */
export function openKnownVaults(context: AdapterContext): readonly Vault[] {
  try {
    return openVaults(context).all;
  } catch (cause) {
    const { offsite } = backupOf(context).vaults;
    if (!offsite || !(cause instanceof StandbyError) || cause.code !== 'LandscapeUnread') throw cause;
    return [s3Vault({ name: 'offsite', ...offsite }, context.environment)];
  }
}

/** Asks nobody yet. @throws StandbyError CredentialsMissing */
export function openVaults(context: AdapterContext): Vaults {
  const { vaults } = backupOf(context);
  const { environment } = context;
  const site = openSiteVault(context);
  if (!vaults.offsite) return { site, all: [site] };
  const offsite = s3Vault({ name: 'offsite', ...vaults.offsite }, environment);
  return { site, offsite, all: [site, offsite] };
}
