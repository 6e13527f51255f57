/**
 * Writes, one at a time per resource, and refused where the resource that they hold is held already. A quick one is answered at once; one that takes longer becomes a long-running operation
 * that the caller polls and that is on disk: when the service is killed in the middle, the next start takes it up again.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ArmError, type ArmResource, type Json } from './kind';
import { readJson, writeAtomically } from './store';

export interface Work {
  readonly method: 'PUT' | 'DELETE' | 'POST';
  /** Id of the resource. */
  readonly id: string;
  readonly action?: string;
  /** Id of the resource that takes no other write meanwhile. */
  readonly holds?: string;
  /** Validated and free of secrets. */
  readonly body?: Json;
}

export interface Operation extends Work {
  readonly operation: string;
  readonly startTime: string;
  readonly endTime?: string;
  readonly status: 'InProgress' | 'Succeeded' | 'Failed';
  readonly error?: { readonly code: string; readonly message: string };
  readonly result?: unknown;
}

export type Outcome<T> = { readonly done: T } | { readonly operation: Operation };

/** What `GET` shows of a resource while it is being made or changed. */
export type Pending = Pick<ArmResource, 'properties'> & Json;

const errorOf = (cause: unknown) => ({
  code: cause instanceof ArmError ? cause.code : 'InternalServerError',
  message: (cause as Error).message,
});

export class Operations {
  private readonly known = new Map<string, Operation>();
  /** The tail of each resource's queue of writes. */
  private readonly tails = new Map<string, Promise<unknown>>();
  private readonly slow = new Map<string, Operation>();
  private readonly held = new Set<string>();

  constructor(
    private readonly folder: string,
    private readonly log: (line: string) => void,
    /** A write that is not done by then becomes a long-running operation. */
    private readonly graceMs = 1_000,
  ) {
    fs.mkdirSync(folder, { recursive: true });
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      const operation = readJson<Operation>(path.join(folder, file)) as Operation;
      this.known.set(operation.operation, operation);
    }
  }

  get(operation: string): Operation | undefined {
    return this.known.get(operation);
  }

  /** The long-running operation under way on a resource. */
  underWay(id: string): Operation | undefined {
    return this.slow.get(id.toLowerCase());
  }

  private save(operation: Operation): Operation {
    writeAtomically(path.join(this.folder, `${operation.operation}.json`), operation);
    this.known.set(operation.operation, operation);
    return operation;
  }

  /** @throws ArmError 409 while a long-running operation on the same resource is under way; what `act` throws within the grace */
  async run<T>(work: Work, act: () => Promise<T>): Promise<Outcome<T>> {
    const key = work.id.toLowerCase();
    const busy = this.slow.get(key);
    if (busy) {
      const message = `Another operation (${busy.operation}) is in progress on '${work.id}'. Retry after it has ended.`;
      throw new ArmError(409, 'AnotherOperationInProgress', message, { 'retry-after': '1' });
    }
    const release = this.hold(work);
    const before = this.tails.get(key) ?? Promise.resolve();
    const result = before.then(act).finally(release);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.tails.set(key, settled);
    void settled.then(() => this.tails.get(key) === settled && this.tails.delete(key));
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<'slow'>((resolve) => (timer = setTimeout(() => resolve('slow'), this.graceMs)));
    const first = await Promise.race([result.then((done) => ({ done })), grace]).finally(() => clearTimeout(timer));
    return first === 'slow' ? { operation: this.follow(this.open(work), result) } : first;
  }

  /** @returns the function that ends it. @throws ArmError 409 */
  private hold({ holds }: Work): () => void {
    if (holds === undefined) return () => undefined;
    const key = holds.toLowerCase();
    if (this.held.has(key)) {
      const name = holds.slice(holds.lastIndexOf('/') + 1);
      const message = `Cannot complete operation while server '${name}' is busy processing another operation. Try again later.`;
      throw new ArmError(409, 'ServerIsBusy', message);
    }
    this.held.add(key);
    return () => this.held.delete(key);
  }

  private open(work: Work): Operation {
    return this.save({ ...work, operation: randomUUID(), startTime: new Date().toISOString(), status: 'InProgress' });
  }

  private follow(operation: Operation, result: Promise<unknown>): Operation {
    const key = operation.id.toLowerCase();
    this.slow.set(key, operation);
    const end = (more: Partial<Operation>) => {
      this.slow.delete(key);
      this.save({ ...operation, ...more, endTime: new Date().toISOString() });
    };
    result.then(
      // The result of a PUT is the resource; only what an action answers is kept, and that holds no secret when it is slow.
      (done) => end({ status: 'Succeeded', ...(operation.method === 'POST' ? { result: done } : {}) }),
      (cause: unknown) => {
        this.log(`${operation.method} ${operation.id} failed: ${(cause as Error).message}`);
        end({ status: 'Failed', error: errorOf(cause) });
      },
    );
    return operation;
  }

  /** After a start: PUT and DELETE that a kill interrupted are done again, actions are reported as failed. */
  resume(act: (work: Work) => Promise<unknown>): void {
    for (const operation of this.known.values()) {
      if (operation.status !== 'InProgress') continue;
      this.log(`resuming ${operation.method} ${operation.id}`);
      const interrupted = new ArmError(
        500,
        'OperationPreempted',
        'The operation was interrupted by a restart of the service. Repeat it.',
      );
      const release = this.hold(operation);
      const result = operation.method === 'POST' ? Promise.reject(interrupted) : act(operation);
      this.follow(operation, result.finally(release));
    }
  }
}
