/** Puts a backup into vaults and takes it out again, whatever it is a backup of. */
import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { keepUntil } from '../../backup/retention';
import { manifestName, newId, partName } from '../../backup/names';
import type { DatabaseFacts, DataSet, Instant, Manifest, Part } from '../../backup/model';
import type { Call, Vault } from '../../backup/ports';
import { isSound } from '../../backup/verdict';
import type { Retention } from '../../config/backup';
import { StandbyError } from '../../failover/errors';
import { createCatalog } from './catalog';
import { digesting } from './digest';
import { inParallel } from './parallel';
import { makeScratch } from './scratch';
import { sealing, type Identities } from './seal';

/** A part before it is sealed. */
export interface PlainPart {
  readonly name: string;
  readonly content: Buffer | { readonly file: string };
}

export interface Taken {
  readonly company: string;
  readonly dataSet: DataSet;
  readonly tool: string;
  readonly startedAt: Instant;
  readonly recoveryPoint: Instant;
  readonly parts: readonly PlainPart[];
  readonly facts?: DatabaseFacts;
  /** @returns what `Manifest.content` is, once the digests are known. */
  readonly content?: (parts: readonly Part[]) => string;
}

export interface Keeping {
  readonly vaults: readonly Vault[];
  readonly retention: Retention;
  readonly recipients: readonly string[];
  readonly now: () => Instant;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Each is kept so long whatever retention says: no two have the same in them. @default - as retention says */
  readonly atLeastMs?: number;
}

/** Sealed side by side. */
const partsAtOnce = 4;

/**
 * Seals every part once, puts it into all vaults side by side, the manifest last: without it a backup does not exist.
 * @throws StandbyError of the first vault that does not take it; what was put until then is no backup, and pruned in its time.
 */
export async function keepBackup(taken: Taken, keeping: Keeping, call: Call): Promise<Manifest> {
  const { company, dataSet, tool, startedAt, recoveryPoint, facts, content } = taken;
  const { vaults, recipients, retention, now, environment, atLeastMs = 0 } = keeping;
  const id = newId(startedAt, randomBytes(3).toString('hex'));
  const untils = await Promise.all(
    vaults.map(async (vault) => keepUntil(startedAt, await newestStanding(vault, company, dataSet, call), retention)),
  );
  const until = Math.max(startedAt + atLeastMs, ...untils);
  const scratch = await makeScratch('sealed', environment);
  try {
    const parts = await inParallel(taken.parts, partsAtOnce, async (plain, index) => {
      const file = path.join(scratch, String(index));
      const part = await sealPart(plain, file, recipients, call);
      const name = partName(company, dataSet, id, part.name);
      await everywhere(vaults, (vault) => vault.put(name, createReadStream(file), until, call));
      await fs.rm(file);
      call.progress(`${dataSet}: ${part.name}, ${part.bytes} bytes`);
      return part;
    });
    const manifest: Manifest = {
      ...{ format: 1, id, company, dataSet, tool, startedAt, endedAt: now(), recoveryPoint, parts, recipients },
      ...(facts ? { facts } : {}),
      ...(content ? { content: content(parts) } : {}),
    };
    const text = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
    await everywhere(vaults, (vault) => vault.put(manifestName(company, dataSet, id), text, until, call));
    return manifest;
  } finally {
    await fs.rm(scratch, { recursive: true, force: true });
  }
}

/** Waits for all, so that nothing goes on behind a fault. */
async function everywhere(vaults: readonly Vault[], act: (vault: Vault) => Promise<void>): Promise<void> {
  const failed = (await Promise.allSettled(vaults.map(act))).find(({ status }) => status === 'rejected');
  if (failed) throw (failed as PromiseRejectedResult).reason as Error;
}

/** The newest that does not count as defective: where that is of another day, week or month, so is every earlier one. */
async function newestStanding(vault: Vault, company: string, dataSet: DataSet, call: Call): Promise<Instant[]> {
  const catalog = createCatalog(vault, company);
  const [listed, names] = await Promise.all([catalog.listed(dataSet, call), catalog.verdictNames(dataSet, call)]);
  for (const { id, at } of listed.filter(({ hasManifest }) => hasManifest)) {
    const [name] = names.get(id) ?? [];
    const verdict = name === undefined ? undefined : await catalog.verdict(name, call);
    if (!verdict || isSound(verdict)) return [at];
  }
  return [];
}

async function sealPart(
  { name, content }: PlainPart,
  file: string,
  recipients: readonly string[],
  { signal }: Call,
): Promise<Part> {
  const [plain, sealed] = [digesting(), digesting()];
  const source = Buffer.isBuffer(content) ? Readable.from([content]) : createReadStream(content.file);
  await pipeline(source, plain, await sealing(recipients), sealed, createWriteStream(file, { mode: 0o600 }), {
    signal,
  });
  return {
    ...{ name, bytes: sealed.bytes(), sha256: sealed.sha256() },
    ...{ plainBytes: plain.bytes(), plainSha256: plain.sha256() },
  };
}

const defect = (code: string, message: string) => new StandbyError(code, message, { exit: 'safe' });

/**
 * Reads a part out of a vault, whole or not at all: every byte is checked against the manifest, sealed and opened.
 * @param to - a file that is written, or undefined where the sealed bytes alone are checked.
 * @throws StandbyError BackupTruncated, BackupCorrupt, BackupNotReadable
 */
export async function takePart(
  vault: Vault,
  manifest: Manifest,
  part: Part,
  to: { readonly file: string; readonly identities: Identities } | undefined,
  call: Call,
): Promise<void> {
  const name = partName(manifest.company, manifest.dataSet, manifest.id, part.name);
  const source = (await vault.get(name, call).catch((cause: unknown) => {
    const missing = cause instanceof StandbyError && cause.code === 'ObjectMissing';
    throw missing
      ? defect('BackupTruncated', `part ${part.name} is not in vault ${vault.traits.name}`)
      : (cause as Error);
  })) as Readable;
  const [sealed, plain] = [digesting(), digesting()];
  const target = to ? [to.identities.opening(), plain, createWriteStream(to.file, { mode: 0o600 })] : [new Nowhere()];
  const fault = await pipeline([source, sealed, ...target], { signal: call.signal }).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  call.signal.throwIfAborted();
  // A damaged part may stop being read in its middle; then what is left of it tells truncated from changed.
  if (fault !== undefined && !isDefect(fault)) throw fault as Error;
  const got = fault === undefined ? sealed.bytes() : await sizeOf(vault, name, call);
  if (got < part.bytes) throw defect('BackupTruncated', `part ${part.name} has ${got} of ${part.bytes} bytes`);
  if (fault === undefined && sealed.sha256() !== part.sha256) {
    throw defect('BackupCorrupt', `part ${part.name} is not what was put there: its digest is another`);
  }
  if (fault !== undefined) throw fault as Error;
  if (to && plain.sha256() !== part.plainSha256) {
    throw defect('BackupCorrupt', `part ${part.name} opens, and is not what was sealed: its digest is another`);
  }
}

class Nowhere extends PassThrough {
  override _transform(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
  constructor() {
    super();
    this.resume();
  }
}

const isDefect = (cause: unknown) => cause instanceof StandbyError && cause.code.startsWith('Backup');

async function sizeOf(vault: Vault, name: string, call: Call): Promise<number> {
  for await (const found of vault.list(name, call)) if (found.name === name) return found.bytes;
  return 0;
}
