/** What could be restored at the other site, as Azure tells it. */
import type { BackupReading, Instant } from '../../failover/model';
import { apiVersions, cloudOf } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { serverPlace } from '../places';
import { lastProof } from './proofs';

/** Azure does not say how far its copy in the paired region is; it promises that it is behind by an hour at most. */
const promisedMs = 3_600_000;

interface Server {
  readonly properties?: {
    readonly replicationRole?: string;
    readonly backup?: { readonly earliestRestoreDate?: string; readonly geoRedundantBackup?: string };
  };
}

/**
 * @param aliveAt - when the server was last known to live: nothing later was copied.
 * @throws Error that says why nothing can be restored, or nobody can tell.
 */
export async function readBackup(
  context: AdapterContext,
  name: string,
  aliveAt: Promise<Instant>,
  signal: AbortSignal,
): Promise<BackupReading> {
  const { body } = await cloudOf(context).ask<Server>({
    ...{ path: serverPlace(context, name).id, apiVersion: apiVersions.postgresql },
    ...{ signal, tries: 1 },
  });
  const { backup, replicationRole = '' } = body.properties ?? {};
  if (/AsyncReplica$/i.test(replicationRole)) throw new Error('a replica has no backups of its own');
  if (backup?.geoRedundantBackup !== 'Enabled') throw new Error('its backups are not copied to another region');
  if (!backup.earliestRestoreDate) throw new Error('it has no backup yet');
  const first = Date.parse(backup.earliestRestoreDate);
  const verifiedAt = lastProof(context.environment, name);
  const recoveryPoint = Math.max(first, (await aliveAt) - promisedMs);
  return { recoveryPoint, ...(verifiedAt === undefined ? {} : { verifiedAt }) };
}
