/** The way to the blob container outside both sites. */
import {
  ClientSecretCredential,
  DefaultAzureCredential,
  WorkloadIdentityCredential,
  type TokenCredential,
} from '@azure/identity';
import { ContainerClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';

type Environment = AdapterContext['environment'];

/** Nobody waits longer for one answer, and nobody asks more often, unless the caller says so. */
const tryMs = 3_000;
const tries = 3;

export interface Patience {
  /** Longest time of one attempt. @default - 3 s */
  readonly tryMs?: number;
  /** @default - 3 */
  readonly tries?: number;
}

/** @returns the container that the failover stack made, with the credentials of the process. Nothing is asked yet. */
export const storeClient = (context: AdapterContext, patience?: Patience): ContainerClient =>
  containerClient(context.landscape.store, context.environment, patience);

export function containerClient(
  store: { readonly endpoint: string; readonly container: string },
  environment: Environment,
  patience: Patience = {},
): ContainerClient {
  const options: StoragePipelineOptions = {
    retryOptions: {
      maxTries: patience.tries ?? tries,
      tryTimeoutInMs: patience.tryMs ?? tryMs,
      retryDelayInMs: 200,
      maxRetryDelayInMs: 1_000,
    },
  };
  return new ContainerClient(`${store.endpoint}${store.container}`, credentialOf(environment), options);
}

/** What the vendor's own tools take, in their order; the first use finds out where to log in. */
export function credentialOf(environment: Environment): TokenCredential {
  let found: Promise<TokenCredential> | undefined;
  const find = () =>
    (found ??= openCredential(environment).catch((cause: unknown) => {
      found = undefined;
      throw cause;
    }));
  return { getToken: async (scopes, options) => (await find()).getToken(scopes, options) };
}

async function openCredential(environment: Environment): Promise<TokenCredential> {
  const { ARM_CLIENT_ID: id, ARM_CLIENT_SECRET: secret, ARM_TENANT_ID: tenant } = environment;
  if (id && secret && tenant) {
    return new ClientSecretCredential(tenant, id, secret, {
      ...(await authorityOf(environment)),
      disableInstanceDiscovery: environment['ARM_DISABLE_INSTANCE_DISCOVERY'] === 'true',
    });
  }
  const { AZURE_FEDERATED_TOKEN_FILE: file, AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: tenantId } = environment;
  if (!file || !clientId || !tenantId) return new DefaultAzureCredential();
  const { AZURE_AUTHORITY_HOST: authorityHost } = environment;
  return new WorkloadIdentityCredential({
    ...{ tokenFilePath: file, clientId, tenantId },
    // A login service that somebody names is one that Azure's public directory of them may not know.
    ...(authorityHost ? { authorityHost, disableInstanceDiscovery: true } : {}),
  });
}

/** As the providers find it: the cloud's metadata document says where its login service is. */
async function authorityOf(environment: Environment): Promise<{ readonly authorityHost?: string }> {
  const host = environment['ARM_METADATA_HOSTNAME'] ?? environment['ARM_METADATA_HOST'];
  if (!host) return {};
  const base = host.includes('://') ? host : `https://${host}`;
  const url = `${base}/metadata/endpoints?api-version=2022-09-01`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(tryMs) });
    const document = (await answer.json()) as { authentication?: { loginEndpoint?: string } };
    const authorityHost = document.authentication?.loginEndpoint;
    if (!authorityHost) throw new Error('it names no login endpoint');
    return { authorityHost };
  } catch (cause) {
    throw new StandbyError(
      'MetadataUnreachable',
      `the cloud's metadata document at ${url} can't be read (${(cause as Error).message}): check ARM_METADATA_HOSTNAME`,
      { retryable: true, cause },
    );
  }
}
