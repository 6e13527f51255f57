/**
 * Backup storage at a site: a container whose immutability policy lets nobody, its owner included, change or delete a blob before its
 * time. The policy's days count from when a blob was made, the same for all; what retention wants longer is not locked after them,
 * so the storage's `backup.retentionDays` is to be as long as the longest of `backup.retention`.
 */
import { RestError, type ContainerClient } from '@azure/storage-blob';
import { Readable } from 'node:stream';
import type { Call, Vault } from '../../../backup/ports';
import { containerClient } from '../../store/client';
import { notLocked, objectExists, objectLocked, objectMissing, vaultFault } from './faults';

/** Uploaded side by side, held in memory. */
const blockBytes = 8 * 1024 * 1024;
const blocksAtOnce = 3;
/** A block may take this long on a slow line; a backup waits for nothing without an end. */
const patience = { tryMs: 120_000, tries: 5 };

export interface AzurePlace {
  readonly name: string;
  /** `https://ACCOUNT.blob.core.windows.net/`. */
  readonly endpoint: string;
  readonly container: string;
  /** Of the container's policy and of the account's life cycle. @default - unknown */
  readonly keepsDays?: number | undefined;
}

export const azureVault = (place: AzurePlace, environment: Parameters<typeof containerClient>[1]): Vault =>
  vaultOf(place.name, containerClient(place, environment, patience), place.keepsDays);

/** @param container - with whatever credentials. */
export function vaultOf(name: string, container: ContainerClient, keepsDays?: number): Vault {
  let locked: Promise<void> | undefined;
  const checkLock = (call: Call) =>
    (locked ??= isLocked(name, container, call).catch((cause: unknown) => {
      locked = undefined;
      throw cause;
    }));
  return {
    traits: {
      ...{ name, medium: 'azure-blob', offsite: false, offline: false },
      ...(keepsDays === undefined ? {} : { keepsDays }),
    },
    put: async (object, body, _keepUntil, call) => {
      await checkLock(call);
      const stream = Buffer.isBuffer(body) ? Readable.from([body], { objectMode: false }) : (body as Readable);
      const options = { abortSignal: call.signal, conditions: { ifNoneMatch: '*' } };
      await container
        .getBlockBlobClient(object)
        .uploadStream(stream, blockBytes, blocksAtOnce, options)
        .catch((cause: unknown) => {
          // The policy forbids the overwrite before the condition is looked at.
          throw isImmutable(cause) ? objectExists(name, object) : faultOf(name, object, cause, call);
        });
    },
    get: async (object, call) => {
      const { readableStreamBody } = await container
        .getBlobClient(object)
        .download(0, undefined, { abortSignal: call.signal, maxRetryRequests: 5 })
        .catch((cause: unknown) => {
          throw faultOf(name, object, cause, call);
        });
      return readableStreamBody!;
    },
    list: (prefix, call) => list(name, container, prefix, call),
    remove: async (object, call) => {
      await container
        .getBlobClient(object)
        .deleteIfExists({ abortSignal: call.signal, deleteSnapshots: 'include' })
        .catch((cause: unknown) => {
          throw faultOf(name, object, cause, call);
        });
    },
  };
}

async function isLocked(name: string, container: ContainerClient, call: Call): Promise<void> {
  const { hasImmutabilityPolicy, hasLegalHold } = await container
    .getProperties({ abortSignal: call.signal })
    .catch((cause: unknown) => {
      throw faultOf(name, container.containerName, cause, call);
    });
  if (!hasImmutabilityPolicy && !hasLegalHold) {
    throw notLocked(name, `container ${container.containerName} has no immutability policy`);
  }
}

async function* list(name: string, container: ContainerClient, prefix: string, call: Call) {
  try {
    for await (const { name: object, properties } of container.listBlobsFlat({ prefix, abortSignal: call.signal })) {
      yield { name: object, bytes: properties.contentLength ?? 0 };
    }
  } catch (cause) {
    throw faultOf(name, prefix, cause, call);
  }
}

const isImmutable = (cause: unknown) => cause instanceof RestError && /^BlobImmutableDueTo/.test(cause.code ?? '');

function faultOf(vault: string, object: string, cause: unknown, { signal }: Call): unknown {
  if (signal.aborted) return signal.reason;
  if (!(cause instanceof RestError)) return vaultFault(vault, object, undefined, cause as Error);
  const { code = '', statusCode } = cause;
  if (code === 'BlobAlreadyExists' || statusCode === 412) return objectExists(vault, object);
  if (isImmutable(cause)) return objectLocked(vault, object, cause);
  if (statusCode === 404) return objectMissing(vault, object);
  return vaultFault(vault, object, statusCode, new Error(code || cause.message.split('\n')[0]));
}
