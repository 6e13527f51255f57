/** Shared key signatures (the vendor's version 2015-02-21 and later): checked as they come, made anew for what goes on. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const signedHeaders = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
] as const;

const value = (headers: Headers, name: string) => {
  const held = headers[name] ?? '';
  const text = typeof held === 'string' ? held : held.join(',');
  return name === 'content-length' && text === '0' ? '' : text;
};

function stringToSign(method: string, headers: Headers, account: string, path: string, query: URLSearchParams): string {
  const own = Object.keys(headers)
    .filter((name) => name.startsWith('x-ms-'))
    .sort((a, b) => a.localeCompare(b))
    .map((name) => `${name}:${value(headers, name).trimStart()}\n`);
  const parameters = new Map<string, string[]>();
  for (const [name, held] of query)
    parameters.set(name.toLowerCase(), [...(parameters.get(name.toLowerCase()) ?? []), held]);
  const resource = [...parameters]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, held]) => `\n${name}:${held.sort().join(',')}`);
  const plain = signedHeaders.map((name) => value(headers, name));
  return `${[method, ...plain].join('\n')}\n${own.join('')}/${account}${path}${resource.join('')}`;
}

const sign = (text: string, key: string) =>
  createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest();

/** @param path undecoded, as sent. @returns the Authorization header. */
export function authorization(
  method: string,
  headers: Headers,
  account: string,
  path: string,
  query: URLSearchParams,
  key: string,
): string {
  return `SharedKey ${account}:${sign(stringToSign(method, headers, account, path, query), key).toString('base64')}`;
}

/** @returns whether one of the account's keys signed the request. */
export function isSigned(
  method: string,
  headers: Headers,
  account: string,
  path: string,
  query: URLSearchParams,
  keys: readonly string[],
): boolean {
  const [, name, signature] = /^SharedKey ([^:]+):(.+)$/.exec(value(headers, 'authorization')) ?? [];
  if (name !== account || signature === undefined) return false;
  const given = Buffer.from(signature, 'base64');
  const text = stringToSign(method, headers, account, path, query);
  return keys.some((key) => {
    const expected = sign(text, key);
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
}
