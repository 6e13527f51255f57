/** The data plane of one ingress controller: what nginx does with a request, for HTTP on both of its ports. */
import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';
import * as tls from 'node:tls';
import { Names } from '../network/names';
import { routeTo, type Standpoint } from '../network/route';
import type { Backend, Upstream } from './ingress-routes';
import type { UpstreamTls } from './upstream-tls';

/** nginx' own defaults, as the ingress controller sets them. */
const largestBody = 1024 * 1024;
const connectTimeoutMs = 5_000;
const readTimeoutMs = 60_000;
const idleUpstreamMs = 60_000;

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

interface Target {
  readonly address: string;
  readonly port: number;
  readonly localAddress?: string;
}

/** Why an upstream did not answer, and whether it can have seen the request. */
class UpstreamError extends Error {
  override readonly name = 'UpstreamError';

  constructor(
    readonly status: 502 | 504,
    readonly unseen: boolean,
    message: string,
  ) {
    super(message);
  }
}

class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

async function readBody(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody) throw new BodyTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export class IngressProxy {
  private readonly agents = {
    http: new http.Agent({ keepAlive: true, timeout: idleUpstreamMs }),
    https: new https.Agent({ keepAlive: true, timeout: idleUpstreamMs }),
  };
  private readonly names: Names;
  private turn = 0;

  /**
   * @param find the backend of a host and path; undefined: no rule names it
   * @param from where the controller stands, for upstreams outside the cluster
   */
  constructor(
    private readonly find: (host: string, path: string) => Backend | undefined,
    private readonly from: Standpoint,
  ) {
    this.names = new Names(from.resolver, from.address);
  }

  close(): void {
    this.agents.http.destroy();
    this.agents.https.destroy();
  }

  /** Answers a request; never rejects. */
  async handle(request: http.IncomingMessage, response: http.ServerResponse, scheme: 'http' | 'https'): Promise<void> {
    try {
      await this.serve(request, response, scheme);
    } catch (cause) {
      if (response.headersSent) response.destroy();
      else answer(response, cause instanceof UpstreamError ? cause.status : cause instanceof BodyTooLarge ? 413 : 502);
    }
  }

  private async serve(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    scheme: 'http' | 'https',
  ): Promise<void> {
    const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    const [path = '/'] = (request.url ?? '/').split('?');
    const backend = this.find(host, path);
    if (!backend) return answer(response, 404);
    if (scheme === 'http' && backend.redirectToHttps) {
      response.setHeader('location', `https://${host}${request.url ?? '/'}`);
      return answer(response, 308);
    }
    return this.forward(request, response, backend, forwardedHeaders(request, scheme, host, backend));
  }

  private async forward(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    backend: Backend,
    headers: http.OutgoingHttpHeaders,
  ): Promise<void> {
    const targets = await this.targets(backend);
    if (!targets.length) return answer(response, 503);
    if (isReset(backend)) return answer(response, 502);
    const body = await readBody(request);
    for (const [index, target] of targets.entries()) {
      try {
        const upstream = await this.ask(request, backend, target, headers, body);
        copy(upstream, response);
        return;
      } catch (cause) {
        // The next one may be asked as long as this one can't have acted on the request.
        if (!(cause instanceof UpstreamError) || !cause.unseen || index === targets.length - 1) throw cause;
      }
    }
  }

  /** All addresses that may be asked, the one whose turn it is first. */
  private async targets(backend: Backend): Promise<readonly Target[]> {
    const found = await Promise.all(backend.upstreams.map((upstream) => this.addressesOf(upstream)));
    const all = found.flat();
    const first = this.turn++ % Math.max(1, all.length);
    return [...all.slice(first), ...all.slice(0, first)];
  }

  private async addressesOf({ hosts, port, external }: Upstream): Promise<readonly Target[]> {
    if (!external) return hosts.map((address) => ({ address, port }));
    try {
      const addresses = await this.names.resolve(hosts[0] ?? '');
      return addresses.map((address) => routeTo(this.from, address, port) ?? { address, port });
    } catch {
      return []; // nginx as well has no upstream then: 503
    }
  }

  private ask(
    request: http.IncomingMessage,
    backend: Backend,
    target: Target,
    headers: http.OutgoingHttpHeaders,
    body: Buffer,
  ): Promise<http.IncomingMessage> {
    const options: https.RequestOptions = {
      host: target.address,
      port: target.port,
      ...(target.localAddress ? { localAddress: target.localAddress } : {}),
      method: request.method,
      path: request.url,
      headers: { ...headers, ...(body.length ? { 'content-length': body.length } : {}) },
      agent: this.agents[backend.protocol],
      timeout: readTimeoutMs,
      ...(backend.protocol === 'https' ? tlsOptions(backend.tls) : {}),
    };
    return new Promise((resolve, reject) => {
      const upstream = (backend.protocol === 'https' ? https : http).request(options);
      let connected = false;
      const fail = (status: 502 | 504, message: string) => {
        // A kept connection that the upstream closed in the meantime has not carried this request.
        reject(new UpstreamError(status, !connected || (upstream.reusedSocket && status === 502), message));
        upstream.destroy();
      };
      const patience = setTimeout(() => fail(504, 'connect timeout'), connectTimeoutMs);
      const arrived = () => {
        connected = true;
        clearTimeout(patience);
      };
      upstream.on('socket', (socket: Socket) => {
        if (socket.connecting) socket.once(backend.protocol === 'https' ? 'secureConnect' : 'connect', arrived);
        else arrived();
      });
      upstream.on('timeout', () => fail(504, 'read timeout'));
      upstream.on('error', (cause) => {
        clearTimeout(patience);
        fail(502, cause.message);
      });
      upstream.on('response', resolve);
      upstream.end(body);
    });
  }
}

