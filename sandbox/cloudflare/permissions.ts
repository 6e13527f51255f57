/** API tokens' policies: which permission groups on which resources, in the vendor's words and identifiers. */
import { BlockList } from 'node:net';
import { refused } from './fault';
import type { Token } from './state';

export const scopes = {
  zone: 'com.cloudflare.api.account.zone',
  account: 'com.cloudflare.api.account',
  user: 'com.cloudflare.api.user',
} as const;

export interface PermissionGroup {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
}

const group = (id: string, name: string, scope: keyof typeof scopes): PermissionGroup => ({
  id,
  name,
  scopes: [scopes[scope]],
});

export const permissionGroups: readonly PermissionGroup[] = [
  group('82e64a83756745bbbb1c9c2701bf816b', 'DNS Read', 'zone'),
  group('4755a26eedb94da69e1066d98aa820be', 'DNS Write', 'zone'),
  group('c8fed203ed3043cba015a93ad1616f1f', 'Zone Read', 'zone'),
  group('e6d2666161e84845a636613608cee8d5', 'Zone Write', 'zone'),
  group('dbc512b354774852af2b5a5f4ba3d470', 'Zone WAF Read', 'zone'),
  group('fb6778dc191143babbfaa57993f1d275', 'Zone WAF Write', 'zone'),
  group('fb39996ee9044d2a8725921e02744b39', 'Account Rulesets Read', 'account'),
  group('56907406c3d548ed902070ec4df0e328', 'Account Rulesets Write', 'account'),
  group('c1fde68c7bcc44588cbb6ddbc16d6480', 'Account Settings Read', 'account'),
  group('1af1fa2adc104452b74a9a3364202f20', 'Account Settings Write', 'account'),
  group('b4992e1108244f5d8bfbd5744320c2e1', 'Workers R2 Storage Read', 'account'),
  group('bf7481a1826f439697cb59a20b22293e', 'Workers R2 Storage Write', 'account'),
  group('0cc3a61731504c89b99ec1be78b77aa0', 'API Tokens Read', 'user'),
  group('686d18d5ac6c441c867cbf6771e58a0a', 'API Tokens Write', 'user'),
];

export type Resources = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

export interface Policy {
  readonly id: string;
  readonly effect: 'allow' | 'deny';
  readonly permission_groups: readonly { readonly id: string; readonly name: string }[];
  readonly resources: Resources;
}

/** What a request needs: a permission (read is also given by write), on one zone, the account or the user. */
export interface Need {
  readonly permission:
    'DNS' | 'Zone' | 'Zone WAF' | 'Account Rulesets' | 'Account Settings' | 'Workers R2 Storage' | 'API Tokens';
  readonly level: 'Read' | 'Write';
  readonly on: keyof typeof scopes;
}

/** Resource names that cover the target: its own, the star of its kind, and the account that holds it. */
function covering(on: keyof typeof scopes, id: string, accountId: string): ReadonlySet<string> {
  const own = [`${scopes[on]}.${id}`, `${scopes[on]}.*`];
  const account = [`${scopes.account}.${accountId}`, `${scopes.account}.*`];
  return new Set(on === 'zone' ? [...own, ...account] : own);
}

function covers(resources: Resources, names: ReadonlySet<string>): boolean {
  return Object.entries(resources).some(([name, value]) =>
    typeof value === 'string' ? names.has(name) : Object.keys(value).some((inner) => names.has(inner)),
  );
}

/** @returns whether the token's policies allow it: one must allow, none may deny. */
export function allows(token: Token, need: Need, id: string, accountId: string): boolean {
  const names = covering(need.on, id, accountId);
  const wanted = need.level === 'Read' ? ['Read', 'Write'] : ['Write'];
  const groups = new Set(wanted.map((level) => `${need.permission} ${level}`));
  const matching = token.policies.filter(
    (policy) => policy.permission_groups.some(({ name }) => groups.has(name)) && covers(policy.resources, names),
  );
  return matching.some(({ effect }) => effect === 'allow') && !matching.some(({ effect }) => effect === 'deny');
}

function inRanges(ranges: readonly string[], ip: string): boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [net = '', prefix = '32'] = range.split('/');
    list.addSubnet(net, Number(prefix), 'ipv4');
  }
  return list.check(ip);
}

/** @throws Fault when the token is disabled, not yet or no longer valid, or used from an address it is not meant for. */
export function checkValidity(token: Token, ip: string, now = Date.now()): void {
  const early = token.not_before !== undefined && Date.parse(token.not_before) > now;
  const late = token.expires_on !== undefined && Date.parse(token.expires_on) <= now;
  if (token.status !== 'active' || early || late) throw refused.badToken();
  const { in: within, not_in: without } = token.condition?.request_ip ?? {};
  if ((within && !inRanges(within, ip)) || (without && inRanges(without, ip))) throw refused.fromThisAddress(ip);
}
