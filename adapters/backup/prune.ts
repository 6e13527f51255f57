/** Removes what retention wants no more: from each vault by itself, by what is known of a backup in any of them. */
import type { Instant, Verdict } from '../../backup/model';
import { instantOf, manifestName, partName } from '../../backup/names';
import type { Call, Vault } from '../../backup/ports';
import { allMs, wanted } from '../../backup/retention';
import { isSound } from '../../backup/verdict';
import type { Retention } from '../../config/backup';
import { StandbyError } from '../../failover/errors';
import { createCatalog, readsAtOnce, verdictMs, type Listed, type VaultCatalog } from './catalog';
import { inParallel } from './parallel';

export interface Pruning {
  readonly company: string;
  readonly retention: Retention;
  readonly now: Instant;
  readonly dryRun: boolean;
}

export interface Pruned {
  readonly vault: string;
  readonly kept: number;
  /** `<data set>/<id>` */
  readonly removed: readonly string[];
  /** Nobody wants them, and the storage still keeps them. */
  readonly locked: readonly string[];
}

/** Objects that have the verdicts of a data set in one vault. */
interface Said {
  readonly vault: Vault;
  readonly catalog: VaultCatalog;
  readonly names: Awaited<ReturnType<VaultCatalog['verdictNames']>>;
}

/** @throws StandbyError when a vault does not answer. */
export async function prune(vaults: readonly Vault[], pruning: Pruning, call: Call): Promise<Pruned[]> {
  const catalogs = vaults.map((vault) => ({ vault, catalog: createCatalog(vault, pruning.company) }));
  const listed = await Promise.all(catalogs.map(({ catalog }) => catalog.listed(undefined, call)));
  const all = vaults.map(({ traits }) => ({
    vault: traits.name,
    kept: 0,
    removed: [] as string[],
    locked: [] as string[],
  }));
  for (const dataSet of new Set(listed.flat().map((one) => one.dataSet))) {
    const said = await Promise.all(
      catalogs.map(async (one): Promise<Said> => ({ ...one, names: await one.catalog.verdictNames(dataSet, call) })),
    );
    for (const [index, own] of said.entries()) {
      const there = listed[index]!.filter((one) => one.dataSet === dataSet);
      await pruneSet(own, there, said, pruning, all[index]!, call);
    }
  }
  return all;
}

async function pruneSet(
  { vault, names }: Said,
  there: readonly Listed[],
  said: readonly Said[],
  { company, retention, now, dryRun }: Pruning,
  pruned: { kept: number; readonly removed: string[]; readonly locked: string[] },
  call: Call,
): Promise<void> {
  const whole = there.filter(({ hasManifest }) => hasManifest);
  const backups = await inParallel(whole, readsAtOnce, async ({ id, at }) => {
    const verdict = await lastOf(id, said, call);
    const sound = !verdict || isSound(verdict);
    return { id, at, defect: !sound, verified: verdict !== undefined && sound };
  });
  const keep = wanted(backups, retention, now);
  for (const { dataSet, id, at, hasManifest, parts } of there) {
    // Parts without a manifest may be a backup that is being taken.
    const wantedStill = hasManifest ? keep.has(id) : at + allMs >= now;
    if (wantedStill) {
      pruned.kept += 1;
      continue;
    }
    // The manifest goes first: what is left of a backup that was cut off here is none.
    const manifest = hasManifest ? [manifestName(company, dataSet, id)] : [];
    const objects = [...manifest, ...[...parts.keys()].map((part) => partName(company, dataSet, id, part))];
    const gone = dryRun || (await remove(vault, objects, call));
    (gone ? pruned.removed : pruned.locked).push(`${dataSet}/${id}`);
  }
  if (dryRun) return;
  const known = new Set(there.map(({ id }) => id));
  for (const [id, verdicts] of names) {
    if (!known.has(id) && (instantOf(id) ?? now) + verdictMs < now) await remove(vault, verdicts, call);
  }
}

/** A name ends with the time of the check, whatever vault it is in. */
async function lastOf(id: string, said: readonly Said[], call: Call): Promise<Verdict | undefined> {
  const newest = said
    .flatMap(({ catalog, names }) => (names.get(id) ?? []).slice(0, 1).map((name) => ({ catalog, name })))
    .reduce<{ catalog: VaultCatalog; name: string } | undefined>(
      (last, one) => (last && last.name >= one.name ? last : one),
      undefined,
    );
  return newest?.catalog.verdict(newest.name, call);
}

/** @returns false where the storage keeps one of them. */
async function remove(vault: Vault, names: readonly string[], call: Call): Promise<boolean> {
  try {
    for (const name of names) await vault.remove(name, call);
    return true;
  } catch (cause) {
    if (cause instanceof StandbyError && cause.code === 'ObjectLocked') return false;
    throw cause;
  }
}
