/** What is really in a vault: backups with a manifest, what restore checks said of them, and what belongs to neither. */
import { z } from 'zod';
import type { DataSet, Instant, Manifest, Verdict } from '../../backup/model';
import { instantOf, isDataSet, isManifest, placeOf, verdictName } from '../../backup/names';
import type { Call, Catalog, Vault } from '../../backup/ports';
import { inParallel } from './parallel';

const dataSet = z.custom<DataSet>((value) => typeof value === 'string' && isDataSet(value));
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().min(0);

/** Written once by this program; whatever else is in its place is no backup. */
const manifestSchema = z.object({
  format: z.literal(1),
  id: z.string().refine((id) => instantOf(id) !== undefined),
  company: z.string(),
  dataSet,
  tool: z.string(),
  startedAt: z.number(),
  endedAt: z.number(),
  recoveryPoint: z.number(),
  parts: z.array(
    z.object({
      // A name is a path inside a folder of ours, never one out of it.
      name: z.string().regex(/^(?!\/)(?!(.*\/)?\.\.?(\/|$)).+$/),
      ...{ bytes, sha256: digest, plainBytes: bytes, plainSha256: digest },
    }),
  ),
  facts: z
    .object({
      database: z.string(),
      system: z.string(),
      version: z.string(),
      rows: z.record(z.string(), z.number()),
      schema: digest,
      sentinel: z.number().exactOptional(),
      roles: z.array(z.string()).exactOptional(),
    })
    .exactOptional(),
  content: digest.exactOptional(),
  recipients: z.array(z.string()),
});

const verdictSchema = z.object({
  dataSet,
  id: z.string(),
  vault: z.string(),
  verifiedAt: z.number(),
  recoveryPoint: z.number(),
  seconds: z.number(),
  bytes: z.number(),
  checks: z.array(z.object({ name: z.string(), passed: z.boolean(), detail: z.string() })),
  defect: z
    .enum([
      'BackupTruncated',
      'BackupCorrupt',
      'BackupEmpty',
      'BackupOfWrongDatabase',
      'BackupTooOld',
      'BackupWithoutData',
      'BackupNotReadable',
    ])
    .exactOptional(),
  reused: z.number().exactOptional(),
  asked: z.string().exactOptional(),
  accepted: z.array(z.object({ table: z.string(), by: z.string(), at: z.number() })).exactOptional(),
});

/** For so long the storage keeps a verdict; what is kept longer has it until `prune` removes both. */
export const verdictMs = 40 * 86_400_000;
export const readsAtOnce = 8;

export interface Listed {
  readonly dataSet: DataSet;
  readonly id: string;
  readonly at: Instant;
  /** Names and sizes of all that lies there, without the manifest. */
  readonly parts: ReadonlyMap<string, number>;
  readonly hasManifest: boolean;
}

export interface VaultCatalog extends Catalog {
  /** Without reading any of it: one request for a thousand objects. The newest first. */
  listed(dataSet: DataSet | undefined, call: Call): Promise<readonly Listed[]>;
  /** @returns undefined where it is no manifest, or not the one of its name. */
  manifest(dataSet: DataSet, id: string, call: Call): Promise<Manifest | undefined>;
  /** By id: the objects that have its verdicts, the newest first, without reading any. One company has thousands of them. */
  verdictNames(dataSet: DataSet, call: Call): Promise<ReadonlyMap<string, readonly string[]>>;
  /** @returns undefined where it is no verdict. */
  verdict(name: string, call: Call): Promise<Verdict | undefined>;
  keepVerdict(verdict: Verdict, call: Call): Promise<void>;
}

export function createCatalog(vault: Vault, company: string): VaultCatalog {
  const listed: VaultCatalog['listed'] = async (wanted, call) => {
    const found = new Map<string, { place: Listed; parts: Map<string, number> }>();
    for await (const { name, bytes: size } of vault.list(`${company}/${wanted ? `${wanted}/` : ''}`, call)) {
      const place = placeOf(company, name);
      if (!place || (wanted && place.dataSet !== wanted)) continue;
      const key = `${place.dataSet}/${place.id}`;
      const { dataSet: set, id } = place;
      const known = found.get(key);
      const parts = known?.parts ?? new Map<string, number>();
      const hasManifest = isManifest(place) || (known?.place.hasManifest ?? false);
      if (!isManifest(place)) parts.set(place.part, size);
      found.set(key, { place: { dataSet: set, id, at: instantOf(id)!, parts, hasManifest }, parts });
    }
    return [...found.values()].map(({ place }) => place).sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
  };
  const manifest: VaultCatalog['manifest'] = async (set, id, call) => {
    const read = manifestSchema.safeParse(await readJson(vault, `${company}/${set}/${id}/manifest.json`, call));
    const own = read.success && read.data.id === id && read.data.dataSet === set && read.data.company === company;
    return own ? read.data : undefined;
  };
  const verdict: VaultCatalog['verdict'] = async (name, call) =>
    verdictSchema.safeParse(await readJson(vault, name, call)).data;
  return {
    ...{ listed, manifest, verdict },
    verdictNames: async (set, call) => {
      const found = new Map<string, string[]>();
      for await (const { name } of vault.list(`verdicts/${company}/${set}/`, call)) {
        const id = name.split('/').at(-2) ?? '';
        found.set(id, [...(found.get(id) ?? []), name]);
      }
      for (const names of found.values()) names.sort().reverse();
      return found;
    },
    manifests: async (set, call) => {
      const whole = (await listed(set, call)).filter(({ hasManifest }) => hasManifest);
      const read = await inParallel(whole, readsAtOnce, (one) => manifest(one.dataSet, one.id, call));
      return read.filter((one) => one !== undefined);
    },
    verdicts: async (set, call) => {
      const names: string[] = [];
      const prefix = `verdicts/${company}/${set ? `${set}/` : ''}`;
      for await (const { name } of vault.list(prefix, call)) names.push(name);
      const read = await inParallel(names, readsAtOnce, (name) => verdict(name, call));
      return read.filter((one) => one !== undefined).sort((a, b) => b.verifiedAt - a.verifiedAt);
    },
    keepVerdict: (found, call) =>
      vault.put(
        verdictName(company, found.dataSet, found.id, found.verifiedAt),
        Buffer.from(`${JSON.stringify(found, undefined, 2)}\n`),
        found.verifiedAt + verdictMs,
        call,
      ),
  };
}

/** Longer is none of ours. */
const longestBytes = 16 * 1024 * 1024;

async function readJson(vault: Vault, name: string, call: Call): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await vault.get(name, call)) {
    size += (chunk as Buffer).length;
    if (size > longestBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
