/**
 * A bucket at another provider, over S3.
 *
 * `object`: S3 object lock. Each object is put with COMPLIANCE and a date: until then no key, the owner's included, deletes it or brings
 * the date forward. Such buckets keep versions, so a deletion without a version only lays a marker over the object, and a second
 * write only a version over the first. Each name is written once here, so its oldest version is the backup; markers and later
 * versions are looked through.
 *
 * `bucket`: Cloudflare R2 and others that have no lock for each object and no versions. There rules of the bucket (R2: bucket locks, by
 * prefix and age) keep everything for the same time, which must be the longest that retention wants. S3 has no question that shows
 * them, so it is the person's word that they are there.
 */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { Readable } from 'node:stream';
import type { Call, Vault } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { notLocked, objectExists, objectLocked, objectMissing, vaultFault } from './faults';

export interface S3Place {
  readonly name: string;
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly lock: 'object' | 'bucket';
}

/** @throws StandbyError CredentialsMissing */
export function s3Vault(place: S3Place, environment: Readonly<Record<string, string | undefined>>): Vault {
  const { STANDBY_OFFSITE_KEY_ID: accessKeyId, STANDBY_OFFSITE_SECRET: secretAccessKey } = environment;
  if (!accessKeyId || !secretAccessKey) {
    throw new StandbyError(
      'CredentialsMissing',
      `vault ${place.name} needs STANDBY_OFFSITE_KEY_ID and STANDBY_OFFSITE_SECRET: set both`,
    );
  }
  // It would tell whoever reads an error of newer versions of Node.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  const client = new S3Client({
    endpoint: place.endpoint,
    region: place.region,
    credentials: { accessKeyId, secretAccessKey },
    // Every provider has this form; a bucket's own host name is not in every certificate.
    forcePathStyle: true,
    maxAttempts: 5,
    // Every byte is held against the manifest, which says more than a checksum that the storage keeps beside it.
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return new S3Vault(place, client);
}

/** Uploaded side by side, held in memory. 16 MiB × 10,000 parts is the largest object, 160 GiB. */
const partBytes = 16 * 1024 * 1024;
const partsAtOnce = 2;

interface Version {
  readonly name: string;
  readonly bytes: number;
  readonly version?: string;
}

class S3Vault implements Vault {
  readonly traits;
  private locked: Promise<void> | undefined;

  constructor(
    private readonly place: S3Place,
    private readonly client: S3Client,
  ) {
    this.traits = { name: place.name, medium: 's3', offsite: true, offline: false } as const;
  }

  async put(object: string, body: NodeJS.ReadableStream | Buffer, keepUntil: number, call: Call): Promise<void> {
    const { bucket, lock } = this.place;
    if (lock === 'object') await this.checkLock(call);
    const kept =
      lock === 'object'
        ? { ObjectLockMode: 'COMPLIANCE' as const, ObjectLockRetainUntilDate: new Date(keepUntil) }
        : {};
    const upload = new Upload({
      client: this.client,
      params: { Bucket: bucket, Key: object, Body: body as Readable | Buffer, IfNoneMatch: '*', ...kept },
      partSize: partBytes,
      queueSize: partsAtOnce,
    });
    const stop = () => void upload.abort();
    call.signal.addEventListener('abort', stop, { once: true });
    try {
      await upload.done();
    } catch (cause) {
      throw this.faultOf(object, cause, call);
    } finally {
      call.signal.removeEventListener('abort', stop);
    }
  }

  async get(object: string, call: Call): Promise<NodeJS.ReadableStream> {
    const version = await this.first(object, call);
    const input = { Bucket: this.place.bucket, Key: object, ...(version ? { VersionId: version } : {}) };
    const { Body } = await this.ask(object, call, (options) => this.client.send(new GetObjectCommand(input), options));
    return Body as Readable;
  }

  async *list(prefix: string, call: Call): AsyncIterable<Version> {
    yield* this.place.lock === 'object' ? this.versions(prefix, call) : this.objects(prefix, call);
  }

