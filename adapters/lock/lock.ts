/**
 * Port `RunLock`: an Azure lease on a blob outside both sites, with who holds it. The lease is the heartbeat: it runs out, by the
 * store's own clock, 20 s after its last renewal. It is taken over earlier only from a process of this machine that is dead.
 */
import { randomUUID } from 'node:crypto';
import * as os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { StandbyError } from '../../failover/errors';
import type { RunLock } from '../../failover/ports';
import { beganAt, isAlive, machine } from './processes';

export interface Holder {
  readonly run: string;
  /** `user@host` */
  readonly who: string;
  readonly host: string;
  readonly machine: string;
  readonly pid: number;
  /** When the process began and when it took the lock, milliseconds since 1970. */
  readonly began: number;
  readonly since: number;
}

export interface LockOptions {
  /** @throws where it can't be opened */
  readonly container: () => ContainerClient;
  /** Told whose lock ran out, or was taken from the dead: what it ran has ended with it. */
  readonly tookOver?: (holder: Holder) => void;
}

const blobName = 'run-lock';
const leaseSeconds = 20;
const renewMs = 4_000;
/** Without a renewal for so long the lock counts as lost: well before anybody else can have it. */
const lostMs = 14_000;
const limitMs = 4_000;
const namedMs = 2_000;

const limited = () => ({ abortSignal: AbortSignal.timeout(limitMs) });
const statusOf = (cause: unknown) => (cause as { statusCode?: number }).statusCode;
const codeOf = (cause: unknown) => (cause as { code?: string }).code ?? (cause as Error).name;

export const whoAmI = (): string => {
  try {
    return `${os.userInfo().username}@${os.hostname()}`;
  } catch {
    // A container may run a user that has no name.
    return `${process.getuid?.() ?? 'user'}@${os.hostname()}`;
  }
};

const inProgress = (holder: Holder | undefined): StandbyError =>
  new StandbyError(
    'RunInProgress',
    holder
      ? `run ${holder.run} is under way: ${holder.who} (process ${holder.pid}) since ${new Date(holder.since).toISOString()}; wait until it ends, or end that process and \`standby resume\``
      : 'another run is about to begin: wait a moment, then `standby status`',
    { exit: 'refused' },
  );

class BlobLock implements RunLock {
  constructor(private readonly options: LockOptions) {}

  async acquire(run: string) {
    const began = beganAt(process.pid) ?? 0;
    const own = {
      run,
      who: whoAmI(),
      host: os.hostname(),
      machine: machine(),
      pid: process.pid,
      began,
      since: Date.now(),
    };
    const leaseId = randomUUID();
    try {
      const blob = this.options.container().getBlockBlobClient(blobName);
      const before = await this.take(blob, leaseId);
      await this.enter(blob, leaseId, own);
      if (before) this.options.tookOver?.(before);
      return new Held(blob, leaseId);
    } catch (cause) {
      if (cause instanceof StandbyError) throw cause;
      throw new StandbyError(
        'LeaseStoreUnreachable',
        `the store outside both sites, which lets one run go at a time, can't be used (${codeOf(cause)}): nothing was done; check the account, your access and the network`,
        { exit: 'person', cause },
      );
    }
  }

  /** @returns who had it and did not give it back. */
  private async take(blob: BlockBlobClient, leaseId: string): Promise<Holder | undefined> {
    await create(blob);
    const lease = blob.getBlobLeaseClient(leaseId);
    for (let attempt = 1; ; attempt++) {
      try {
        await lease.acquireLease(leaseSeconds, limited());
        return (await read(blob)).holder;
      } catch (cause) {
        if (statusOf(cause) !== 409) throw cause;
        const { holder, etag } = await readNamed(blob);
        const isDead = holder?.machine === machine() && !isAlive(holder.pid, holder.began);
        if (!isDead || attempt > 1) throw inProgress(holder);
        // Whoever has written its name since is not the dead one.
        await lease.breakLease(0, { conditions: { ifMatch: etag }, ...limited() }).catch((refused: unknown) => {
          if (statusOf(refused) !== 412) throw refused;
        });
      }
    }
  }

