/** The little of a web framework that the application needs. */
import * as http from 'node:http';

const largestBody = 64 * 1024;

/** What a client is told instead of an answer. */
export class Fault extends Error {
  override readonly name = 'Fault';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers: http.IncomingHttpHeaders;
  /** @throws Fault 400 for what is not JSON, 413 for what is too much. */
  readonly json: () => Promise<unknown>;
}

export interface Answer {
  readonly status: number;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

export type Handler = (request: Request) => Promise<Answer> | Answer;
/** `GET /flights` → handler. */
export type Handlers = Readonly<Record<string, Handler>>;

export const json = (status: number, value: unknown, headers: http.OutgoingHttpHeaders = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
  body: JSON.stringify(value) + '\n',
});

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (one) => entities[one] ?? one);

/** A page for people. `body` is HTML. */
export const page = (title: string, body: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
  body: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>body{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>
<h1>${escapeHtml(title)}</h1>${body}</html>\n`,
});

export const redirect = (location: string, headers: http.OutgoingHttpHeaders = {}): Answer => ({
  status: 302,
  headers: { location, 'cache-control': 'no-store', ...headers },
});

/** People get pages, scripts get JSON. */
export const wantsHtml = (request: Request) => request.headers.accept?.includes('text/html') ?? false;

async function readJson(incoming: http.IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody) throw new Fault(413, 'BodyTooLarge', `the body is over ${largestBody} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch (cause) {
    throw new Fault(400, 'BodyNotJson', 'the body is not JSON', { cause });
  }
}

async function answerTo(incoming: http.IncomingMessage, handlers: Handlers): Promise<Answer> {
  const url = new URL(incoming.url ?? '/', 'http://application');
  const method = incoming.method === 'HEAD' ? 'GET' : (incoming.method ?? 'GET');
  const handler = handlers[`${method} ${url.pathname}`];
  if (handler) return handler({ method, url, headers: incoming.headers, json: () => readJson(incoming) });
  const allowed = Object.keys(handlers).filter((route) => route.endsWith(` ${url.pathname}`));
  if (!allowed.length) throw new Fault(404, 'NotFound', `there is no ${url.pathname}`);
  throw new Fault(
    405,
    'MethodNotAllowed',
    `${url.pathname} takes ${allowed.map((route) => route.split(' ')[0]).join(', ')}`,
  );
}

/** @param always headers of every answer. */
export function serve(handlers: Handlers, always: Readonly<Record<string, string>>): http.Server {
  return http.createServer((incoming, outgoing) => {
    answerTo(incoming, handlers)
      .catch((cause: unknown) => {
        const fault = cause instanceof Fault ? cause : new Fault(500, 'Internal', 'something went wrong', { cause });
        if (fault.status >= 500)
          console.log(`${incoming.method} ${incoming.url?.split('?')[0]}: ${fault.code}: ${fault.message}`);
        if (fault.code === 'Internal') console.log(String((cause as Error).stack ?? cause).replaceAll('\n', ' | '));
        return json(fault.status, { error: { code: fault.code, message: fault.message } });
      })
      .then(({ status, headers, body }) => {
        outgoing.writeHead(status, { ...headers, ...always });
        outgoing.end(incoming.method === 'HEAD' ? undefined : body);
      })
      .catch(() => outgoing.destroy());
  });
}
