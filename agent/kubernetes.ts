/** The few calls to the API server of its own cluster that an agent makes. The vendor's client would be most of the process. */
import * as fs from 'node:fs';
import * as https from 'node:https';
import type { KubernetesSettings } from './settings';
import { within } from '../failover/within';

const answerMs = 1_500;
/** For what may wait for a cluster in trouble: a fence and a confirmation may not. */
export const patient = { withinMs: 8_000 } as const;
/** A kubelet renews the token long before it ends. */
const tokenMs = 60_000;

export interface KubernetesObject {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Limits {
  /** @default - 1.5 s */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

export class Kubernetes {
  private readonly connections: https.Agent;
  private token = { text: '', at: -Infinity };

  constructor(private readonly settings: KubernetesSettings) {
    this.connections = new https.Agent({ keepAlive: true, maxSockets: 4, ca: fs.readFileSync(settings.authorityFile) });
  }

  /**
   * @param path - from `/api` or `/apis` on.
   * @param body - with PATCH, a list is a JSON patch (RFC 6902), anything else is merged (RFC 7386).
   * @throws KubernetesError with what the server said; what the network says as it is.
   */
  async call<T>(method: Method, path: string, body?: object, limits: Limits = {}): Promise<T> {
    const { status, text } = await this.send(method, path, body, limits);
    if (status >= 200 && status < 300) return JSON.parse(text) as T;
    throw new KubernetesError(status, `${method} ${path}: ${status} ${reasonOf(text)}`);
  }

  private send(
    method: Method,
    path: string,
    body: object | undefined,
    { withinMs = answerMs, signal }: Limits,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const patch = `application/${Array.isArray(body) ? 'json-patch' : 'merge-patch'}+json`;
    const type = method === 'PATCH' ? patch : 'application/json';
    return new Promise((resolve, reject) => {
      const request = https.request({
        ...{ host: this.settings.host, port: this.settings.port, method, path, agent: this.connections },
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${this.bearer()}`,
          ...(body ? { 'content-type': type, 'content-length': Buffer.byteLength(text) } : {}),
        },
        signal: within(withinMs, ...(signal ? [signal] : [])),
      });
      request.on('error', reject).on('response', (response) => {
        const parts: Buffer[] = [];
        response
          .on('data', (part: Buffer) => parts.push(part))
          .on('error', reject)
          .on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }));
      });
      request.end(text);
    });
  }

  private bearer(): string {
    if (performance.now() - this.token.at > tokenMs) {
      this.token = { text: fs.readFileSync(this.settings.tokenFile, 'utf8').trim(), at: performance.now() };
    }
    return this.token.text;
  }
}

function reasonOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? '';
  } catch {
    return '';
  }
}
