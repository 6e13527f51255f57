/**
 * The copy that no attacker reaches: backups written to a mounted medium, read back, and taken away by a person. What proves it is a
 * receipt in the site's vault; what it does not prove is that the medium was taken away, so as long as its folder can be read
 * here it counts as online, and not as offline.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { digesting } from '../digest';
import { manifestName, newId, partName, receiptName } from '../../../backup/names';
import type { Instant, Manifest } from '../../../backup/model';
import type { Call, Vault } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { objectExists, objectLocked, objectMissing } from './faults';

const receiptSchema = z.object({
  format: z.literal(1),
  /** What stands on the medium. */
  label: z.string().min(1),
  at: z.number(),
  /** Where the export lay when it was written. */
  folder: z.string().min(1),
  backups: z.array(z.object({ dataSet: z.string(), id: z.string(), recoveryPoint: z.number() })),
  /** SHA-256 by object. */
  digests: z.record(z.string(), z.string()),
});
export type Receipt = z.infer<typeof receiptSchema>;

/** A receipt is wanted for as long as the medium may lie in its safe. */
const receiptMs = 400 * 86_400_000;

/** A folder of a medium as a vault: written once, synced, read-only. Its permissions are no lock; being taken away is. */
export function mediumVault(label: string, folder: string): Vault {
  const root = path.resolve(folder);
  const fileOf = (name: string) => {
    const file = path.resolve(root, name);
    if (!file.startsWith(root + path.sep)) throw objectMissing(label, name);
    return file;
  };
  return {
    traits: { name: label, medium: 'file', offsite: false, offline: false },
    put: async (name, body, _keepUntil, { signal }) => {
      const file = fileOf(name);
      await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      const handle = await fs.open(file, 'wx', 0o400).catch((cause: NodeJS.ErrnoException) => {
        throw cause.code === 'EEXIST' ? objectExists(label, name) : mediumFault(label, cause);
      });
      try {
        const target = createWriteStream('', { fd: handle.fd, autoClose: false });
        await pipeline(Buffer.isBuffer(body) ? [body] : (body as Readable), target, { signal });
        await handle.sync();
      } catch (cause) {
        await fs.rm(file, { force: true });
        throw signal.aborted ? signal.reason : mediumFault(label, cause as Error);
      } finally {
        await handle.close().catch(() => undefined);
      }
      await syncFolder(path.dirname(file));
    },
    get: async (name) => {
      const file = fileOf(name);
      await fs.access(file).catch(() => {
        throw objectMissing(label, name);
      });
      return createReadStream(file);
    },
    list: (prefix) => listFolder(root, prefix),
    // Pruning is for what runs by itself; a medium is overwritten by a person.
    remove: async (name) => {
      throw objectLocked(label, name);
    },
  };
}

const mediumFault = (label: string, cause: Error) =>
  new StandbyError('MediumFault', `medium ${label} can't be written: ${cause.message}`, { exit: 'fault', cause });

async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder);
  await handle.sync().finally(() => handle.close());
}

async function* listFolder(root: string, prefix: string) {
  const entries = await fs.readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(root, file).split(path.sep).join('/');
    if (name.startsWith(prefix)) yield { name, bytes: (await fs.stat(file)).size };
  }
}

export interface ExportOptions {
  readonly from: Vault;
  /** On the medium; the export gets a folder of its own in it. */
  readonly folder: string;
  readonly label: string;
  readonly company: string;
  readonly manifests: readonly Manifest[];
  readonly now: Instant;
}

/**
 * Copies backups to a medium, reads every byte back, and leaves the receipt in the vault that they came from.
 * @throws StandbyError MediumMissing, MediumFault; BackupCorrupt when what was read back is not what was kept.
 */
export async function exportToMedium(options: ExportOptions, call: Call): Promise<Receipt> {
  const { from, label, company, manifests, now } = options;
  const stat = await fs.stat(options.folder).catch(() => undefined);
  if (!stat?.isDirectory()) {
    throw new StandbyError('MediumMissing', `${options.folder} is no folder: mount the medium and name a folder on it`);
  }
  const folder = path.join(path.resolve(options.folder), `${label}-${newId(now, '').slice(0, -1)}`);
  const medium = mediumVault(label, folder);
  const digests: Record<string, string> = {};
  const copy = async (name: string, sha256: string | undefined) => {
    const digest = digesting();
    const stream = (await from.get(name, call)) as Readable;
    stream.on('error', (cause) => digest.destroy(cause));
    await medium.put(name, stream.pipe(digest), 0, call);
    const again = await digestOf(path.join(folder, name));
    if (again !== digest.sha256() || (sha256 ?? again) !== again) {
      throw new StandbyError(
        'BackupCorrupt',
        `${name} on medium ${label} is not what vault ${from.traits.name} keeps`,
        {
          exit: 'safe',
        },
      );
    }
    digests[name] = again;
  };
  for (const { dataSet, id, parts } of manifests) {
    call.progress(`${dataSet} ${id} to ${label}`);
    for (const { name, sha256 } of parts) await copy(partName(company, dataSet, id, name), sha256);
    await copy(manifestName(company, dataSet, id), undefined);
  }
  const receipt: Receipt = {
    ...{ format: 1, label, at: now, folder, digests },
    backups: manifests.map(({ dataSet, id, recoveryPoint }) => ({ dataSet, id, recoveryPoint })),
  };
  const text = Buffer.from(`${JSON.stringify(receipt, undefined, 2)}\n`);
  await medium.put('receipt.json', text, 0, call);
  await closeFolders(folder);
  await from.put(receiptName(company, label, now), text, now + receiptMs, call);
  return receipt;
}

async function closeFolders(folder: string): Promise<void> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  const folders = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name));
  for (const one of [...folders, folder]) await fs.chmod(one, 0o500);
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** @returns the receipts of all exports, the newest first. What is no receipt is left out. */
export async function readReceipts(vault: Vault, company: string, call: Call): Promise<readonly Receipt[]> {
  const receipts: Receipt[] = [];
  for await (const { name } of vault.list(`receipts/${company}/`, call)) {
    const chunks: Buffer[] = [];
    for await (const chunk of await vault.get(name, call)) chunks.push(chunk as Buffer);
    const read = receiptSchema.safeParse(parsed(Buffer.concat(chunks).toString('utf8')));
    if (read.success) receipts.push(read.data);
  }
  return receipts.sort((a, b) => b.at - a.at);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Whether an export can be read from here: then it is as exposed as this machine is, whatever its label says. */
export const isOnline = ({ folder }: Receipt): Promise<boolean> =>
  fs.access(folder).then(
    () => true,
    // Only that it is not there proves anything: a folder that may not be read is there.
    (cause: NodeJS.ErrnoException) => cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR',
  );

/**
 * Reads a medium that was brought back, every byte of it.
 * @returns the names of what is not as its receipt says; none when it is whole.
 */
export async function checkMedium({ folder, digests }: Receipt): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, sha256] of Object.entries(digests)) {
    const found = await digestOf(path.join(folder, name)).catch(() => undefined);
    if (found !== sha256) wrong.push(name);
  }
  return wrong;
}
