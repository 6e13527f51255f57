/**
 * The edge: terminates TLS for the proxied hosts and passes requests on to the origin that the record names now. A changed
 * record takes effect with the next request; connections that wait idle at an origin that no record names any more are closed.
 */
import * as fs from 'node:fs';
import type * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import type * as tls from 'node:tls';
import { authorityFile } from '../authority';
import { outside, ports } from '../world';
import type { Certificates } from './certificates';
import { edgeFaults, faultOf, sendFault, type EdgeFault } from './edge-page';
import type { Names } from './names';
import type { Resolver } from './resolver';
import { identifier } from './state';

const connectTimeoutMs = 5_000;
const answerTimeoutMs = 100_000;
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Between two parties only, never passed on (RFC 9110, 7.6.1). */
const hopByHop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'transfer-encoding'];

interface Origin {
  readonly host: string;
  readonly address: string;
  readonly agent: https.Agent;
}

const hostOf = (request: http.IncomingMessage) => (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');

export class Edge {
  private readonly agents = new Map<string, https.Agent>();
  private readonly ca = fs.readFileSync(authorityFile);

  constructor(
    private readonly names: Names,
    private readonly certificates: Certificates,
    private readonly resolver: Resolver,
  ) {}

  listen(host: string, port: number): Promise<https.Server> {
    const server = https.createServer(
      { keepAliveTimeout: 60_000, SNICallback: (name, done) => this.chooseCertificate(name, done) },
      (request, response) => void this.serve(request, response),
    );
    server.on('upgrade', (request, socket, head) => void this.upgrade(request, socket, head));
    server.on('tlsClientError', (_, socket) => socket.destroy());
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, host, () => resolve(server));
    });
  }

  /** Closes idle connections to origins that no record names. Requests under way end by themselves. */
  dropUnused(): void {
    for (const [key, agent] of this.agents) {
      const [host = '', content] = key.split(' ');
      const records = this.names.find(host)?.records ?? [];
      if (records.some((record) => record.proxied && record.content === content)) continue;
      this.agents.delete(key);
      agent.maxFreeSockets = 0; // what is in use now is closed when it comes back
      for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
    }
  }

  private chooseCertificate(name: string, done: (cause: Error | null, context?: tls.SecureContext) => void): void {
    const found = this.certificates.find(name.toLowerCase());
    if (!found) return done(new Error(`no certificate for ${name}`));
    found.then((context) => done(null, context), done);
  }

  private async originOf(request: http.IncomingMessage): Promise<Origin | EdgeFault> {
    const host = hostOf(request);
    if (net.isIP(host)) return edgeFaults.directAddress;
    const records = this.names.find(host)?.records.filter(({ proxied }) => proxied) ?? [];
    const record = records[Math.floor(Math.random() * records.length)];
    if (!record) return edgeFaults.unknownHost;
    const address = record.type === 'CNAME' ? (await this.resolver.addresses(record.content))[0] : record.content;
    if (address === undefined) return edgeFaults.originName;
    if (address === outside.edge) return edgeFaults.prohibited;
    return { host, address, agent: this.agent(host, record.content) };
  }

  /** One per host and content: a connection is bound to the name its certificate was checked for. */
  private agent(host: string, content: string): https.Agent {
    const key = `${host} ${content}`;
    const known = this.agents.get(key);
    if (known) return known;
    const agent = new https.Agent({
      keepAlive: true,
      maxFreeSockets: 64,
      ca: this.ca,
      servername: host,
      localAddress: outside.edge, // an isolated site still hears its users
    });
    this.agents.set(key, agent);
    return agent;
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const ray = newRay();
    const origin = await this.originOf(request);
    if ('status' in origin) return sendFault(request, response, origin, ray);
    this.pass(request, response, origin, ray, idempotent.has(request.method ?? ''));
  }

  private pass(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    origin: Origin,
    ray: string,
    retry: boolean,
  ): void {
    const bodiless =
      request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined;
    const upstream = this.open(request, origin, ray, []);
    const fail = (fault: EdgeFault) => {
      upstream.destroy();
      if (response.headersSent) response.destroy();
      else sendFault(request, response, fault, ray);
    };
    watch(upstream, fail);
    upstream.on('error', (cause: NodeJS.ErrnoException) => {
      if (response.writableEnded || response.destroyed) return;
      // The origin closed a connection just as it was taken from the pool: that says nothing about the origin.
      const again = retry && bodiless && upstream.reusedSocket && !response.headersSent;
      if (again) this.pass(request, response, origin, ray, false);
      else fail(faultOf(cause));
    });
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, backHeaders(answer, ray));
      answer.on('error', () => response.destroy()).pipe(response);
    });
    response.on('close', () => upstream.destroy());
    if (bodiless) upstream.end();
    else request.pipe(upstream);
  }

  private async upgrade(request: http.IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => client.destroy());
    const ray = newRay();
    const origin = await this.originOf(request);
    const refuse = ({ status, title }: EdgeFault) =>
      client.end(`HTTP/1.1 ${status} ${title}\r\ncf-ray: ${ray}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    if ('status' in origin) return void refuse(origin);
    const upstream = this.open(request, origin, ray, ['connection', 'upgrade']);
    watch(upstream, refuse);
    upstream.on('error', (cause) => refuse(faultOf(cause)));
    upstream.on('response', (answer) => {
      answer.resume();
      refuse({ status: answer.statusCode ?? 502, title: answer.statusMessage ?? '' });
    });
    upstream.on('upgrade', (answer, socket, rest) => {
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}`);
      client.write(['HTTP/1.1 101 Switching Protocols', ...lines, `cf-ray: ${ray}`, '', ''].join('\r\n'));
      client.write(rest);
      socket.write(head);
      socket.on('error', () => client.destroy()).on('close', () => client.destroy());
      client.on('close', () => socket.destroy());
      socket.pipe(client).pipe(socket);
    });
    upstream.end();
  }

  private open(
    request: http.IncomingMessage,
    origin: Origin,
    ray: string,
    keep: readonly string[],
  ): http.ClientRequest {
    return https.request({
      agent: origin.agent,
      host: origin.address,
      port: ports.https,
      servername: origin.host,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: forthHeaders(request, origin.host, ray, keep),
    });
  }
}

