/** Looks into every vault, and at every medium that was written, side by side. */
import type { DataSet, Manifest } from '../../backup/model';
import { isDataSet } from '../../backup/names';
import type { Call, Vault } from '../../backup/ports';
import type { Copy, Survey, SurveyedMedium, SurveyedVault } from '../../backup/status';
import { createCatalog, type Listed, type VaultCatalog } from './catalog';
import { isOnline, readReceipts } from './vaults/offline';
import type { Vaults } from './vaults/vaults';

export async function survey(vaults: Vaults, company: string, call: Call): Promise<Survey> {
  const [seen, media, verdicts] = await Promise.all([
    Promise.all(vaults.all.map((vault) => surveyVault(vault, company, call))),
    readMedia(vaults.site, company, call).catch((cause: unknown) => unknown(cause, call)),
    createCatalog(vaults.site, company)
      .verdicts(undefined, call)
      .catch((cause: unknown) => unknown(cause, call)),
  ]);
  const why = [media, verdicts].find((found) => 'unknown' in found);
  return {
    vaults: seen,
    media: 'unknown' in media ? [] : media,
    verdicts: 'unknown' in verdicts ? [] : verdicts,
    ...(why && 'unknown' in why ? { unknown: why.unknown } : {}),
  };
}

/** What can't be asked is unknown; a person who stops it is not. */
function unknown(cause: unknown, { signal }: Call): { readonly unknown: string } {
  signal.throwIfAborted();
  return { unknown: (cause as Error).message };
}

async function surveyVault(vault: Vault, company: string, call: Call): Promise<SurveyedVault> {
  const { traits } = vault;
  try {
    const catalog = createCatalog(vault, company);
    const listed = await catalog.listed(undefined, call);
    const sets = [...new Set(listed.map(({ dataSet }) => dataSet))];
    const copies = await Promise.all(
      sets.map((dataSet) =>
        newestWhole(
          catalog,
          listed.filter((one) => one.dataSet === dataSet),
          call,
        ),
      ),
    );
    return { traits, copies: copies.filter((copy) => copy !== undefined) };
  } catch (cause) {
    return { traits, copies: [], ...unknown(cause, call) };
  }
}

/** @param listed - of one data set, the newest first. */
async function newestWhole(catalog: VaultCatalog, listed: readonly Listed[], call: Call): Promise<Copy | undefined> {
  for (const one of listed) {
    const manifest = one.hasManifest ? await catalog.manifest(one.dataSet, one.id, call) : undefined;
    if (manifest && isWhole(manifest, one)) {
      return { dataSet: one.dataSet, id: one.id, recoveryPoint: manifest.recoveryPoint };
    }
  }
  return undefined;
}

/** By name and size; what the bytes are worth is for the restore check to say. */
export const isWhole = ({ parts }: Manifest, listed: Listed): boolean =>
  parts.every(({ name, bytes }) => listed.parts.get(name) === bytes);

async function readMedia(site: Vault, company: string, call: Call): Promise<SurveyedMedium[]> {
  const receipts = await readReceipts(site, company, call);
  return Promise.all(
    receipts.map(async (receipt) => ({
      label: receipt.label,
      at: receipt.at,
      online: await isOnline(receipt),
      copies: receipt.backups.filter((copy): copy is typeof copy & { dataSet: DataSet } => isDataSet(copy.dataSet)),
    })),
  );
}
