/** The way to Azurite: every request that goes on is signed here with the account's own key. */
import * as http from 'node:http';
import { outside, ports } from '../world';
import { authorization } from './shared-key';

export const apiVersion = '2025-11-05';
const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 64 });

export interface Outgoing {
  readonly method: string;
  readonly account: string;
  /** Undecoded, without the account: `/container/blob`. */
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly headers?: http.OutgoingHttpHeaders;
}

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export const blobPath = (container: string, blob?: string) =>
  `/${encodeURIComponent(container)}${blob === undefined ? '' : `/${blob.split('/').map(encodeURIComponent).join('/')}`}`;

/** @param key base64; undefined for a request that carries a signature in its query. */
export function open(outgoing: Outgoing, key: string | undefined): http.ClientRequest {
  const { method, account, query = new URLSearchParams() } = outgoing;
  const path = `/${account}${outgoing.path}`;
  const headers: http.OutgoingHttpHeaders = { 'x-ms-version': apiVersion, ...outgoing.headers };
  if (key !== undefined) {
    headers['x-ms-date'] = new Date().toUTCString();
    delete headers['date'];
    headers['authorization'] = authorization(method, headers as Record<string, string>, account, path, query, key);
  }
  const search = query.size > 0 ? `?${query.toString()}` : '';
  return http.request({ agent, host: outside.azurite, port: ports.blob, method, path: path + search, headers });
}

export async function readAll(answer: http.IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: answer.statusCode ?? 500, headers: answer.headers, body: Buffer.concat(chunks) };
}

/** A request of the layer's own, without a body. */
export function call(outgoing: Outgoing, key: string | undefined): Promise<Reply> {
  return new Promise((resolve, reject) => {
    open(
      {
        ...outgoing,
        headers: { ...outgoing.headers, ...(outgoing.method === 'PUT' ? { 'content-length': '0' } : {}) },
      },
      key,
    )
      .on('response', (answer) => void readAll(answer).then(resolve, reject))
      .on('error', reject)
      .end();
  });
}

/** @throws Error when Azurite answers anything else than success or one of `accepted`. */
export async function must(outgoing: Outgoing, key: string, accepted: readonly number[] = []): Promise<Reply> {
  const reply = await call(outgoing, key);
  if (reply.status < 300 || accepted.includes(reply.status)) return reply;
  const code = String(reply.headers['x-ms-error-code'] ?? reply.status);
  throw new Error(`${outgoing.method} /${outgoing.account}${outgoing.path}: ${code}`);
}
