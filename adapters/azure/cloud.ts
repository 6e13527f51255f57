/** Azure Resource Manager, as far as operators need it: one call, its patience, and what went wrong in one line. */
import type { TokenCredential } from '@azure/identity';
import * as https from 'node:https';
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';
import { exchange, passing, waitAsked, type Answer } from '../http';
import { Passing, trying } from '../patience';
import { credentialOf } from '../store/client';
import { within } from '../../failover/within';

type Environment = AdapterContext['environment'];

/** The versions that the program's own provider speaks. */
export const apiVersions = {
  postgresql: '2025-08-01',
  containerService: '2025-10-01',
  privateDns: '2024-06-01',
  resources: '2021-04-01',
  metricAlerts: '2018-03-01',
  actionGroups: '2024-10-01-preview',
  diagnosticSettings: '2021-05-01-preview',
  workspaces: '2023-09-01',
} as const;

export interface Order {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Id of the resource, and what is asked of it. */
  readonly path: string;
  readonly apiVersion: string;
  readonly body?: object;
  readonly signal: AbortSignal;
  /** Of one attempt. @default - 10 s */
  readonly withinMs?: number;
  /** @default - 3 */
  readonly tries?: number;
}

const publicCloud = 'https://management.azure.com';
const attemptMs = 10_000;

export class Cloud {
  private readonly credential: TokenCredential;
  private endpoint: Promise<string> | undefined;
  private readonly agent = new https.Agent({ keepAlive: true });

  constructor(private readonly environment: Environment) {
    this.credential = credentialOf(environment);
  }

  /** @throws StandbyError AzureUnreachable, AzureRefused; both retryable where waiting may help. */
  async ask<T>(order: Order): Promise<{ readonly status: number; readonly body: T; readonly answer: Answer }> {
    const { signal, tries } = order;
    return trying({ signal, ...(tries ? { tries } : {}) }, async () => {
      const answer = await this.attempt(order);
      const body = (answer.text ? JSON.parse(answer.text) : {}) as T;
      if (answer.status < 400) return { status: answer.status, body, answer };
      const fault = refused(order, answer, body);
      throw fault.retryable ? new Passing(fault, waitAsked(answer)) : fault;
    });
  }

  /** Asks an absolute address that Azure gave: the state of what goes on. */
  async follow(address: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const headers = await this.headers(signal, attemptMs);
    const { text } = await exchange(address, { headers, agent: this.agent, signal, withinMs: attemptMs });
    return (text ? JSON.parse(text) : {}) as Record<string, unknown>;
  }

  private async attempt(order: Order): Promise<Answer> {
    const { method = 'GET', path, apiVersion, body, signal, withinMs = attemptMs } = order;
    const began = performance.now();
    try {
      const headers = await this.headers(signal, withinMs);
      const url = new URL(`${await this.where(signal, withinMs)}${path}`);
      url.searchParams.set('api-version', apiVersion);
      return await exchange(url, {
        ...{ method, headers, agent: this.agent, signal },
        ...(body ? { body: JSON.stringify(body) } : {}),
        withinMs: Math.max(1, withinMs - (performance.now() - began)),
      });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof StandbyError && !cause.retryable) throw cause;
      throw new Passing(unreachable(path, cause));
    }
  }

  private async headers(signal: AbortSignal, withinMs: number): Promise<Record<string, string>> {
    const scope = `${await this.where(signal, withinMs)}/.default`;
    const token = await this.credential.getToken(scope, {
      abortSignal: within(Math.ceil(withinMs), signal),
    });
    return { authorization: `Bearer ${token?.token ?? ''}`, 'content-type': 'application/json' };
  }

  /** As the providers find it: by the cloud's metadata document, where one is named. */
  private where(signal: AbortSignal, withinMs: number): Promise<string> {
    this.endpoint ??= resourceManager(this.environment, signal, withinMs).catch((cause: unknown) => {
      this.endpoint = undefined;
      throw cause;
    });
    return this.endpoint;
  }
}

async function resourceManager(environment: Environment, signal: AbortSignal, withinMs: number): Promise<string> {
  const host = environment['ARM_METADATA_HOSTNAME'] ?? environment['ARM_METADATA_HOST'];
  if (!host) return publicCloud;
  const base = host.includes('://') ? host : `https://${host}`;
  const url = `${base}/metadata/endpoints?api-version=2022-09-01`;
  const { text } = await exchange(url, { signal, withinMs });
  const { resourceManager: found } = JSON.parse(text) as { resourceManager?: string };
  return (found ?? publicCloud).replace(/\/$/, '');
}

const clouds = new WeakMap<Environment, Cloud>();

/** @returns the same one for the same environment, so that tokens and connections are shared. */
export function cloudOf({ environment }: Pick<AdapterContext, 'environment'>): Cloud {
  const known = clouds.get(environment) ?? new Cloud(environment);
  clouds.set(environment, known);
  return known;
}

const lastPart = (path: string) => path.replace(/\?.*/, '').split('/').slice(-2).join('/');

const unreachable = (path: string, cause: unknown) =>
  new StandbyError(
    'AzureUnreachable',
    `Azure gives no answer about ${lastPart(path)} (${(cause as Error).message.split('\n')[0]}): check ARM_* and the way to Azure`,
    { retryable: true, cause },
  );

function refused({ method = 'GET', path }: Order, { status }: Answer, body: unknown): StandbyError {
  const { code, message } = (body as { error?: { code?: string; message?: string } }).error ?? {};
  return new StandbyError(
    'AzureRefused',
    `Azure refuses ${method} ${lastPart(path)} with ${status}${code ? ` ${code}` : ''}: ${message?.split('\n')[0] ?? 'no reason given'}`,
    { retryable: passing(status) || status === 409 },
  );
}