/** 16 hex digits and a data centre, as the vendor writes it. */
const newRay = () => `${identifier().slice(0, 16)}-ZRH`;

function forthHeaders(
  request: http.IncomingMessage,
  host: string,
  ray: string,
  keep: readonly string[],
): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = { ...request.headers };
  const chunked = headers['transfer-encoding'];
  for (const name of hopByHop) if (!keep.includes(name)) delete headers[name];
  if (chunked !== undefined) headers['transfer-encoding'] = chunked;
  const client = request.socket.remoteAddress ?? '';
  const earlier = request.headers['x-forwarded-for'];
  return {
    ...headers,
    host,
    'cf-connecting-ip': client,
    'cf-ray': ray,
    'cf-visitor': '{"scheme":"https"}',
    'x-forwarded-for': earlier ? `${String(earlier)}, ${client}` : client,
    'x-forwarded-proto': 'https',
  };
}

function backHeaders(answer: http.IncomingMessage, ray: string): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = { ...answer.headers };
  for (const name of hopByHop) delete headers[name];
  return { ...headers, server: 'cloudflare', 'cf-ray': ray, 'cf-cache-status': 'DYNAMIC' };
}

/** Calls `fail` once when the connection or the answer takes too long. */
function watch(upstream: http.ClientRequest, fail: (fault: EdgeFault) => void): void {
  let timer: NodeJS.Timeout | undefined;
  const within = (ms: number, fault: () => EdgeFault) => {
    clearTimeout(timer);
    timer = setTimeout(() => fail(fault()), ms);
  };
  const stop = () => clearTimeout(timer);
  upstream.on('socket', (socket) => {
    const answering = () => within(answerTimeoutMs, () => edgeFaults.answerTimeout);
    if (!socket.connecting && upstream.reusedSocket) return answering();
    const connected = () => !socket.connecting;
    within(connectTimeoutMs, () => (connected() ? edgeFaults.handshake : edgeFaults.connectTimeout));
    socket.once('secureConnect', answering);
  });
  upstream.on('response', stop).on('upgrade', stop).on('error', stop).on('close', stop);
}
