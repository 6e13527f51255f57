/** Who may do it: shared keys, shared access signatures, and tokens of the sandbox's login service with role assignments. */
import type * as http from 'node:http';
import { authenticate, may, storageAudiences } from '../azure/access';
import type { Account } from './accounts';
import { call } from './backend';
import { faults } from './fault';
import type { Operation, Target } from './request';
import { isSigned } from './shared-key';

/** `checked`: the layer signs what goes on. `signature`: Azurite checks the signature in the query. */
export type Grant = { readonly kind: 'checked'; readonly principal?: string } | { readonly kind: 'signature' };

const clockSkewMs = 15 * 60_000;
const containers = 'Microsoft.Storage/storageAccounts/blobServices/containers';

const containerActions: Partial<Record<Operation, string>> = {
  createContainer: `${containers}/write`,
  setContainer: `${containers}/write`,
  deleteContainer: `${containers}/delete`,
  readContainer: `${containers}/read`,
};

interface Needed {
  readonly action: string;
  readonly plane: 'control' | 'data';
}

function needed(operation: Operation, target: Target, method: string): Needed {
  const control = containerActions[operation];
  if (control) return { action: control, plane: 'control' };
  const reads = method === 'GET' || method === 'HEAD';
  if (operation === 'service')
    return {
      action: reads ? `${containers}/read` : 'Microsoft.Storage/storageAccounts/blobServices/write',
      plane: 'control',
    };
  if (operation === 'lease' && target.blob === undefined)
    return { action: `${containers}/lease/action`, plane: 'control' };
  const verbs: Partial<Record<Operation, string>> = {
    read: target.query.get('comp') === 'tags' ? 'tags/read' : 'read',
    list: 'read',
    tags: 'tags/write',
    delete: target.query.has('versionid') ? 'deleteBlobVersion/action' : 'delete',
  };
  return { action: `${containers}/blobs/${verbs[operation] ?? 'write'}`, plane: 'data' };
}

const resourceOf = (account: Account, container: string | undefined) => {
  if (container === undefined) return account.id ?? '';
  return account.containers[container]?.id ?? `${account.id}/blobServices/default/containers/${container}`;
};

/** @throws StorageFault when the principal has no role that allows the operation. */
async function checkToken(
  request: http.IncomingMessage,
  target: Target,
  operation: Operation,
  account: Account,
): Promise<Grant> {
  const principal = await authenticate(request.headers.authorization, storageAudiences);
  if (!principal) throw faults.invalidToken();
  const { action, plane } = needed(operation, target, request.method ?? 'GET');
  if (!account.id || !may(principal.objectId, action, resourceOf(account, target.container), plane))
    throw faults.permission();
  return { kind: 'checked', principal: principal.objectId };
}

/** A token that may write here does not thereby read there. @throws StorageFault */
export function checkCopySource(grant: Grant, account: Account, container: string): void {
  if (grant.kind !== 'checked' || grant.principal === undefined) return;
  if (!may(grant.principal, `${containers}/blobs/read`, resourceOf(account, container), 'data'))
    throw faults.permission();
}

function checkKey(request: http.IncomingMessage, target: Target, account: Account): Grant {
  const { headers, method = 'GET' } = request;
  const sent = Date.parse(String(headers['x-ms-date'] ?? headers.date ?? ''));
  const inTime = Math.abs(sent - Date.now()) <= clockSkewMs;
  const signed = isSigned(method, headers, account.name, target.signedPath, target.query, account.keys);
  if (!inTime || !signed) throw faults.authentication();
  return { kind: 'checked' };
}

/** @throws StorageFault in the vendor's words. */
export async function authorize(
  request: http.IncomingMessage,
  target: Target,
  operation: Operation,
  account: Account,
): Promise<Grant> {
  const header = request.headers.authorization;
  const signature = target.query.has('sig');
  if (header === undefined && !signature) throw faults.publicAccess();
  if (header?.startsWith('Bearer ')) return checkToken(request, target, operation, account);
  if (!account.allowSharedKeyAccess) throw faults.keysRefused();
  return header === undefined ? { kind: 'signature' } : checkKey(request, target, account);
}

/**
 * Has Azurite check a signature before the layer answers by itself: with a read of the same blob or list as it is now.
 * @throws StorageFault when the signature does not allow that.
 */
export async function probe(grant: Grant, target: Target, account: Account): Promise<void> {
  if (grant.kind === 'checked') return;
  const query = new URLSearchParams(target.query);
  for (const name of ['versionid', 'include', 'marker', 'maxresults']) query.delete(name);
  const method = target.blob === undefined ? 'GET' : 'HEAD';
  const { status } = await call({ method, account: account.name, path: target.path, query }, undefined);
  if (status === 401 || status === 403) throw faults.authentication();
}
