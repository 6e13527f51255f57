/** The Cloudflare part: API v4, the zones' name servers (which are the internet's resolver too), and the edge. */
import { createAuthority, issue } from '../authority';
import { outside, ports } from '../world';
import { Api } from './api';
import { Certificates } from './certificates';
import { DnsServer } from './dns-server';
import { Edge } from './edge';
import { Names } from './names';
import { permissionGroups, scopes, type Policy } from './permissions';
import { Resolver } from './resolver';
import type { Account } from './route';
import { digest, identifier, Store, timestamp, type State, type Token } from './state';
import { makeZone } from './zones';

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; the sandbox's supervisor sets it for its parts`);
  return value;
}

/** The token that a person would have made first in the dashboard: it may do everything. */
function firstToken(account: Account, userId: string): Token {
  const now = timestamp();
  const policy = (scope: keyof typeof scopes, resource: string): Policy => ({
    id: identifier(),
    effect: 'allow',
    permission_groups: permissionGroups
      .filter((group) => group.scopes.includes(scopes[scope]))
      .map(({ id, name }) => ({ id, name })),
    resources: { [resource]: '*' },
  });
  const policies = [
    policy('zone', `${scopes.account}.${account.id}`),
    policy('account', `${scopes.account}.${account.id}`),
    policy('user', `${scopes.user}.${userId}`),
  ];
  return { id: identifier(), name: 'first token', status: 'active', policies, issued_on: now, modified_on: now };
}

function initialState(account: Account): State {
  const name = (process.env['STANDBY_ZONE'] ?? 'moodtalk.ch').toLowerCase();
  // The same in every world, so that a stack's configuration can name the zone by its id.
  const zone = { ...makeZone(name, account, 'active'), id: digest(name).slice(0, 32) };
  return { zones: { [zone.id]: zone }, records: {}, rulesets: {}, tokens: {} };
}

async function main(): Promise<void> {
  const account = { id: required('CLOUDFLARE_ACCOUNT_ID'), name: 'Standby sandbox' };
  const hash = digest(required('CLOUDFLARE_API_TOKEN'));
  const userId = digest(account.id).slice(0, 32);
  await createAuthority();

  const store = new Store(() => initialState(account));
  if (!store.state.tokens[hash]) {
    store.replace({ tokens: { ...store.state.tokens, [hash]: firstToken(account, userId) } });
  }
  const names = new Names();
  const resolver = new Resolver(names);
  const certificates = new Certificates(names);
  const edge = new Edge(names, certificates, resolver);
  const load = () => {
    names.load(store.state);
    certificates.prepare();
    edge.dropUnused();
  };
  store.on('change', load);
  load();

  const certificate = await issue([outside.cloudflareApi, 'api.cloudflare.com']);
  await Promise.all([
    new Api(store, account, userId).listen(outside.cloudflareApi, ports.https, certificate),
    new DnsServer(resolver).listen(outside.publicDns, ports.dns),
    edge.listen(outside.edge, ports.https),
  ]);
  console.log(JSON.stringify({ ready: true, zones: Object.values(store.state.zones).map(({ name }) => name) }));
}

process.on('SIGTERM', () => process.exit(0));
main().catch((cause: Error) => {
  console.error(`cloudflare: ${cause.message}`);
  process.exit(1);
});
