/**
 * The writer lease as one blob. Its lease of the vendor's is without end and says who may renew; its last change says when that was
 * done last, by the store's own clock. Every change is on a condition, so that whoever knows less than the store changes nothing.
 */
import type { BlockBlobClient, ContainerClient, Metadata, RestError } from '@azure/storage-blob';
import { createHash } from 'node:crypto';
import { sites, type Site } from '../../config/fields';
import type { Lease } from '../../failover/lease';

const blobName = 'lease';
const forever = -1;

/** @returns the id under which a site has the lease in an epoch: each of its agents knows it. */
export const leaseId = (company: string, site: Site, epoch: number, purpose = 'hold'): string => {
  const hash = createHash('sha256').update(`${company} ${site} ${epoch} ${purpose}`).digest('hex');
  const parts = [hash.slice(0, 8), hash.slice(8, 12), `5${hash.slice(13, 16)}`, `8${hash.slice(17, 20)}`];
  return [...parts, hash.slice(20, 32)].join('-');
};

export class StoredLease {
  private readonly blob: BlockBlobClient;

  constructor(
    container: ContainerClient,
    private readonly company: string,
  ) {
    this.blob = container.getBlockBlobClient(blobName);
  }

  /** @returns the lease, undefined when nobody ever had it. */
  async look(abortSignal: AbortSignal): Promise<Lease | undefined> {
    try {
      const { metadata = {}, lastModified, date, etag } = await this.blob.getProperties({ abortSignal });
      if (!lastModified || !date || !etag) throw new Error('the store answers without its times');
      const holder = sites.find((site) => site === metadata['holder']);
      return {
        ...(holder ? { holder } : {}),
        epoch: Number(metadata['epoch'] ?? 0),
        released: metadata['released'] === 'true',
        ageMs: date.getTime() - lastModified.getTime(),
        version: etag,
      };
    } catch (cause) {
      if (statusOf(cause) === 404) return undefined;
      throw cause;
    }
  }

  /** @returns whether the store still has it under this site's name. */
  async renew(site: Site, epoch: number, abortSignal: AbortSignal): Promise<boolean> {
    const conditions = { leaseId: leaseId(this.company, site, epoch) };
    return accepted(() => this.blob.setMetadata(contentOf(site, epoch), { abortSignal, conditions }));
  }

  /**
   * Takes the lease from whoever has it, provided that nobody changed it since it was looked at. May be cut off anywhere: who
   * comes next finds it as it was, or taken.
   * @param own - epoch with which the site has it already.
   * @returns whether it was taken.
   */
  async take(
    site: Site,
    epoch: number,
    version: string | undefined,
    abortSignal: AbortSignal,
    own?: number,
  ): Promise<boolean> {
    if (own !== undefined && own < epoch && (await this.carryOn(site, own, epoch, abortSignal))) return true;
    const ifMatch = version ?? (await this.make(abortSignal));
    if (ifMatch === undefined) return false;
    const conditions = { ifMatch };
    const id = leaseId(this.company, site, epoch);
    const client = this.blob.getBlobLeaseClient(id);
    const free = await accepted(() => client.acquireLease(forever, { abortSignal, conditions }));
    if (!free) {
      if (!(await accepted(() => client.breakLease(0, { abortSignal, conditions })))) return false;
      if (!(await accepted(() => client.acquireLease(forever, { abortSignal, conditions })))) return false;
    }
    return accepted(() =>
      this.blob.setMetadata(contentOf(site, epoch), { abortSignal, conditions: { ifMatch, leaseId: id } }),
    );
  }

  /**
   * The same site, in a later epoch. Its agents of before renew it all the time, so no version that was looked at lasts; what counts is
   * that the lease has the site's own name until it has the new one. Cut off in between, nobody can renew it, and `take` ends it.
   */
  private async carryOn(site: Site, own: number, epoch: number, abortSignal: AbortSignal): Promise<boolean> {
    const id = leaseId(this.company, site, epoch);
    const client = this.blob.getBlobLeaseClient(leaseId(this.company, site, own));
    if (!(await accepted(() => client.changeLease(id, { abortSignal })))) return false;
    return accepted(() => this.blob.setMetadata(contentOf(site, epoch), { abortSignal, conditions: { leaseId: id } }));
  }

  /**
   * Gives the lease up: from the first step on no agent of the site can renew it. Idempotent.
   * @returns whether it is given up, by this call or an earlier one.
   */
  async release(site: Site, epoch: number, abortSignal: AbortSignal): Promise<boolean> {
    const leaving = leaseId(this.company, site, epoch, 'release');
    const client = this.blob.getBlobLeaseClient(leaseId(this.company, site, epoch));
    await accepted(() => client.changeLease(leaving, { abortSignal }));
    const metadata = { ...contentOf(site, epoch), released: 'true' };
    await accepted(() => this.blob.setMetadata(metadata, { abortSignal, conditions: { leaseId: leaving } }));
    const lease = await this.look(abortSignal);
    if (lease?.holder !== site || lease.epoch !== epoch) return true;
    if (!lease.released) return false;
    await accepted(() => this.blob.getBlobLeaseClient(leaving).releaseLease({ abortSignal }));
    return true;
  }

  private async make(abortSignal: AbortSignal): Promise<string | undefined> {
    try {
      const conditions = { ifNoneMatch: '*' };
      return (await this.blob.upload('', 0, { abortSignal, conditions, metadata: { epoch: '0' } })).etag;
    } catch (cause) {
      if (statusOf(cause) === 409 || statusOf(cause) === 412) return undefined;
      throw cause;
    }
  }
}

const contentOf = (site: Site, epoch: number): Metadata => ({ holder: site, epoch: String(epoch) });

const statusOf = (cause: unknown) => (cause as Partial<RestError>).statusCode;

/** A condition that does not hold is an answer; everything else is thrown. */
async function accepted(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (cause) {
    if (statusOf(cause) === 409 || statusOf(cause) === 412) return false;
    throw cause;
  }
}
