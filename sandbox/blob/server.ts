/** The Blob service as clients see it: rules first, then Azurite, then what Azurite does not say by itself. */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { hang, isCarriedOut } from '../chaos/http';
import { ChaosBook, chaosFiles } from '../chaos/rules';
import type { StorageContainer } from '../azure/storage';
import { isCutOff } from '../silence';
import { outside, ports } from '../world';
import type { Account, Accounts } from './accounts';
import { authorize, checkCopySource, probe, type Grant } from './authorize';
import type { Azurite } from './azurite';
import { apiVersion, blobPath, open, readAll, type Reply } from './backend';
import { faults, StorageFault } from './fault';
import { hiddenBlob, hiddenContainer } from './hidden';
import { operationOf, targetOf, type Operation, type Target } from './request';
import { checkRetention, checkVersion } from './retention';
import { listVersions } from './version-list';
import { keyOf, type BlobName, type Versions } from './versions';

const ownHeaders = ['host', 'connection', 'keep-alive', 'authorization', 'expect'];
const passingHeaders = ['connection', 'keep-alive', 'transfer-encoding', 'server'];

interface Exchange {
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
  readonly account: Account;
  readonly target: Target;
  readonly operation: Operation;
  readonly grant: Grant;
}

/** How what goes on differs from what came. */
interface Alteration {
  readonly path?: string;
  readonly query?: URLSearchParams;
  readonly answerHeaders?: http.OutgoingHttpHeaders;
}

export class BlobService {
  private readonly chaos = new ChaosBook(chaosFiles.blob);

  constructor(
    private readonly accounts: Accounts,
    private readonly versions: Versions,
    private readonly azurite: Azurite,
  ) {}

