/** Write once, read many: what the immutability policy of a container, or of an account's versions, or a legal hold forbids. */
import type { StorageContainer } from '../azure/storage';
import type { Account } from './accounts';
import { blobPath, call } from './backend';
import { faults } from './fault';
import { hiddenContainer } from './hidden';
import type { Operation } from './request';
import { headOf } from './versions';

const dayMs = 86_400_000;

/** @returns whether a blob that was created then is still within its retention. */
export const isRetained = (created: string, days: number, now = Date.now()) => now < Date.parse(created) + days * dayMs;

/** @throws StorageFault when a version may not be deleted: its own age counts, not that of the blob that it was of. */
export function checkVersion(
  { containers, versionDays }: Account,
  container: string,
  version: string,
  created: string,
): void {
  checkAge(containers[container], created);
  if (versionDays !== undefined && isRetained(version, versionDays)) throw faults.immutable();
}

/** @throws StorageFault when a blob of that age may not be deleted. */
function checkAge(container: StorageContainer | undefined, created: string): void {
  if (container?.legalHold) throw faults.legalHold();
  if (container?.immutability && isRetained(created, container.immutability.days)) throw faults.immutable();
}

const writes: ReadonlySet<Operation> = new Set(['overwrite', 'setMetadata', 'modify', 'append']);

async function holdsBlobs(account: Account, container: string): Promise<boolean> {
  const query = new URLSearchParams({ restype: 'container', comp: 'list', maxresults: '1', include: 'snapshots' });
  const lists = [container, hiddenContainer(container)].map((name) =>
    call({ method: 'GET', account: account.name, path: blobPath(name), query }, account.keys[0]),
  );
  return (await Promise.all(lists)).some(({ body }) => body.includes('<Blob>'));
}

/**
 * An existing blob can't be changed while there is a policy, also when its own retention is over: then it can be deleted.
 * @throws StorageFault 409 when the operation is forbidden.
 */
export async function checkRetention(
  account: Account,
  operation: Operation,
  containerName: string,
  blob: string | undefined,
): Promise<void> {
  const container = account.containers[containerName];
  const isLocked = container && (container.immutability || container.legalHold);
  if (operation === 'deleteContainer') {
    const keeps = isLocked || account.versionDays !== undefined;
    if (keeps && (await holdsBlobs(account, containerName))) throw faults.containerProtected();
    return;
  }
  if (!isLocked) return;
  if (blob === undefined || (operation !== 'delete' && !writes.has(operation))) return;
  const appends = container.immutability?.allowProtectedAppendWrites && !container.legalHold;
  if (operation === 'append' && appends) return;
  const held = await headOf(account, { container: containerName, blob });
  if (!held) return;
  if (operation === 'delete')
    return checkAge(container, String(held.headers['x-ms-creation-time'] ?? held.headers['last-modified']));
  throw container.legalHold ? faults.legalHold() : faults.immutable();
}
