/** Calls to Azure Resource Manager, over the vendor's own pipeline: token, retries, throttling, long-running operations. */
import { createHttpPoller, type LroResponse } from '@azure/core-lro';
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpMethods,
  type Pipeline,
} from '@azure/core-rest-pipeline';
import { ClientSecretCredential } from '@azure/identity';
import { isRecord, type Properties } from '../plugin';

export interface Settings {
  readonly subscriptionId: string;
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Base URL of the metadata document that names the endpoints. @default - the public cloud */
  readonly metadataHost?: string;
  readonly disableInstanceDiscovery: boolean;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** An error that Azure answered with. */
export class ArmError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(`Status=${status} Code="${code}" Message="${message}"`);
  }
}

/** What was asked for was accepted and then failed: the resource may exist. */
export class OperationFailed extends Error {}

interface Endpoints {
  readonly resourceManager: string;
  readonly login: string;
  readonly audience: string;
}

const publicCloud: Endpoints = {
  resourceManager: 'https://management.azure.com',
  login: 'https://login.microsoftonline.com',
  audience: 'https://management.azure.com',
};
const metadataTimeoutMs = 30_000;
/** One request, not an operation; a region that hangs answers within it or never. */
const requestTimeoutMs = 300_000;
/** Between polls when the service says nothing about it (`Retry-After`); the first poll follows at once. */
const pollIntervalMs = 1_000;
const withoutSlash = (url: string) => url.replace(/\/+$/, '');

async function discover(metadataHost: string | undefined): Promise<Endpoints> {
  if (!metadataHost) return publicCloud;
  const base = withoutSlash(metadataHost.includes('://') ? metadataHost : `https://${metadataHost}`);
  const url = `${base}/metadata/endpoints?api-version=2022-09-01`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(metadataTimeoutMs) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const document = (await response.json()) as {
      resourceManager: string;
      authentication: { loginEndpoint: string; audiences: string[] };
    };
    const { resourceManager, authentication } = document;
    return {
      resourceManager: withoutSlash(resourceManager),
      login: withoutSlash(authentication.loginEndpoint),
      audience: withoutSlash(authentication.audiences[0] ?? resourceManager),
    };
  } catch (cause) {
    throw new Error(
      `can't read Azure's endpoints from ${url}: ${reasonOf(cause)}; check metadataHost (ARM_METADATA_HOSTNAME)`,
      { cause },
    );
  }
}

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message : cause.message;
};

const parse = (text: string | null | undefined): Record<string, unknown> => {
  try {
    const value: unknown = text ? JSON.parse(text) : {};
    return isRecord(value) ? value : { value };
  } catch {
    return {};
  }
};

function errorOf(status: number, body: Record<string, unknown>): ArmError {
  const error = (isRecord(body['error']) ? body['error'] : body) as { code?: string; message?: string };
  return new ArmError(status, error.code ?? `HTTP${status}`, error.message ?? 'no reason was given');
}

interface Connected {
  readonly pipeline: Pipeline;
  readonly base: string;
  readonly credential: ClientSecretCredential;
  readonly scope: string;
}

export class ArmClient {
  private readonly http = createDefaultHttpClient();
  private connected: Promise<Connected> | undefined;

  constructor(readonly settings: Settings) {}

  private async connect(): Promise<Connected> {
    const { tenantId, clientId, clientSecret, metadataHost, disableInstanceDiscovery } = this.settings;
    const endpoints = await discover(metadataHost);
    const credential = new ClientSecretCredential(tenantId, clientId, clientSecret, {
      authorityHost: endpoints.login,
      disableInstanceDiscovery,
    });
    const scope = `${endpoints.audience}/.default`;
    const pipeline = createPipelineFromOptions({});
    pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: scope }));
    return { pipeline, base: endpoints.resourceManager, credential, scope };
  }

  private ready(): Promise<Connected> {
    this.connected ??= this.connect().catch((cause: unknown) => {
      this.connected = undefined; // the next request tries again
      throw cause;
    });
    return this.connected;
  }

  private async send(
    method: HttpMethods,
    target: string,
    signal: AbortSignal,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<LroResponse> {
    const { pipeline, base } = await this.ready();
    const request = createPipelineRequest({
      url: target.startsWith('https:') ? target : base + target,
      method,
      abortSignal: signal,
      timeout: requestTimeoutMs,
    });
    request.headers.set('accept', 'application/json');
    for (const [name, value] of Object.entries(headers ?? {})) request.headers.set(name, value);
    if (body !== undefined) {
      request.headers.set('content-type', 'application/json');
      request.body = JSON.stringify(body);
    }
    const response = await pipeline.sendRequest(this.http, request).catch((cause: unknown) => {
      throw signal.aborted ? new Error(`given up: ${reasonOf(signal.reason)}`, { cause }) : cause;
    });
    const flatResponse = parse(response.bodyAsText);
    if (response.status >= 400) throw errorOf(response.status, flatResponse);
    return {
      flatResponse,
      rawResponse: { statusCode: response.status, headers: response.headers.toJSON(), body: flatResponse, request },
    } as LroResponse;
  }

  /** One request. @throws ArmError */
  async request(
    method: HttpMethods,
    path: string,
    version: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<Answer> {
    const { flatResponse, rawResponse } = await this.send(method, `${path}?api-version=${version}`, signal, body);
    return { status: rawResponse.statusCode, body: flatResponse as Answer['body'] };
  }

  /** @returns the resource, or undefined when there is none. */
  async find(path: string, version: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    try {
      return (await this.request('GET', path, version, signal)).body;
    } catch (cause) {
      if (cause instanceof ArmError && cause.status === 404) return undefined;
      throw cause;
    }
  }

  /**
   * A change, waited for to its end.
   * @throws ArmError when it is refused. @throws OperationFailed when it was accepted and failed, or was given up.
   */
  async change(
    method: 'PUT' | 'DELETE',
    path: string,
    version: string,
    signal: AbortSignal,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<void> {
    const url = `${path}?api-version=${version}`;
    const first = await this.send(method, url, signal, body, headers);
    try {
      const poller = await createHttpPoller(
        {
          requestMethod: method,
          requestPath: url,
          sendInitialRequest: async () => first,
          sendPollRequest: (target) => this.send('GET', target, signal),
        },
        { intervalInMs: pollIntervalMs },
      );
      await poller.pollUntilDone({ abortSignal: signal });
    } catch (cause) {
      // What was deleted may take the address of its own operation along.
      if (method === 'DELETE' && cause instanceof ArmError && cause.status === 404) return;
      throw new OperationFailed(reasonOf(cause), { cause });
    }
  }

  /** Who asks: ids of the client, its object, its subscription and tenant. */
  async whoAmI(): Promise<Properties> {
    const { credential, scope } = await this.ready();
    const { token } = (await credential.getToken(scope)) ?? {};
    const claims = parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString());
    const { clientId, subscriptionId, tenantId } = this.settings;
    return { clientId, objectId: claims['oid'] ?? '', subscriptionId, tenantId };
  }
}