  async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const target = targetOf(request);
      if (!(await this.survives(request, response, target))) return;
      const operation = operationOf(request, target);
      const account = await this.accounts.find(target.account);
      if (!account) throw faults.unknownAccount();
      if (account.site && isCutOff(account.site)) return hang(request);
      const grant = await authorize(request, target, operation, account);
      if ((request.headers['x-ms-blob-public-access'] ?? '') !== '') throw faults.publicAccess();
      await this.act({ request, response, account, target, operation, grant });
    } catch (cause) {
      fail(request, response, cause);
    }
  }

  /** Lets the faults that a tester asked for befall the request. @returns whether it is to be carried out. */
  private async survives(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { account, path, query }: Target,
  ): Promise<boolean> {
    const asked = `/${account}${path}${query.size > 0 ? `?${query.toString()}` : ''}`;
    const fate = await this.chaos.befall({
      method: request.method ?? 'GET',
      path: asked,
      from: request.socket.remoteAddress,
    });
    if (fate.kind === 'answered') throw faults.ordered(fate.status);
    if (fate.kind === 'lost') response.writeHead = () => (request.socket.destroy(), response);
    return isCarriedOut(request, fate);
  }

  private async act(exchange: Exchange): Promise<void> {
    const { account, target, operation, request } = exchange;
    const { container, blob, query } = target;
    if (container === undefined) return void (await this.forward(exchange, {}));
    await checkRetention(account, operation, container, blob);
    if (operation === 'list' && query.get('include')?.split(',').includes('versions'))
      return this.list(exchange, container);
    if (operation === 'deleteContainer') {
      if (await this.forward(exchange, {})) await this.versions.purge(account, container);
      return;
    }
    if (blob === undefined) {
      const answerHeaders = operation === 'readContainer' ? locksOf(account.containers[container]) : {};
      return void (await this.forward(exchange, { answerHeaders }));
    }
    const name = { container, blob };
    const version = query.get('versionid');
    if (version !== null) return this.actOnVersion(exchange, name, version);
    const replaces = operation === 'overwrite' || operation === 'setMetadata' || operation === 'delete';
    if (replaces && !query.has('snapshot') && this.versions.concerns(account, name)) {
      const creates = operation !== 'delete';
      return this.versions.change(account, name, creates, (next) =>
        this.forward(exchange, next ? { answerHeaders: { 'x-ms-version-id': next } } : {}),
      );
    }
    const current =
      request.method === 'GET' || request.method === 'HEAD'
        ? this.versions.index.get(keyOf(account, name)).current
        : undefined;
    const answerHeaders = current ? { 'x-ms-version-id': current, 'x-ms-is-current-version': 'true' } : {};
    await this.forward(exchange, { answerHeaders });
  }

  private async actOnVersion(exchange: Exchange, name: BlobName, version: string): Promise<void> {
    const { account, target, operation, grant, response } = exchange;
    await probe(grant, target, account);
    const { current, previous } = this.versions.index.get(keyOf(account, name));
    const kept = previous.get(version);
    if (version !== current && !kept) throw faults.blobNotFound();
    if (operation === 'delete') {
      if (!kept) throw faults.currentVersion();
      checkVersion(account, name.container, version, kept.created);
      await this.versions.remove(account, name, version);
      await this.azurite.save();
      respond(response, { status: 202, headers: {}, body: Buffer.alloc(0) }, {});
      return;
    }
    if (operation !== 'read') throw faults.notImplemented(`${operation} of a version`);
    const query = new URLSearchParams(target.query);
    query.delete('versionid');
    const checked = { ...exchange, grant: { kind: 'checked' } as const };
    if (!kept) {
      const answerHeaders = { 'x-ms-version-id': version, 'x-ms-is-current-version': 'true' };
      return void (await this.forward(checked, { query, answerHeaders }));
    }
    // The client knows the version by its own ETag; the copy has another.
    if (exchange.request.headers['if-match'] === kept.etag) delete exchange.request.headers['if-match'];
    const path = blobPath(hiddenContainer(name.container), hiddenBlob(name.blob, version));
    const times = { 'last-modified': kept.lastModified, 'x-ms-creation-time': kept.created, etag: kept.etag };
    await this.forward(checked, { path, query, answerHeaders: { ...times, 'x-ms-version-id': version } });
  }

  private async list({ account, target, grant, request, response }: Exchange, container: string): Promise<void> {
    await probe(grant, target, account);
    const url = `http://${request.headers.host}/${account.name}`;
    const body = Buffer.from(await listVersions(this.versions, account, container, target.query, url));
    respond(response, { status: 200, headers: { 'content-type': 'application/xml' }, body }, {});
  }

  /** Sends the request on and the answer back. @returns whether it succeeded. A change is on disk before it is answered. */
  private async forward(exchange: Exchange, { path, query, answerHeaders = {} }: Alteration): Promise<boolean> {
    const { request, response, account, target, grant } = exchange;
    const headers: http.OutgoingHttpHeaders = { ...request.headers };
    for (const name of ownHeaders) delete headers[name];
    const source = this.copySource(exchange);
    if (source) headers['x-ms-copy-source'] = source;
    const outgoing = {
      method: request.method ?? 'GET',
      account: account.name,
      path: path ?? target.path,
      query: query ?? target.query,
      headers,
    };
    const upstream = open(outgoing, grant.kind === 'checked' ? account.keys[0] : undefined);
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      upstream.on('response', resolve).on('error', reject);
      request.on('aborted', () => upstream.destroy(new Error('the client went away')));
      request.pipe(upstream);
    });
    const succeeded = (answer.statusCode ?? 500) < 300;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const extra = succeeded ? answerHeaders : {};
    if (reads && exchange.operation !== 'service') {
      response.writeHead(answer.statusCode ?? 500, { ...answerHeadersOf(answer.headers), ...extra });
      answer.on('error', () => response.destroy()).pipe(response);
      return succeeded;
    }
    const reply = await readAll(answer);
    if (!reads && succeeded) await this.azurite.save();
    respond(response, { ...reply, body: withoutHidden(reply.body) }, extra);
    return succeeded;
  }

  /** A copy's source is a URL of this layer; Azurite is told where it lies, a version's kept copy included. */
  private copySource({ request, grant, account }: Exchange): string | undefined {
    const given = request.headers['x-ms-copy-source'];
    if (typeof given !== 'string') return undefined;
    if (!URL.canParse(given)) throw faults.copySource();
    const url = new URL(given);
    const source = targetOf({ url: url.pathname + url.search, headers: { host: url.host } } as http.IncomingMessage);
    if (source.container === undefined || source.blob === undefined) throw faults.blobNotFound();
    if (source.account === account.name) checkCopySource(grant, account, source.container);
    const name = { container: source.container, blob: source.blob };
    const version = source.query.get('versionid');
    source.query.delete('versionid');
    const { current, previous } = this.versions.index.get(`${source.account}/${name.container}/${name.blob}`);
    if (version !== null && version !== current && !previous.has(version)) throw faults.blobNotFound();
    const kept = version !== null && version !== current;
    const path = kept ? blobPath(hiddenContainer(name.container), hiddenBlob(name.blob, version)) : source.path;
    const search = source.query.size > 0 ? `?${source.query.toString()}` : '';
    return `http://${outside.azurite}:${ports.blob}/${source.account}${path}${search}`;
  }
}