  async remove(object: string, call: Call): Promise<void> {
    const version = await this.first(object, call).catch((cause: unknown) => {
      if (cause instanceof StandbyError && cause.code === 'ObjectMissing') return undefined;
      throw cause;
    });
    if (version === undefined && this.place.lock === 'object') return;
    const input = { Bucket: this.place.bucket, Key: object, ...(version ? { VersionId: version } : {}) };
    await this.ask(object, call, (options) => this.client.send(new DeleteObjectCommand(input), options)).catch(
      (cause: unknown) => {
        const refused = cause instanceof StandbyError && cause.code === 'VaultRefused';
        // 403 is also what a key without the right to delete is told; either way the storage keeps it.
        throw refused ? objectLocked(this.place.name, object, cause) : cause;
      },
    );
  }

  private checkLock(call: Call): Promise<void> {
    const { bucket, name } = this.place;
    const ask = async () => {
      const found = await this.ask(bucket, call, (options) =>
        this.client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }), options),
      ).catch((cause: unknown) => {
        if (cause instanceof StandbyError && /ObjectLockConfigurationNotFound/.test(cause.message)) return undefined;
        throw cause;
      });
      if (found?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled') return;
      throw notLocked(name, `bucket ${bucket} has no object lock`);
    };
    return (this.locked ??= ask().catch((cause: unknown) => {
      this.locked = undefined;
      throw cause;
    }));
  }

  /** @returns the oldest version of an object; undefined where there are none. @throws StandbyError ObjectMissing */
  private async first(object: string, call: Call): Promise<string | undefined> {
    if (this.place.lock === 'bucket') return undefined;
    for await (const found of this.versions(object, call)) if (found.name === object) return found.version;
    throw objectMissing(this.place.name, object);
  }

  private async *versions(prefix: string, call: Call): AsyncIterable<Version> {
    let from: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
    let held: Version | undefined;
    while (from) {
      const input: ConstructorParameters<typeof ListObjectVersionsCommand>[0] = {
        ...{ Bucket: this.place.bucket, Prefix: prefix },
        ...from,
      };
      const page = await this.ask(prefix, call, (options) =>
        this.client.send(new ListObjectVersionsCommand(input), options),
      );
      // Newest first within a name: the last one of each is the oldest.
      for (const { Key = '', Size = 0, VersionId } of page.Versions ?? []) {
        if (held && held.name !== Key) yield held;
        held = { name: Key, bytes: Size, ...(VersionId ? { version: VersionId } : {}) };
      }
      from = page.IsTruncated
        ? {
            ...(page.NextKeyMarker ? { KeyMarker: page.NextKeyMarker } : {}),
            ...(page.NextVersionIdMarker ? { VersionIdMarker: page.NextVersionIdMarker } : {}),
          }
        : undefined;
    }
    if (held) yield held;
  }

  private async *objects(prefix: string, call: Call): AsyncIterable<Version> {
    let from: string | undefined;
    do {
      const input: ConstructorParameters<typeof ListObjectsV2Command>[0] = {
        ...{ Bucket: this.place.bucket, Prefix: prefix },
        ...(from ? { ContinuationToken: from } : {}),
      };
      const page = await this.ask(prefix, call, (options) =>
        this.client.send(new ListObjectsV2Command(input), options),
      );
      for (const { Key = '', Size = 0 } of page.Contents ?? []) yield { name: Key, bytes: Size };
      from = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (from);
  }

  private async ask<T>(
    what: string,
    call: Call,
    act: (options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await act({ abortSignal: call.signal });
    } catch (cause) {
      throw this.faultOf(what, cause, call);
    }
  }

  private faultOf(object: string, cause: unknown, { signal }: Call): unknown {
    if (signal.aborted) return signal.reason;
    const { name } = this.place;
    if (!(cause instanceof S3ServiceException)) return vaultFault(name, object, undefined, cause as Error);
    const status = cause.$metadata.httpStatusCode;
    if (status === 412 || cause.name === 'PreconditionFailed') return objectExists(name, object);
    if (cause.name === 'NoSuchKey' || cause.name === 'NoSuchVersion') return objectMissing(name, object);
    return vaultFault(name, object, status, new Error(`${cause.name}: ${cause.message}`));
  }
}
