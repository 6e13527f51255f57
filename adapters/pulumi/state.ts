/**
 * The stacks' state as it lies in a blob container: what it takes a process of Pulumi a fifth of a second of CPU to say, in one
 * request. Only where this process has a key or token of the account; everywhere else Pulumi is asked.
 */
import { gunzipSync } from 'node:zlib';
import type { ContainerClient } from '@azure/storage-blob';
import type { Environment, Stack } from './command';

export interface LockHolder {
  readonly pid: number;
  readonly user: string;
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface StackState {
  readonly serial: number;
  readonly pendingOperations: number;
  readonly locks: readonly LockHolder[];
}

interface Checkpoint {
  readonly checkpoint?: { readonly latest?: Deployment };
}
export interface Deployment {
  readonly manifest?: { readonly time?: string };
  readonly pending_operations?: readonly unknown[];
}

/** Every checkpoint is written with its time, which so tells one from the next. */
export const serialOf = (deployment: Deployment): number => Date.parse(deployment.manifest?.time ?? '') || 0;

interface Place {
  readonly container: ContainerClient;
  readonly prefix: string;
}

/** @returns undefined where the state is elsewhere, or nothing here opens it. */
async function place(environment: Environment, timeoutMs: number): Promise<Place | undefined> {
  const { PULUMI_BACKEND_URL, AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN } = environment;
  if (!PULUMI_BACKEND_URL?.startsWith('azblob://') || !(AZURE_STORAGE_KEY ?? AZURE_STORAGE_SAS_TOKEN)) return undefined;
  const url = new URL(PULUMI_BACKEND_URL);
  const query = url.searchParams;
  const account = query.get('storage_account') ?? AZURE_STORAGE_ACCOUNT ?? '';
  const domain = query.get('domain') ?? 'blob.core.windows.net';
  const protocol = query.get('protocol') ?? 'https';
  const local = query.get('localemu') === 'true';
  const base = local ? `${protocol}://${domain}/${account}` : `${protocol}://${account}.${domain}`;
  const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
  const options = { retryOptions: { maxTries: 1, tryTimeoutInMs: timeoutMs } };
  const service = AZURE_STORAGE_KEY
    ? new BlobServiceClient(base, new StorageSharedKeyCredential(account, AZURE_STORAGE_KEY), options)
    : new BlobServiceClient(`${base}?${AZURE_STORAGE_SAS_TOKEN!.replace(/^\?/, '')}`, undefined, options);
  const folder = url.pathname.replace(/^\/+|\/+$/g, '');
  return { container: service.getContainerClient(url.hostname), prefix: `${folder ? `${folder}/` : ''}.pulumi` };
}

async function locksOf({ container, prefix }: Place, project: string, stack: Stack, signal: AbortSignal) {
  const found: LockHolder[] = [];
  const folder = `${prefix}/locks/organization/${project}/${stack}/`;
  for await (const { name } of container.listBlobsFlat({ prefix: folder, abortSignal: signal })) {
    try {
      const text = await container.getBlobClient(name).downloadToBuffer(0, undefined, { abortSignal: signal });
      const { pid, username, hostname, timestamp } = JSON.parse(text.toString()) as Record<string, string>;
      found.push({
        pid: Number(pid),
        user: String(username),
        host: String(hostname),
        since: Date.parse(String(timestamp)),
      });
    } catch (cause) {
      // It ended between the list and the look.
      if ((cause as { statusCode?: number }).statusCode !== 404) throw cause;
    }
  }
  return found;
}

/** @returns undefined where only Pulumi can tell. */
export async function stateReader(environment: Environment, project: string, timeoutMs: number) {
  const at = await place(environment, timeoutMs);
  if (!at) return undefined;
  const text = async (stack: Stack, signal: AbortSignal): Promise<Buffer> => {
    const name = `${at.prefix}/stacks/${project}/${stack}.json`;
    const read = (file: string) =>
      at.container.getBlobClient(file).downloadToBuffer(0, undefined, { abortSignal: signal });
    if (environment['PULUMI_DIY_BACKEND_GZIP'] !== 'true') return read(name);
    return gunzipSync(await read(`${name}.gz`));
  };
  return {
    locks: (stack: Stack, signal: AbortSignal) => locksOf(at, project, stack, signal),
    read: async (stack: Stack, signal: AbortSignal): Promise<StackState> => {
      const [body, locks] = await Promise.all([text(stack, signal), locksOf(at, project, stack, signal)]);
      const latest = (JSON.parse(body.toString()) as Checkpoint).checkpoint?.latest ?? {};
      return { serial: serialOf(latest), pendingOperations: latest.pending_operations?.length ?? 0, locks };
    },
  };
}