/** Container apps share their addresses: they reset a handshake that says no name. */
const isReset = ({ protocol, tls: options, upstreams }: Backend) =>
  protocol === 'https' &&
  !options?.says &&
  upstreams.some(({ hosts }) => hosts.some((host) => host.endsWith('.azurecontainerapps.io')));

function tlsOptions(options: UpstreamTls | undefined): https.RequestOptions {
  if (!options) return { servername: '', rejectUnauthorized: false };
  const { ca, name, says, verifies } = options;
  return {
    ...{ ca, servername: says ? name : '', rejectUnauthorized: verifies },
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate),
  };
}

function forwardedHeaders(
  request: http.IncomingMessage,
  scheme: 'http' | 'https',
  host: string,
  backend: Backend,
): http.OutgoingHttpHeaders {
  const kept = Object.entries(request.headers).filter(([name]) => !hopByHop.has(name));
  const client = request.socket.remoteAddress ?? '';
  return {
    ...Object.fromEntries(kept),
    host: backend.vhost ?? request.headers.host ?? host,
    'x-request-id': request.headers['x-request-id'] ?? randomUUID().replaceAll('-', ''),
    'x-real-ip': client,
    'x-forwarded-for': client,
    'x-forwarded-host': request.headers.host ?? host,
    'x-forwarded-port': scheme === 'https' ? '443' : '80',
    'x-forwarded-proto': scheme,
    'x-forwarded-scheme': scheme,
    'x-scheme': scheme,
  };
}

function copy(upstream: http.IncomingMessage, response: http.ServerResponse): void {
  const headers = upstream.rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && !hopByHop.has(name.toLowerCase()) ? [[name, upstream.rawHeaders[index + 1] ?? ''] as const] : [],
  );
  for (const [name, value] of headers) response.appendHeader(name, value);
  response.writeHead(upstream.statusCode ?? 502);
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  upstream.pipe(response);
}

function answer(response: http.ServerResponse, status: number): void {
  response
    .writeHead(status, { 'content-type': 'text/plain' })
    .end(`${status} ${http.STATUS_CODES[status]} (ingress)\n`);
}
