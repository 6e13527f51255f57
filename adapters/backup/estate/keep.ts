/** Takes data sets into the vaults, restores each from there to see whether it is one, and brings it back. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { mendable, type Difference, type EstateFile, type EstateSet } from '../../../backup/estate/set';
import type { Check, Defect, Instant, Manifest, Verdict } from '../../../backup/model';
import { partName } from '../../../backup/names';
import type { Call, Vault } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { createCatalog } from '../catalog';
import { digesting } from '../digest';
import type { Identities } from '../seal';
import { keepBackup, type Keeping } from '../store';

export interface EstateKeeping extends Keeping {
  readonly company: string;
  /** Opens what was kept. */
  readonly identities: Identities;
  /** Another key than those: opens what only counts when a second key did. @throws StandbyError when there is none */
  readonly secondKey: () => Promise<Identities>;
}

export interface Kept {
  readonly manifest: Manifest;
  /** One for each vault. */
  readonly verdicts: readonly Verdict[];
}

/**
 * Takes one data set, and restores it from every vault: opened with a key, compared with what is there.
 * @throws StandbyError when it can't be taken; what a check found is a verdict.
 */
export async function keepSet(set: EstateSet, keeping: EstateKeeping, call: Call): Promise<Kept> {
  const { company, now, vaults } = keeping;
  // Before anything is taken: a backup that nobody could prove is not begun.
  const identities = set.secondKey ? await keeping.secondKey() : keeping.identities;
  const startedAt = now();
  const files = await set.collect(call);
  const parts = files.map(({ name, bytes }) => ({ name, content: bytes }));
  const { dataSet, tool, recoveryPoint = startedAt } = set;
  const taken = { company, dataSet, tool, startedAt, recoveryPoint, parts };
  const manifest = await keepBackup(taken, keeping, call);
  const verdicts: Verdict[] = [];
  for (const vault of vaults) {
    const verdict = await checkSet(set, vault, manifest, identities, now, call);
    await createCatalog(vault, company).keepVerdict(verdict, call);
    verdicts.push(verdict);
  }
  return { manifest, verdicts };
}

const defects: readonly string[] = [
  'BackupTruncated',
  'BackupCorrupt',
  'BackupNotReadable',
  'BackupEmpty',
] satisfies Defect[];

async function checkSet(
  set: EstateSet,
  vault: Vault,
  manifest: Manifest,
  identities: Identities,
  now: () => Instant,
  call: Call,
): Promise<Verdict> {
  const began = now();
  const { id, dataSet, recoveryPoint, parts } = manifest;
  const found = await look(set, vault, manifest, identities, call);
  const verifiedAt = now();
  return {
    ...{ dataSet, id, vault: vault.traits.name, verifiedAt, recoveryPoint, ...found },
    seconds: (verifiedAt - began) / 1000,
    bytes: parts.reduce((sum, part) => sum + part.plainBytes, 0),
  };
}

interface Found {
  readonly checks: readonly Check[];
  readonly defect?: Defect;
}

async function look(
  set: EstateSet,
  vault: Vault,
  manifest: Manifest,
  identities: Identities,
  call: Call,
): Promise<Found> {
  const opened = `opened with ${set.secondKey ? 'the second key' : 'a key'}`;
  try {
    const files = await openBackup(vault, manifest, identities, call);
    const detail = `${files.length} parts, every byte as it was sealed`;
    const checks: Check[] = [{ name: opened, passed: true, detail }];
    const differences = mendable(await set.compare(files, call));
    const same = differences.length === 0;
    const [first] = differences;
    checks.push({
      name: 'the same as what is there',
      passed: same,
      detail: same ? 'no difference' : `${differences.length} differences, the first: ${first?.what} is ${first?.how}`,
    });
    return same ? { checks } : { checks, defect: 'BackupCorrupt' };
  } catch (cause) {
    if (!(cause instanceof StandbyError) || !defects.includes(cause.code)) throw cause;
    return { checks: [{ name: opened, passed: false, detail: cause.message }], defect: cause.code as Defect };
  }
}

