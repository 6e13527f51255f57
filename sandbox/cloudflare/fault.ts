/** Errors in the vendor's form: HTTP status, and the `errors` of the envelope. Codes and words are the vendor's. */
import type { z } from 'zod';

export interface VendorError {
  readonly code: number;
  readonly message: string;
  readonly error_chain?: readonly VendorError[];
}

export class Fault extends Error {
  override readonly name = 'Fault';
  readonly errors: readonly VendorError[];

  constructor(
    readonly status: number,
    errors: VendorError | readonly VendorError[],
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    const list = 'code' in errors ? [errors] : errors;
    super(list.map(({ code, message }) => `${message} (${code})`).join(', '));
    this.errors = list;
  }
}

export const invalid = (code: number, message: string) => new Fault(400, { code, message });

/**
 * @param what - what the vendor calls a bad one, before the field and why
 * @throws Fault with `code` and the first thing that is wrong with `value`
 */
export function checked<T>(schema: z.ZodType<T>, value: unknown, code: number, what = ''): T {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  const [issue] = error?.issues ?? [];
  throw invalid(code, `${what}${issue?.path.join('.') || 'body'}: ${issue?.message}`);
}

export const noRoute = (path: string) =>
  new Fault(404, [
    { code: 7003, message: `Could not route to ${path}, perhaps your object identifier is invalid?` },
    { code: 7000, message: 'No route for that URI' },
  ]);

export const missing = {
  zone: () => new Fault(404, { code: 1001, message: 'Invalid zone identifier' }),
  record: () => new Fault(404, { code: 81044, message: 'Record does not exist.' }),
  ruleset: () => new Fault(404, { code: 10003, message: 'could not find ruleset' }),
  entrypoint: (phase: string) =>
    new Fault(404, { code: 10003, message: `could not find entrypoint ruleset in the ${phase} phase` }),
  bucket: () => new Fault(404, { code: 10006, message: 'The specified bucket does not exist.' }),
  token: () => new Fault(404, { code: 1003, message: 'Valid token was not found' }),
};

export const taken = {
  bucket: () =>
    new Fault(409, { code: 10004, message: 'The bucket you tried to create already exists, and you own it.' }),
};

export const refused = {
  noCredentials: () =>
    new Fault(400, { code: 9106, message: 'Missing X-Auth-Key, X-Auth-Email or Authorization headers' }),
  malformed: () =>
    new Fault(400, {
      code: 6003,
      message: 'Invalid request headers',
      error_chain: [{ code: 6111, message: 'Invalid format for Authorization header' }],
    }),
  unknownToken: () => new Fault(401, { code: 1000, message: 'Invalid API Token' }),
  badToken: () => new Fault(403, { code: 9109, message: 'Invalid access token' }),
  noPermission: () => new Fault(403, { code: 10000, message: 'Authentication error' }),
  noAccess: () => new Fault(403, { code: 9109, message: 'Unauthorized to access requested resource' }),
  fromThisAddress: (ip: string) =>
    new Fault(403, { code: 9109, message: `Cannot use the access token from location: ${ip}` }),
};
