/** Requests to one cluster's API server, over connections that are kept, and never waited for longer than a stated limit. */
import { KubeConfig } from '@kubernetes/client-node';
import * as fs from 'node:fs';
import type { RequestOptions } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, fetch } from 'undici';
import { isRecord, text } from '../plugin';
import { within } from '../../within';

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly generation?: number;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** The API server answered with an error. */
export class KubeError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What it asks to wait before another attempt, seconds. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** As client-go does it, which the plugin is made with: an answer that asks to come back is come back to, so often at most. */
const mostRetries = 10;
const asksToComeBack = (cause: unknown): cause is KubeError & { readonly retryAfter: number } =>
  cause instanceof KubeError && (cause.status === 429 || cause.status >= 500) && cause.retryAfter !== undefined;

/** Nobody answered. */
export class Unreachable extends Error {}

const connectTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;

interface Definition {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface RequestInit {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly query?: Readonly<Record<string, string>>;
}

/** @param kubeconfig - its content, or the path of a file. @throws Error when it names no cluster. */
export function load(kubeconfig: string, context?: string): KubeConfig {
  const config = new KubeConfig();
  const content = /\n|^\s*\{/.test(kubeconfig) ? kubeconfig : fs.readFileSync(kubeconfig, 'utf8');
  try {
    config.loadFromString(content);
  } catch (cause) {
    throw new Error(
      `kubernetes: the kubeconfig can't be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  if (context) config.setCurrentContext(context);
  if (!config.getCurrentCluster())
    throw new Error(`kubernetes: the kubeconfig has no cluster for its context "${config.getCurrentContext()}"`);
  return config;
}

export class Cluster {
  private readonly definitions = new Map<string, Promise<readonly Definition[]>>();
  private connected: Promise<{ agent: Agent; headers: Record<string, string> }> | undefined;
  readonly server: string;

  constructor(private readonly config: KubeConfig) {
    this.server = config.getCurrentCluster()?.server.replace(/\/+$/, '') ?? '';
  }

  private async connect(): Promise<{ agent: Agent; headers: Record<string, string> }> {
    const options: RequestOptions = {};
    await this.config.applyToHTTPSOptions(options);
    const { ca, cert, key, rejectUnauthorized } = options;
    const connect = {
      ca,
      cert,
      key,
      timeout: connectTimeoutMs,
      ...(rejectUnauthorized === false ? { rejectUnauthorized } : {}),
    };
    const authorization = isRecord(options.headers) ? options.headers['Authorization'] : undefined;
    const basic = options.auth ? `Basic ${Buffer.from(options.auth).toString('base64')}` : undefined;
    const credential = authorization ?? basic;
    return {
      agent: new Agent({ connect: connect as never }),
      headers: credential ? { authorization: String(credential) } : {},
    };
  }

  /** @throws KubeError @throws Unreachable, after 10 s at most for each attempt. */
  async request(
    method: string,
    path: string,
    signal: AbortSignal,
    init: RequestInit = {},
  ): Promise<Record<string, unknown>> {
    for (let left = mostRetries; ; left -= 1) {
      try {
        return await this.attempt(method, path, signal, init);
      } catch (cause) {
        if (!asksToComeBack(cause) || left === 0) throw cause;
        await delay(cause.retryAfter * 1_000, undefined, { signal });
      }
    }
  }

  private async attempt(
    method: string,
    path: string,
    signal: AbortSignal,
    init: RequestInit,
  ): Promise<Record<string, unknown>> {
    this.connected ??= this.connect();
    const { agent, headers } = await this.connected;
    const query = init.query ? `?${new URLSearchParams(init.query).toString()}` : '';
    const limit = within(requestTimeoutMs);
    try {
      const response = await fetch(this.server + path + query, {
        method,
        dispatcher: agent,
        signal: AbortSignal.any([signal, limit]),
        headers: {
          ...headers,
          accept: 'application/json',
          ...(init.body === undefined ? {} : { 'content-type': init.contentType ?? 'application/json' }),
        },
        ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
      });
      const body = (await response.json()) as Record<string, unknown>;
      if (!response.ok) {
        const seconds = Number(response.headers.get('retry-after') ?? undefined);
        const message = text(body['message']) || `status ${response.status}`;
        throw new KubeError(response.status, message, Number.isFinite(seconds) ? seconds : undefined);
      }
      return body;
    } catch (cause) {
      if (cause instanceof KubeError || signal.aborted) throw cause;
      const reason = limit.aborted ? `no answer within ${requestTimeoutMs / 1_000} s` : reasonOf(cause);
      throw new Unreachable(`the Kubernetes cluster at ${this.server} is unreachable: ${reason}`, { cause });
    }
  }

  /** @returns the path of a collection, with what the API server says about the kind. @throws Error when it has no such kind. */
  async locate(
    apiVersion: string,
    kind: string,
    signal: AbortSignal,
  ): Promise<{ path: (namespace: string) => string; namespaced: boolean }> {
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const find = async () => (await this.discover(base, signal)).find((definition) => definition.kind === kind);
    let definition = await find();
    if (!definition) {
      this.definitions.delete(base); // a definition may have been installed since
      definition = await find();
    }
    if (!definition)
      throw new Error(`the cluster at ${this.server} has no ${kind} in ${apiVersion}; is its definition installed?`);
    const { name, namespaced } = definition;
    return {
      namespaced,
      path: (namespace) => (namespaced ? `${base}/namespaces/${namespace}/${name}` : `${base}/${name}`),
    };
  }

  private discover(base: string, signal: AbortSignal): Promise<readonly Definition[]> {
    const known = this.definitions.get(base);
    if (known) return known;
    const asked = this.request('GET', base, signal).then(
      ({ resources }) => (resources as Definition[]).filter(({ name }) => !name.includes('/')),
      (cause: unknown) => {
        this.definitions.delete(base);
        if (cause instanceof KubeError && cause.status === 404) return [];
        throw cause;
      },
    );
    this.definitions.set(base, asked);
    return asked;
  }

  /** @returns the namespace of the kubeconfig's context. */
  get namespace(): string | undefined {
    return this.config.getContextObject(this.config.getCurrentContext())?.namespace;
  }
}

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message : cause.message;
};
