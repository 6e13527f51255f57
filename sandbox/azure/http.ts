/** The little of HTTP that the service needs: a request as a value, an answer as a value. */
import * as http from 'node:http';
import * as https from 'node:https';
import { ArmError } from './kind';

export interface Request {
  readonly method: string;
  /** Path as sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** The caller's address. */
  readonly from?: string | undefined;
  /** Aborted when the caller has gone away. */
  readonly gone: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; undefined = no body. */
  readonly body?: unknown;
  /** The effect has happened, the answer is lost: the connection is cut. */
  readonly lost?: boolean;
}

export type Handler = (request: Request) => Promise<Answer>;

export const headerOf = (request: Request, name: string): string | undefined => {
  const value = request.headers[name.toLowerCase()];
  return Array.isArray(value) ? value[0] : value;
};

const largestBody = 4 * 1024 * 1024;

async function bodyOf(incoming: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody)
      throw new ArmError(413, 'RequestContentTooLarge', `The request is larger than ${largestBody} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws ArmError 400 when the body is not a JSON object; an empty body is an empty object */
export function jsonOf(request: Request): Record<string, unknown> {
  const text = request.body.toString('utf8');
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      `The request content was invalid and could not be deserialized: '${(cause as Error).message}'.`,
    );
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ArmError(
    400,
    'InvalidRequestContent',
    `The request content must be a JSON object; it is ${text.slice(0, 40)}.`,
  );
}

/** The vendor's error body. What is no `ArmError` is a fault of the sandbox: logged with its stack, answered 500. */
export function errorAnswer(cause: unknown, log: (line: string) => void): Answer {
  if (cause instanceof ArmError) {
    return {
      status: cause.status,
      headers: cause.headers,
      body: { error: { code: cause.code, message: cause.message } },
    };
  }
  log(`fault: ${(cause as Error).stack?.replaceAll('\n', ' | ') ?? String(cause)}`);
  return { status: 500, body: { error: { code: 'InternalServerError', message: (cause as Error).message } } };
}

async function answer(
  handler: Handler,
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  log: (line: string) => void,
) {
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  let result: Answer;
  try {
    // Not the two-argument form: some clients send `//subscriptions/…`, which that takes for a host.
    const url = new URL(`http://localhost${incoming.url ?? '/'}`);
    const body = await bodyOf(incoming);
    const { method = 'GET', headers } = incoming;
    const from = incoming.socket.remoteAddress;
    const asked = { method, path: url.pathname, query: url.searchParams, headers, body, from, gone: gone.signal };
    result = await handler(asked);
  } catch (cause) {
    result = errorAnswer(cause, log);
  }
  if (result.lost || outgoing.destroyed) {
    incoming.socket.destroy();
    return;
  }
  const text = result.body === undefined ? undefined : JSON.stringify(result.body);
  outgoing.writeHead(result.status, {
    ...(text === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    ...(text === undefined && result.status === 204 ? {} : { 'content-length': String(Buffer.byteLength(text ?? '')) }),
    'cache-control': 'no-cache',
    ...result.headers,
  });
  outgoing.end(incoming.method === 'HEAD' ? undefined : text);
}

/**
 * Serves on one address, with TLS when a certificate is given.
 * @throws Error EADDRINUSE and the like
 */
export async function serve(
  handler: Handler,
  host: string,
  port: number,
  log: (line: string) => void,
  certificate?: { readonly cert: string; readonly key: string },
): Promise<http.Server> {
  const listener = (incoming: http.IncomingMessage, outgoing: http.ServerResponse) =>
    void answer(handler, incoming, outgoing, log).catch((cause: unknown) => errorAnswer(cause, log));
  const server = certificate ? https.createServer(certificate, listener) : http.createServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}
