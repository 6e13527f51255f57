/** Versioning over Azurite, which has none: before a blob is overwritten or deleted, what it holds is kept in a hidden container. */
import type { Account, Accounts } from './accounts';
import { blobPath, call, must, type Reply } from './backend';
import { hiddenBlob, hiddenContainer, nextVersion } from './hidden';
import { VersionIndex, type Change, type Kept } from './version-index';
import { outside, ports } from '../world';

export interface BlobName {
  readonly container: string;
  readonly blob: string;
}

export const keyOf = (account: Account, { container, blob }: BlobName) => `${account.name}/${container}/${blob}`;
const container = new URLSearchParams({ restype: 'container' });

export async function headOf(account: Account, { container: holder, blob }: BlobName): Promise<Reply | undefined> {
  const reply = await call({ method: 'HEAD', account: account.name, path: blobPath(holder, blob) }, account.keys[0]);
  return reply.status === 200 ? reply : undefined;
}

/** Version id of what was written while nobody counted versions: its time. */
const fromTime = (httpDate: string) => new Date(httpDate).toISOString().replace('Z', '0000Z');

export class Versions {
  readonly index = new VersionIndex();
  private readonly locks = new Map<string, Promise<unknown>>();

  /** Whether a change of this blob has to go through `change`. */
  concerns(account: Account, name: BlobName): boolean {
    return account.versioning || this.index.get(keyOf(account, name)).current !== undefined;
  }

  /**
   * Changes a blob and keeps what it held, if the account keeps versions. Changes of one blob wait for each other.
   * @param creates whether there is a blob afterwards: a deletion leaves none
   * @param perform the change itself; tells whether it took place. Gets the version id that the blob will have.
   */
  change(
    account: Account,
    name: BlobName,
    creates: boolean,
    perform: (version: string | undefined) => Promise<boolean>,
  ): Promise<void> {
    const key = keyOf(account, name);
    return this.exclusively(key, async () => {
      const next = creates && account.versioning ? nextVersion() : undefined;
      const keep = account.versioning ? await this.toKeep(account, name, key) : undefined;
      const change: Change = { ...(next ? { next } : {}), ...(keep ? { keep } : {}) };
      this.index.begin(key, change);
      try {
        if (keep) await this.copy(account, name, keep.version);
        if (await perform(next)) this.index.end(key);
        else await this.undo(account, name, key, change);
      } catch (cause) {
        await this.settle(account, name, key, change);
        throw cause;
      }
    });
  }

  /** Deletes a previous version for good. */
  async remove(account: Account, name: BlobName, version: string): Promise<void> {
    await this.removeCopy(account, name, version);
    this.index.drop(keyOf(account, name), version);
  }

  /** Deletes all previous versions of a container. */
  async purge(account: Account, holder: string): Promise<void> {
    const path = blobPath(hiddenContainer(holder));
    await must({ method: 'DELETE', account: account.name, path, query: container }, account.keys[0], [404]);
    this.index.purge(`${account.name}/${holder}/`);
  }

  /** Finds out what became of changes that an earlier run did not see the end of. */
  async recover(accounts: Accounts): Promise<void> {
    for (const [key, change] of this.index.unfinished()) {
      const [, accountName = '', holder = '', blob = ''] = /^([^/]+)\/([^/]+)\/(.*)$/s.exec(key) ?? [];
      const account = await accounts.find(accountName);
      await this.settle(account, { container: holder, blob }, key, change);
    }
  }

  /** Looks at the blob to find out whether a change took place. */
  private async settle(account: Account | undefined, name: BlobName, key: string, change: Change): Promise<void> {
    const now = account ? await headOf(account, name) : undefined;
    const { keep, next } = change;
    const tookPlace = keep ? now?.headers.etag !== keep.etag : (now !== undefined) === (next !== undefined);
    if (tookPlace || !account) this.index.end(key);
    else await this.undo(account, name, key, change);
  }

  private async undo(account: Account, name: BlobName, key: string, { keep }: Change): Promise<void> {
    if (keep) await this.removeCopy(account, name, keep.version);
    this.index.abort(key);
  }

  private async toKeep(account: Account, name: BlobName, key: string): Promise<Kept | undefined> {
    const now = await headOf(account, name);
    if (!now) return undefined;
    const lastModified = now.headers['last-modified'] ?? new Date().toUTCString();
    return {
      version: this.index.get(key).current ?? fromTime(lastModified),
      etag: now.headers.etag ?? '',
      lastModified,
      created: String(now.headers['x-ms-creation-time'] ?? lastModified),
    };
  }

  /** Azurite copies within an account by reference: no data moves. */
  private async copy(account: Account, { container: holder, blob }: BlobName, version: string): Promise<void> {
    const hidden = hiddenContainer(holder);
    const source = `http://${outside.azurite}:${ports.blob}/${account.name}${blobPath(holder, blob)}`;
    const to = {
      method: 'PUT',
      account: account.name,
      path: blobPath(hidden, hiddenBlob(blob, version)),
      headers: { 'x-ms-copy-source': source },
    };
    const first = await call(to, account.keys[0]);
    if (first.headers['x-ms-error-code'] !== 'ContainerNotFound') {
      if (first.status >= 300)
        throw new Error(`version ${version} of ${holder}/${blob} can't be kept: ${first.status}`);
      return;
    }
    await must(
      { method: 'PUT', account: account.name, path: blobPath(hidden), query: container },
      account.keys[0],
      [409],
    );
    await must(to, account.keys[0]);
  }

  private async removeCopy(account: Account, { container: holder, blob }: BlobName, version: string): Promise<void> {
    const path = blobPath(hiddenContainer(holder), hiddenBlob(blob, version));
    await must({ method: 'DELETE', account: account.name, path }, account.keys[0], [404]);
  }

  private exclusively<T>(key: string, act: () => Promise<T>): Promise<T> {
    const result = (this.locks.get(key) ?? Promise.resolve()).then(act);
    const settled: Promise<unknown> = result
      .catch(() => undefined)
      .then(() => this.locks.get(key) === settled && this.locks.delete(key));
    this.locks.set(key, settled);
    return result;
  }
}