  private async enter(blob: BlockBlobClient, leaseId: string, own: Holder): Promise<void> {
    try {
      await write(blob, leaseId, own);
    } catch (cause) {
      // Taken for the dead one that had it before, by somebody who came at the same time.
      if (statusOf(cause) === 412) throw inProgress((await readNamed(blob)).holder);
      throw cause;
    }
  }
}

async function create(blob: BlockBlobClient): Promise<void> {
  try {
    await blob.upload('', 0, { conditions: { ifNoneMatch: '*' }, ...limited() });
  } catch (cause) {
    // It is there; 412 while somebody holds its lease.
    if (statusOf(cause) !== 409 && statusOf(cause) !== 412) throw cause;
  }
}

async function write(blob: BlockBlobClient, leaseId: string, holder: Holder | undefined): Promise<void> {
  const text = holder ? JSON.stringify(holder) : '';
  await blob.upload(text, Buffer.byteLength(text), { conditions: { leaseId }, ...limited() });
}

interface Entry {
  readonly holder?: Holder;
  readonly etag: string;
}

async function read(blob: BlockBlobClient): Promise<Entry> {
  const { readableStreamBody, etag = '' } = await blob.download(0, undefined, limited());
  const parts: Buffer[] = [];
  for await (const part of readableStreamBody ?? []) parts.push(Buffer.from(part));
  const text = Buffer.concat(parts).toString('utf8');
  return { ...(text ? { holder: JSON.parse(text) as Holder } : {}), etag };
}

/** Who has just taken it writes its name next. */
async function readNamed(blob: BlockBlobClient): Promise<Entry> {
  for (const end = performance.now() + namedMs; ; await delay(namedMs / 20)) {
    const entry = await read(blob);
    if (entry.holder || performance.now() > end) return entry;
  }
}

class Held {
  private readonly stop = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private renewedAt = performance.now();
  private renewing = false;

  constructor(
    private readonly blob: BlockBlobClient,
    private readonly leaseId: string,
  ) {
    this.timer = setInterval(() => void this.renew(), renewMs).unref();
  }

  get lost(): AbortSignal {
    return this.stop.signal;
  }

  private async renew(): Promise<void> {
    const sentAt = performance.now();
    if (sentAt - this.renewedAt > lostMs) return this.lose('the store did not answer');
    if (this.renewing) return;
    this.renewing = true;
    try {
      await this.blob.getBlobLeaseClient(this.leaseId).renewLease(limited());
      this.renewedAt = sentAt;
    } catch (cause) {
      if ([404, 409, 412].includes(statusOf(cause) ?? 0)) this.lose('somebody else has it');
    } finally {
      this.renewing = false;
    }
  }

  private lose(why: string): void {
    clearInterval(this.timer);
    const message = `the lock of the run is lost (${why}): this run has stopped; \`standby status\`, then \`standby resume\``;
    this.stop.abort(new StandbyError('LockLost', message, { exit: 'resumable' }));
  }

  /** Never fails: a lock that can't be given back runs out. */
  async release(): Promise<void> {
    clearInterval(this.timer);
    if (this.stop.signal.aborted) return;
    try {
      await write(this.blob, this.leaseId, undefined);
      await this.blob.getBlobLeaseClient(this.leaseId).releaseLease(limited());
    } catch {
      // it runs out by itself
    }
  }
}

export const createLock = (options: LockOptions): RunLock => new BlobLock(options);

/** @returns who holds the lock now; undefined when nobody does. */
export async function lockHolder(container: ContainerClient): Promise<Holder | undefined> {
  const blob = container.getBlockBlobClient(blobName);
  try {
    const { leaseState } = await blob.getProperties(limited());
    return leaseState === 'leased' ? (await read(blob)).holder : undefined;
  } catch (cause) {
    if (statusOf(cause) === 404) return undefined;
    throw cause;
  }
}
