/** The API v4 over HTTPS: who asks, how often, whether they may, and the envelope of the answer. */
import type * as http from 'node:http';
import * as https from 'node:https';
import type { Certificate } from '../authority';
import { isCarriedOut } from '../chaos/http';
import { ChaosBook, chaosFiles } from '../chaos/rules';
import { Fault, invalid, missing, noRoute, refused } from './fault';
import { orderedFault, RateLimit } from './limits';
import { allows, checkValidity } from './permissions';
import { bucketRoutes } from './r2';
import { recordRoutes } from './records';
import type { Account, Answer, Route } from './route';
import { rulesetRoutes } from './rulesets';
import { digest, type Store, type Token, type Zone } from './state';
import { tokenRoutes } from './tokens';
import { zoneRoutes } from './zones';

const prefix = '/client/v4';
const maxBodyBytes = 10 * 1024 ** 2;

interface Compiled extends Route {
  readonly pattern: RegExp;
}

const words: Readonly<Record<string, string>> = { phase: '\\w+', bucket: '[^/]+' };
const compile = (route: Route): Compiled => ({
  ...route,
  pattern: new RegExp(
    `^${route.path.replace(/:(\w+)/g, (_, name: string) => `(?<${name}>${words[name] ?? '[0-9a-f]{32}'})`)}$`,
  ),
});
const routes = [...zoneRoutes, ...recordRoutes, ...rulesetRoutes, ...bucketRoutes, ...tokenRoutes].map(compile);

async function readBody(request: http.IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new Fault(413, { code: 7011, message: 'Request body is too large.' });
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length === 0) return undefined;
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('multipart/form-data')) return readForm(bytes, type);
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    throw invalid(6007, 'Malformed JSON in request body');
  }
}

/** @returns the form's fields; a file's text stands for the file. */
async function readForm(bytes: Buffer, type: string): Promise<Record<string, string>> {
  try {
    const form = await new Response(bytes, { headers: { 'content-type': type } }).formData();
    const fields = [...form].map(
      async ([name, value]) => [name, typeof value === 'string' ? value : await value.text()] as const,
    );
    return Object.fromEntries(await Promise.all(fields));
  } catch {
    throw invalid(6007, 'Malformed multipart form in request body');
  }
}

export class Api {
  private readonly limit = new RateLimit();
  private readonly chaos = new ChaosBook(chaosFiles.cloudflare);

  constructor(
    private readonly store: Store,
    private readonly account: Account,
    private readonly userId: string,
  ) {}

  listen(host: string, port: number, certificate: Certificate): Promise<https.Server> {
    const server = https.createServer({ ...certificate, keepAliveTimeout: 60_000 }, (request, response) => {
      void this.serve(request, response);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, host, () => resolve(server));
    });
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const { method = 'GET', url: path = '/' } = request;
      const fate = await this.chaos.befall({ method, path, from: request.socket.remoteAddress });
      if (fate.kind === 'answered') throw orderedFault(fate.status, fate.retryAfter);
      if (!isCarriedOut(request, fate)) return;
      const answer = await this.answer(request);
      if (method !== 'GET') console.log(`${new Date().toISOString()} write ${method} ${path}`);
      if (fate.kind === 'lost') return void request.socket.destroy();
      if (answer.text !== undefined) send(response, 200, answer.text, { 'content-type': 'text/plain;charset=UTF-8' });
      else {
        const { result = null, result_info, messages = [] } = answer;
        const info = result_info === undefined ? {} : { result_info };
        sendJson(response, 200, { result, success: true, errors: [], messages, ...info });
      }
    } catch (cause) {
      const fault = cause instanceof Fault ? cause : new Fault(500, { code: 10001, message: 'Internal server error' });
      if (fault !== cause) console.error(`cloudflare: ${request.method} ${request.url}: ${(cause as Error).stack}`);
      request.resume();
      sendJson(
        response,
        fault.status,
        { result: null, success: false, errors: fault.errors, messages: [] },
        fault.headers,
      );
    }
  }

  private async answer(request: http.IncomingMessage): Promise<Answer> {
    const url = new URL(request.url ?? '/', 'https://api');
    if (!url.pathname.startsWith(`${prefix}/`)) throw noRoute(url.pathname);
    const path = url.pathname.slice(prefix.length).replace(/\/+$/, '');
    const token = this.authenticate(request, path);
    this.limit.take();
    const [route, params] = match(request.method ?? 'GET', path);
    const body = await readBody(request);
    const zone = this.authorize(token, route, params);
    const { store, account } = this;
    const { headers } = request;
    return route.handle({ store, account, token, params, query: url.searchParams, headers, body, zone });
  }

  private authenticate(request: http.IncomingMessage, path: string): Token {
    const header = request.headers.authorization;
    if (header === undefined) throw refused.noCredentials();
    const value = /^Bearer ([\w-]{20,100})$/.exec(header)?.[1];
    if (value === undefined) throw refused.malformed();
    const token = this.store.state.tokens[digest(value)];
    if (!token) throw path === '/user/tokens/verify' ? refused.unknownToken() : refused.badToken();
    checkValidity(token, request.socket.remoteAddress ?? '');
    return token;
  }

  /** @returns the zone of the path; for another path any zone, which its handler does not look at. */
  private authorize(token: Token, { need }: Route, params: Readonly<Record<string, string>>): Zone {
    const ids = { zone: params['zone'], account: params['account'] ?? this.account.id, user: this.userId };
    if (need && !allows(token, need, ids[need.on] ?? '', this.account.id))
      throw need.permission === 'Zone' ? refused.noAccess() : refused.noPermission();
    const zone = this.store.state.zones[params['zone'] ?? ''];
    if (params['zone'] !== undefined && !zone) throw missing.zone();
    return zone as Zone;
  }
}

function match(method: string, path: string): [Route, Record<string, string>] {
  const found = routes.filter((route) => route.pattern.test(path));
  const route = found.find((candidate) => candidate.method === method);
  if (route) return [route, { ...route.pattern.exec(path)?.groups }];
  if (found.length > 0) throw new Fault(405, { code: 7001, message: `Method ${method} not available for that URI.` });
  throw noRoute(path);
}

function sendJson(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: http.OutgoingHttpHeaders = {},
): void {
  send(response, status, JSON.stringify(body), { 'content-type': 'application/json', ...headers });
}

function send(response: http.ServerResponse, status: number, text: string, headers: http.OutgoingHttpHeaders): void {
  const body = Buffer.from(text);
  response.writeHead(status, { ...headers, 'content-length': body.length, server: 'cloudflare' }).end(body);
}
