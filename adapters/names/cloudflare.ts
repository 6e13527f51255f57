/** The public zone at Cloudflare. */
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';
import { exchange, passing, waitAsked, type Answer } from '../http';
import { Passing, trying } from '../patience';

const api = 'https://api.cloudflare.com/client/v4';
const attemptMs = 10_000;

export interface PublicRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
}

interface Envelope<T> {
  readonly success?: boolean;
  readonly result?: T;
  readonly result_info?: { readonly total_count?: number };
  readonly errors?: readonly { readonly code?: number; readonly message?: string }[];
}

interface Order {
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body?: object;
  readonly signal: AbortSignal;
  /** Of one attempt. @default - 10 s */
  readonly withinMs?: number;
  readonly tries?: number;
}

type Context = Pick<AdapterContext, 'environment'>;

/** @throws StandbyError CloudflareUnreachable, CloudflareRefused; both retryable where waiting may help. */
export const cloudflare = <T>(
  context: Context,
  order: Order,
): Promise<{ readonly result: T; readonly total: number; readonly ms: number }> =>
  asking(context, order, (answer) => {
    const { success, result, result_info: info } = parse<T>(answer.text);
    return success && result !== undefined ? { result, total: info?.total_count ?? 0, ms: answer.ms } : undefined;
  });

/** What Cloudflare answers as it is: a zone file. @throws as `cloudflare` does */
export const cloudflareText = (context: Context, order: Order): Promise<string> =>
  asking(context, order, ({ text }) => text || undefined);

/** @param read - gives nothing for an answer that is none, whatever its status. */
async function asking<T>({ environment }: Context, order: Order, read: (answer: Answer) => T | undefined): Promise<T> {
  const { method = 'GET', path, body, signal, withinMs = attemptMs, tries } = order;
  const url = `${environment['CLOUDFLARE_BASE_URL'] ?? api}${path}`;
  const headers = {
    authorization: `Bearer ${environment['CLOUDFLARE_API_TOKEN'] ?? ''}`,
    'content-type': 'application/json',
  };
  return trying({ signal, ...(tries ? { tries } : {}) }, async () => {
    const question = { method, headers, signal, withinMs, ...(body ? { body: JSON.stringify(body) } : {}) };
    const answer = await exchange(url, question).catch((cause: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw new Passing(unreachable(cause));
    });
    const found = answer.status < 400 ? read(answer) : undefined;
    if (found !== undefined) return found;
    const fault = refused(method, path, answer, parse(answer.text));
    throw fault.retryable ? new Passing(fault, waitAsked(answer)) : fault;
  });
}

function parse<T>(text: string): Envelope<T> {
  try {
    return JSON.parse(text) as Envelope<T>;
  } catch {
    return {};
  }
}

const unreachable = (cause: unknown) =>
  new StandbyError(
    'CloudflareUnreachable',
    `Cloudflare's API gives no answer (${(cause as Error).message}): check the way to it`,
    { retryable: true, cause },
  );

function refused(method: string, path: string, { status }: Answer, { errors }: Envelope<unknown>): StandbyError {
  const said = errors?.map(({ code, message }) => `${code} ${message}`).join('; ') || 'no reason given';
  return new StandbyError(
    'CloudflareRefused',
    `Cloudflare refuses ${method} ${path.split('?')[0]} with ${status}: ${said}; CLOUDFLARE_API_TOKEN needs DNS Write and Zone Read on the zone`,
    { retryable: passing(status) },
  );
}

/** @throws StandbyError NoSuchZone */
export async function zoneId(
  context: AdapterContext,
  zone: string,
  signal: AbortSignal,
  tries?: number,
): Promise<string> {
  const path = `/zones?name=${encodeURIComponent(zone)}`;
  const { result } = await cloudflare<readonly { readonly id: string }[]>(context, {
    path,
    signal,
    ...(tries ? { tries } : {}),
  });
  const [first] = result;
  if (first) return first.id;
  throw new StandbyError('NoSuchZone', `Cloudflare shows no zone ${zone} to this token: give it Zone Read on the zone`);
}

/** @returns every record of a zone. */
export async function recordsOf(
  context: AdapterContext,
  id: string,
  signal: AbortSignal,
  tries?: number,
): Promise<PublicRecord[]> {
  const all: PublicRecord[] = [];
  for (let page = 1; ; page += 1) {
    const path = `/zones/${id}/dns_records?per_page=500&page=${page}`;
    const order = { path, signal, ...(tries ? { tries } : {}) };
    const { result, total } = await cloudflare<readonly PublicRecord[]>(context, order);
    all.push(...result);
    if (result.length === 0 || all.length >= total) return all;
  }
}