const azuriteUrl = new RegExp(`http://${outside.azurite.replaceAll('.', '\\.')}:${ports.blob}/`, 'g');
const hiddenListing = /<Container><Name>\$versions-[\s\S]*?<\/Container>/g;
const withoutHidden = (body: Buffer) =>
  body.includes('$versions-') ? Buffer.from(body.toString('utf8').replace(hiddenListing, '')) : body;

/** Azurite says of every container that nothing is locked in it. */
const locksOf = (held: StorageContainer | undefined): http.OutgoingHttpHeaders => ({
  'x-ms-has-immutability-policy': String(Boolean(held?.immutability)),
  'x-ms-has-legal-hold': String(held?.legalHold ?? false),
});

function answerHeadersOf(given: http.IncomingHttpHeaders): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = { ...given };
  for (const name of passingHeaders) delete headers[name];
  const source = headers['x-ms-copy-source'];
  if (typeof source === 'string') {
    const shown = source.replace(azuriteUrl, `http://${outside.blob}:${ports.blob}/`);
    headers['x-ms-copy-source'] = shown.replace(
      /\/(?:\$|%24)versions-([^/]+)\/(.*)\/([^/]+)$/,
      (_, container, blob, version) => `/${container}/${blob}?versionid=${version}`,
    );
  }
  return headers;
}

function respond(response: http.ServerResponse, reply: Reply, extra: http.OutgoingHttpHeaders): void {
  const fixed = { 'x-ms-version': apiVersion, 'x-ms-request-id': randomUUID(), date: new Date().toUTCString() };
  const headers = { ...fixed, ...answerHeadersOf(reply.headers), ...extra, 'content-length': reply.body.length };
  response.writeHead(reply.status, headers).end(reply.body);
}

function fail(request: http.IncomingMessage, response: http.ServerResponse, cause: unknown): void {
  if (response.headersSent || response.destroyed || request.destroyed) return void response.destroy();
  const known = cause instanceof StorageFault;
  if (!known) console.error(`blob: ${request.method} ${request.url?.split('?')[0]}: ${(cause as Error).stack}`);
  const { status, code, message } = known
    ? cause
    : new StorageFault(500, 'InternalError', 'The server encountered an internal error. Please retry the request.');
  const id = randomUUID();
  const text = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}\nRequestId:${id}\nTime:${new Date().toISOString()}</Message></Error>`;
  const body = Buffer.from(request.method === 'HEAD' ? '' : text);
  request.resume();
  response.writeHead(status, {
    'x-ms-error-code': code,
    'x-ms-request-id': id,
    'x-ms-version': apiVersion,
    'content-type': 'application/xml',
    'content-length': body.length,
  });
  response.end(body);
}
