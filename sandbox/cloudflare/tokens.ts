/** /user/tokens: a token is shown once, when it is made or rolled. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { checked, invalid, missing } from './fault';
import { permissionGroups, scopes } from './permissions';
import { page } from './record-list';
import { need, type Answer, type Call, type Route } from './route';
import { digest, identifier, timestamp, type Token } from './state';

const range = z.string().regex(/^[\d.]+(\/\d{1,2})?$/);
const schema = z.strictObject({
  name: z.string().min(1).max(120),
  policies: z
    .array(
      z.strictObject({
        id: z.string().optional(),
        effect: z.enum(['allow', 'deny']),
        permission_groups: z.array(z.object({ id: z.string() })).min(1),
        resources: z.record(z.string(), z.union([z.string(), z.record(z.string(), z.string())])),
      }),
    )
    .min(1),
  not_before: z.iso.datetime({ offset: true }).optional(),
  expires_on: z.iso.datetime({ offset: true }).optional(),
  status: z.enum(['active', 'disabled']).optional(),
  condition: z
    .strictObject({
      request_ip: z.strictObject({ in: z.array(range).optional(), not_in: z.array(range).optional() }).optional(),
    })
    .optional(),
});

function checkedGroup(id: string) {
  const found = permissionGroups.find((group) => group.id === id);
  if (!found) throw invalid(1001, `Invalid permission group: ${id}`);
  return { id: found.id, name: found.name };
}

function checkedResource(name: string): void {
  if (!Object.values(scopes).some((scope) => name.startsWith(`${scope}.`)))
    throw invalid(1001, `Invalid resource: ${name}`);
}

function content(call: Call): Omit<Token, 'id' | 'issued_on'> {
  const data = checked(schema, call.body, 1001, 'Invalid token: ');
  const policies = data.policies.map((policy) => {
    Object.keys(policy.resources).forEach(checkedResource);
    return {
      ...policy,
      id: identifier(),
      permission_groups: policy.permission_groups.map(({ id }) => checkedGroup(id)),
    };
  });
  const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined)) as typeof data;
  return { ...given, policies, status: data.status ?? 'active', modified_on: timestamp() } as Omit<
    Token,
    'id' | 'issued_on'
  >;
}

/** 40 characters, as the vendor's are. */
const secret = () => randomBytes(30).toString('base64url');

function entry(call: Call): [hash: string, token: Token] {
  const found = Object.entries(call.store.state.tokens).find(([, token]) => token.id === call.params['token']);
  if (!found) throw missing.token();
  return found;
}

function create(call: Call): Answer {
  const value = secret();
  const token: Token = { id: identifier(), issued_on: timestamp(), ...content(call) };
  call.store.replace({ tokens: { ...call.store.state.tokens, [digest(value)]: token } });
  return { result: { ...token, value } };
}

function update(call: Call): Answer {
  const [hash, { id, issued_on }] = entry(call);
  const token: Token = { id, issued_on, ...content(call) };
  call.store.replace({ tokens: { ...call.store.state.tokens, [hash]: token } });
  return { result: token };
}

function remove(call: Call): Answer {
  const [hash, { id }] = entry(call);
  const { [hash]: gone, ...tokens } = call.store.state.tokens;
  call.store.replace({ tokens });
  return { result: { id } };
}

function roll(call: Call): Answer {
  const [hash, token] = entry(call);
  const { [hash]: gone, ...tokens } = call.store.state.tokens;
  const value = secret();
  call.store.replace({ tokens: { ...tokens, [digest(value)]: { ...token, modified_on: timestamp() } } });
  return { result: value };
}

/** The token that asks is valid, or it would not have come this far. */
const verify = ({ token: { id, status, not_before, expires_on } }: Call): Answer => ({
  result: { id, status, ...(not_before ? { not_before } : {}), ...(expires_on ? { expires_on } : {}) },
  messages: [{ code: 10000, message: 'This API Token is valid and active', type: null }],
});

const read = need('API Tokens', 'Read', 'user');
const write = need('API Tokens', 'Write', 'user');
const root = '/user/tokens';

export const tokenRoutes: readonly Route[] = [
  { method: 'GET', path: `${root}/verify`, handle: verify },
  { method: 'GET', path: `${root}/permission_groups`, ...read, handle: () => ({ result: permissionGroups }) },
  {
    method: 'GET',
    path: root,
    ...read,
    handle: (call) => page(Object.values(call.store.state.tokens), call.query, 20, 50),
  },
  { method: 'POST', path: root, ...write, handle: create },
  { method: 'GET', path: `${root}/:token`, ...read, handle: (call) => ({ result: entry(call)[1] }) },
  { method: 'PUT', path: `${root}/:token`, ...write, handle: update },
  { method: 'DELETE', path: `${root}/:token`, ...write, handle: remove },
  { method: 'PUT', path: `${root}/:token/value`, ...write, handle: roll },
];
