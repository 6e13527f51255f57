/**
 * Data set `documents`: they are versioned and read-only where they lie, so what is restored is one version of one of them. It becomes
 * the newest; the versions before it stay, and with them the one that was wrong.
 */
import { RestError, type ContainerClient } from '@azure/storage-blob';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Instant } from '../../../backup/model';
import type { Call } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';

export interface DocumentVersion {
  /** As the storage names it; it is a moment. */
  readonly version: string;
  readonly at: Instant;
  readonly bytes: number;
  /** What a reader gets now; none of them, where the document was deleted. */
  readonly current: boolean;
}

/** @returns the versions of a document, the newest first. @throws StandbyError NoSuchDocument */
export async function versionsOf(
  container: ContainerClient,
  name: string,
  { signal }: Call,
): Promise<readonly DocumentVersion[]> {
  const found: DocumentVersion[] = [];
  const options = { prefix: name, includeVersions: true, abortSignal: signal };
  await asking(async () => {
    for await (const { name: other, versionId, isCurrentVersion, properties } of container.listBlobsFlat(options)) {
      if (other !== name || versionId === undefined) continue;
      found.push({
        ...{ version: versionId, at: Date.parse(versionId), bytes: properties.contentLength ?? 0 },
        current: isCurrentVersion ?? false,
      });
    }
  });
  if (found.length > 0) return found.sort((one, other) => (one.version < other.version ? 1 : -1));
  throw new StandbyError(
    'NoSuchDocument',
    `there is no document ${JSON.stringify(name)}, nor was there one: check its name`,
  );
}

/** @throws StandbyError NoSuchDocument, NoSuchVersion */
async function versionOf(container: ContainerClient, name: string, version: string, call: Call) {
  const versions = await versionsOf(container, name, call);
  const found = versions.find((one) => one.version === version);
  if (found) return { found, current: versions.find(({ current }) => current) };
  const known = versions.slice(0, 3).map((one) => one.version);
  throw new StandbyError(
    'NoSuchVersion',
    `document ${name} has no version "${version}": the newest are ${known.join(', ')}`,
  );
}

/** Writes one version into a file that is new. @throws StandbyError FileExists */
export async function saveVersion(
  container: ContainerClient,
  name: string,
  version: string,
  file: string,
  call: Call,
): Promise<void> {
  await versionOf(container, name, version, call);
  const blob = container.getBlobClient(name).withVersion(version);
  const { readableStreamBody } = await asking(() => blob.download(0, undefined, { abortSignal: call.signal }));
  const target = fs.createWriteStream(file, { flags: 'wx', mode: 0o600 });
  await pipeline(readableStreamBody!, target, { signal: call.signal }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new StandbyError('FileExists', `${file} is there already: name one that is new, nothing is overwritten`);
  });
}

/** Makes one version the newest. @returns false where it is what a reader gets already. @throws StandbyError RestoreFailed */
export async function restoreVersion(
  container: ContainerClient,
  name: string,
  version: string,
  call: Call,
): Promise<boolean> {
  const { found, current } = await versionOf(container, name, version, call);
  const blob = container.getBlobClient(name);
  const wanted = blob.withVersion(found.version);
  const digest = await digestOf(wanted, call);
  if (current && current.bytes === found.bytes && (await digestOf(blob, call)) === digest) return false;
  await asking(async () => {
    const options = { abortSignal: call.signal, intervalInMs: 200 };
    await (await blob.beginCopyFromURL(wanted.url, options)).pollUntilDone();
  });
  if ((await digestOf(blob, call)) === digest) return true;
  throw new StandbyError(
    'RestoreFailed',
    `document ${name} is not what version ${version} was: somebody wrote to it just now`,
    {
      exit: 'resumable',
    },
  );
}

async function digestOf(blob: ReturnType<ContainerClient['getBlobClient']>, { signal }: Call): Promise<string> {
  const { readableStreamBody } = await asking(() => blob.download(0, undefined, { abortSignal: signal }));
  const hash = createHash('sha256');
  for await (const chunk of readableStreamBody!) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function asking<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof RestError)) throw cause;
    const why = cause.code ?? cause.message.split('\n')[0] ?? 'no reason given';
    throw new StandbyError('DocumentsUnread', `the store of documents refuses (${why}): check its address and ARM_*`, {
      retryable: cause.statusCode === undefined || cause.statusCode >= 500,
      cause,
    });
  }
}