/** Parts of an estate are small; some are secrets, which are written nowhere in clear. @throws StandbyError of a defect */
export async function openBackup(
  vault: Vault,
  manifest: Manifest,
  identities: Identities,
  call: Call,
): Promise<readonly EstateFile[]> {
  const files: EstateFile[] = [];
  for (const part of manifest.parts) {
    const chunks: Buffer[] = [];
    const [sealed, plain] = [digesting(), digesting()];
    const name = partName(manifest.company, manifest.dataSet, manifest.id, part.name);
    const source = (await vault.get(name, call).catch((cause: unknown) => {
      const missing = cause instanceof StandbyError && cause.code === 'ObjectMissing';
      throw missing ? defect('BackupTruncated', part.name, vault, 'is not there') : cause;
    })) as Readable;
    const take = async (opened: AsyncIterable<Buffer>) => {
      for await (const chunk of opened) chunks.push(chunk);
    };
    await pipeline(source, sealed, identities.opening(), plain, take, { signal: call.signal });
    if (sealed.sha256() !== part.sha256 || plain.sha256() !== part.plainSha256)
      throw defect('BackupCorrupt', part.name, vault, 'is not what was put there: its digest is another');
    files.push({ name: part.name, bytes: Buffer.concat(chunks) });
  }
  return files;
}

const defect = (code: Defect, part: string, vault: Vault, why: string) =>
  new StandbyError(code, `part ${part} in vault ${vault.traits.name} ${why}`, { exit: 'safe' });

export interface Chosen {
  readonly vault: Vault;
  readonly manifest: Manifest;
}

/**
 * @param id - of a backup. @default - the newest one that a restore check found sound, in whatever vault it is
 * @throws StandbyError NoBackup; NothingVerified: a backup that was never restored counts as none.
 */
export async function chooseBackup(
  set: Pick<EstateSet, 'dataSet'>,
  vaults: readonly Vault[],
  company: string,
  id: string | undefined,
  call: Call,
): Promise<Chosen> {
  const { found, silent } = await backupsOf(set.dataSet, vaults, company, call);
  const wanted = found.filter(({ manifest }) => id === undefined || manifest.id === id);
  const sound = id === undefined ? wanted.filter(({ verdict }) => verdict && !verdict.defect) : wanted;
  const [newest] = sound;
  if (newest) return newest;
  const where = silent.length > 0 ? `; ${silent.join(', ')} gave no answer` : '';
  if (wanted.length === 0) {
    const what = id === undefined ? `backup of ${set.dataSet}` : `backup ${id} of ${set.dataSet}`;
    throw new StandbyError('NoBackup', `there is no ${what} in any vault${where}: \`standby estate list\` shows them`);
  }
  throw new StandbyError(
    'NothingVerified',
    `none of ${wanted.length} backups of ${set.dataSet} was ever restored soundly${where}: name one with --id, and look at what comes`,
  );
}

export interface FoundBackup extends Chosen {
  /** The newest of that vault; absent where nobody has looked. */
  readonly verdict?: Verdict;
}

/** Every copy in every vault that answers, the newest first. */
export async function backupsOf(
  dataSet: EstateSet['dataSet'] | undefined,
  vaults: readonly Vault[],
  company: string,
  call: Call,
): Promise<{ readonly found: readonly FoundBackup[]; readonly silent: readonly string[] }> {
  const silent: string[] = [];
  const all = await Promise.all(
    vaults.map(async (vault): Promise<FoundBackup[]> => {
      const catalog = createCatalog(vault, company);
      try {
        const [manifests, verdicts] = await Promise.all([
          catalog.manifests(dataSet, call),
          catalog.verdicts(dataSet, call),
        ]);
        return manifests.map((manifest) => {
          const verdict = verdicts.find((one) => one.id === manifest.id && one.dataSet === manifest.dataSet);
          return { vault, manifest, ...(verdict ? { verdict } : {}) };
        });
      } catch (cause) {
        if (call.signal.aborted || !(cause instanceof StandbyError)) throw cause;
        silent.push(vault.traits.name);
        return [];
      }
    }),
  );
  const newestFirst = all.flat().sort((one, other) => other.manifest.recoveryPoint - one.manifest.recoveryPoint);
  return { found: newestFirst, silent };
}

export interface Restored {
  readonly differences: readonly Difference[];
  /** Absent where nothing was to be changed. */
  readonly done?: readonly string[];
}

/** @param dryRun - only says what is different. @throws StandbyError NotRestorable */
export async function restoreSet(
  set: EstateSet,
  files: readonly EstateFile[],
  dryRun: boolean,
  call: Call,
): Promise<Restored> {
  if (!dryRun && !set.restore) {
    throw new StandbyError(
      'NotRestorable',
      `${set.dataSet} has no place that a program may put it back to: take it as files (--into FOLDER)`,
    );
  }
  const differences = await set.compare(files, call);
  return dryRun ? { differences } : { differences, done: await set.restore!(files, call) };
}
