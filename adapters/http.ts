/** One HTTPS exchange within a stated time, with somebody who may be silent. Redirects are not followed. */
import * as http from 'node:http';
import * as https from 'node:https';
import { within } from '../failover/within';

export interface Question {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** Longest time until the answer is complete. */
  readonly withinMs: number;
  /** Address to connect to. @default - where the URL's name leads */
  readonly at?: string;
  /** Who answers needs no certificate that the public trusts: an origin's is often signed for the edge alone. @default - false */
  readonly anyCertificate?: boolean;
  /** Keeps connections open, knows authorities and client certificates. @default - a connection of its own */
  readonly agent?: https.Agent;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Time until the answer was complete. */
  readonly ms: number;
}

const largestBody = 16 * 1024 * 1024;

/** @throws Error that says in a few words why there is no answer; the signal's reason when it was aborted. */
export async function exchange(url: string | URL, question: Question): Promise<Answer> {
  const { signal, withinMs } = question;
  signal.throwIfAborted();
  const limit = within(Math.ceil(withinMs));
  const began = performance.now();
  try {
    const answer = await send(new URL(url), question, AbortSignal.any([signal, limit]));
    return { ...answer, ms: performance.now() - began };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (limit.aborted) throw new Error(`no answer within ${Math.ceil(withinMs) / 1000} s`, { cause });
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new Error(code ?? message, { cause });
  }
}

function send(url: URL, question: Question, signal: AbortSignal): Promise<Omit<Answer, 'ms'>> {
  const { method = 'GET', headers = {}, body, at, agent, anyCertificate } = question;
  const { hostname, host, port, pathname, search, protocol } = url;
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const options = { method, path: pathname + search, headers: { host, ...headers, ...length }, signal };
  return new Promise((resolve, reject) => {
    const request =
      protocol === 'http:'
        ? http.request({ ...options, host: at ?? hostname, port: port || 80, agent: false })
        : https.request({
            ...options,
            ...{ host: at ?? hostname, port: port || 443, agent: agent ?? false },
            ...(/^[\d.]+$/.test(hostname) ? {} : { servername: hostname }),
            ...(anyCertificate ? { rejectUnauthorized: false } : {}),
          });
    request.on('error', reject).on('response', (response) => {
      read(response).then((text) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      }, reject);
    });
    request.end(body);
  });
}

async function read(response: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > largestBody) throw new Error(`an answer of more than ${largestBody} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Answers that say "not now". */
export const passing = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** @returns milliseconds that an answer asks to wait. */
export function waitAsked({ headers }: Pick<Answer, 'headers'>): number | undefined {
  const seconds = Number(headers['retry-after']);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
