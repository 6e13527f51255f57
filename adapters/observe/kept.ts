/** What the plan's own backups could bring back. The vault is the other site's: nothing here asks the one that may be lost. */
import type { DataSet, Manifest, Verdict } from '../../backup/model';
import { isSound } from '../../backup/verdict';
import type { KeptReading, VaultReading } from '../../failover/model';
import { createCatalog, type VaultCatalog } from '../backup/catalog';
import { readIdentities } from '../backup/seal';
import { isWhole } from '../backup/survey';
import { backupOf, openSiteVault } from '../backup/vaults/vaults';
import type { AdapterContext } from '../context';
import type { Call, Vault } from '../../backup/ports';

interface Kept {
  readonly reading: KeptReading;
  readonly manifest?: Manifest;
}

/** @throws StandbyError when the vault does not answer. */
export async function readVault(
  context: AdapterContext,
  signal: AbortSignal,
  vault: Vault = openSiteVault(context),
): Promise<VaultReading> {
  const call = { signal, progress: () => undefined };
  const catalog = createCatalog(vault, context.configuration().company);
  const kept = await Promise.all(
    neededSets(context).map(async (dataSet) => [dataSet, await newestSound(catalog, vault, dataSet, call)] as const),
  );
  const sealed = await whySealed(
    context,
    kept.flatMap(([, { manifest }]) => manifest ?? []),
  );
  return {
    dataSets: Object.fromEntries(kept.map(([dataSet, { reading }]) => [dataSet, reading])),
    ...(sealed === undefined ? {} : { sealed }),
  };
}

/** All that a server needs to have the business. The identity provider's database is no data set of its own twice. */
function neededSets(context: AdapterContext): DataSet[] {
  const { database, identity } = context.landscape.sites.prod;
  const names = new Set([database.database, ...backupOf(context).databases.map(({ name }) => name)]);
  const databases = [...names].map((name): DataSet => `database/${name}`);
  return names.has(identity.database) ? databases : [...databases, 'identity'];
}

/** Goes back from the newest one to the first that a restore check found sound. */
async function newestSound(catalog: VaultCatalog, vault: Vault, dataSet: DataSet, call: Call): Promise<Kept> {
  const [listed, names] = await Promise.all([catalog.listed(dataSet, call), catalog.verdictNames(dataSet, call)]);
  const skipped: Record<string, number> = {};
  // What has no manifest is being taken, or was cut off: it is no backup.
  for (const one of listed.filter(({ hasManifest }) => hasManifest)) {
    const verdicts = names.get(one.id) ?? [];
    const last = await verdictIn(catalog, verdicts, call);
    const manifest = last && isSound(last) ? await catalog.manifest(dataSet, one.id, call) : undefined;
    const whole = manifest !== undefined && isWhole(manifest, one);
    if (last && manifest && (whole || last.vault !== vault.traits.name)) {
      // The copy that is here needs no credentials of another provider.
      const own = whole ? await verdictIn(catalog, verdicts, call, vault.traits.name) : undefined;
      const { verifiedAt, vault: from } = own && isSound(own) ? own : last;
      const { recoveryPoint, parts } = manifest;
      const bytes = parts.reduce((sum, part) => sum + part.plainBytes, 0);
      return { reading: { newest: { id: one.id, recoveryPoint, verifiedAt, vault: from, bytes }, skipped }, manifest };
    }
    const unsound = manifest ? 'BackupTruncated' : 'BackupNotReadable';
    const why = !last ? 'NeverVerified' : isSound(last) ? unsound : last.defect!;
    skipped[why] = (skipped[why] ?? 0) + 1;
  }
  return { reading: { skipped } };
}

/** @param names - the newest first. @param vault - whose copy it is about. @default - whichever */
async function verdictIn(
  catalog: VaultCatalog,
  names: readonly string[],
  call: Call,
  vault?: string,
): Promise<Verdict | undefined> {
  for (const name of names) {
    const verdict = await catalog.verdict(name, call);
    if (vault === undefined || verdict?.vault === vault) return verdict;
  }
  return undefined;
}

/** A key that is missing is better known before anything is fenced. */
async function whySealed({ environment }: AdapterContext, manifests: readonly Manifest[]): Promise<string | undefined> {
  try {
    const { recipients } = await readIdentities(environment);
    const stranger = manifests.find((manifest) => !manifest.recipients.some((one) => recipients.includes(one)));
    return stranger && `no key of STANDBY_AGE_IDENTITY_FILE opens ${stranger.dataSet} ${stranger.id}`;
  } catch (cause) {
    return (cause as Error).message;
  }
}
