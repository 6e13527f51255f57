/** What a request is about: account, container, blob, and which operation of the Blob service it is. */
import type * as http from 'node:http';
import { faults } from './fault';

export interface Target {
  readonly account: string;
  readonly container: string | undefined;
  readonly blob: string | undefined;
  /** Undecoded, without the account: `/container/blob`. */
  readonly path: string;
  /** Undecoded, as it came: what a shared key signs. */
  readonly signedPath: string;
  readonly query: URLSearchParams;
}

export type Operation =
  | 'read'
  | 'list'
  | 'createContainer'
  | 'deleteContainer'
  | 'setContainer'
  | 'readContainer'
  | 'service'
  | 'overwrite'
  | 'setMetadata'
  | 'modify'
  | 'append'
  | 'stage'
  | 'lease'
  | 'tags'
  | 'tier'
  | 'delete';

/** The name in front of `.blob.`, for URLs in the style of the real service; otherwise the account leads the path. */
const hostAccount = (host: string | undefined) => /^([a-z0-9]{3,24})\.blob\./.exec(host ?? '')?.[1];

/** @throws StorageFault for a path that can't be decoded, or that names a container of the layer's own. */
export function targetOf(request: http.IncomingMessage): Target {
  const url = new URL(request.url ?? '/', 'http://blob');
  const fromHost = hostAccount(request.headers.host);
  const [, first = ''] = url.pathname.split('/', 2);
  const account = fromHost ?? first;
  const path = fromHost === undefined ? url.pathname.slice(first.length + 1) || '/' : url.pathname;
  try {
    const [, container = '', ...rest] = path.split('/').map(decodeURIComponent);
    const blob = rest.join('/');
    if (container.startsWith('$') && container !== '$root') throw faults.containerName();
    const names = { container: container || undefined, blob: blob || undefined };
    return { account, ...names, path, signedPath: url.pathname, query: url.searchParams };
  } catch (cause) {
    throw cause instanceof URIError ? faults.containerName() : cause;
  }
}

const blobOperations: Readonly<Record<string, Operation>> = {
  '': 'overwrite',
  blocklist: 'overwrite',
  metadata: 'setMetadata',
  block: 'stage',
  appendblock: 'append',
  lease: 'lease',
  tags: 'tags',
  tier: 'tier',
};

const reading = (method: string | undefined) => method === 'GET' || method === 'HEAD';

function containerOperation(method: string | undefined, query: URLSearchParams): Operation {
  const comp = query.get('comp');
  if (comp === 'batch') throw faults.notImplemented('batch');
  if (comp === 'lease') return 'lease';
  if (reading(method)) return comp === 'list' || comp === 'blobs' ? 'list' : 'readContainer';
  if (method === 'DELETE') return 'deleteContainer';
  return comp === null ? 'createContainer' : 'setContainer';
}

/** @throws StorageFault for what would go past the layer's rules. */
export function operationOf(request: http.IncomingMessage, target: Target): Operation {
  const { method } = request;
  if (target.container === undefined) {
    if (target.query.get('comp') === 'batch') throw faults.notImplemented('batch');
    return 'service';
  }
  if (target.blob === undefined) return containerOperation(method, target.query);
  if (reading(method)) return 'read';
  if (method === 'DELETE') return 'delete';
  return blobOperations[target.query.get('comp') ?? ''] ?? 'modify';
}
