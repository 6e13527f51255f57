/** /zones and /accounts */
import { z } from 'zod';
import { checked, invalid, missing } from './fault';
import { allows } from './permissions';
import { page } from './record-list';
import { isHostname } from './record-rules';
import { need, type Account, type Answer, type Call, type Route } from './route';
import { identifier, nameServers, timestamp, type Zone } from './state';

const plan = {
  id: '0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee',
  name: 'Free Website',
  price: 0,
  currency: 'USD',
  frequency: '',
  is_subscribed: false,
  can_subscribe: false,
  legacy_id: 'free',
  legacy_discount: false,
  externally_managed: false,
};

export function makeZone(name: string, account: Account, status: Zone['status']): Zone {
  const now = timestamp();
  return {
    id: identifier(),
    name,
    status,
    paused: false,
    type: 'full',
    development_mode: 0,
    name_servers: nameServers,
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    created_on: now,
    modified_on: now,
    activated_on: status === 'active' ? now : null,
    account,
  };
}

const readZone = { permission: 'Zone', level: 'Read', on: 'zone' } as const;

const zonePermissions = [
  ['DNS', 'dns_records'],
  ['Zone', 'zone'],
  ['Zone WAF', 'waf'],
] as const;

/** The answer tells what the token may do in the zone, and the parts that are the same for every zone. */
function wire(zone: Zone, { token, account }: Call) {
  const permissions = zonePermissions.flatMap(([permission, word]) =>
    (['Read', 'Write'] as const)
      .filter((level) => allows(token, { permission, level, on: 'zone' }, zone.id, account.id))
      .map((level) => `#${word}:${level === 'Read' ? 'read' : 'edit'}`),
  );
  const meta = { step: 2, custom_certificate_quota: 0, page_rule_quota: 3, phishing_detected: false };
  const owner = { id: null, type: 'user', email: null };
  return {
    ...zone,
    meta,
    owner,
    permissions,
    plan,
    vanity_name_servers: [],
    tenant: { id: null, name: null },
    tenant_unit: { id: null },
  };
}

const nameTests: Readonly<Record<string, (name: string, wanted: string) => boolean>> = {
  equal: (name, wanted) => name === wanted,
  contains: (name, wanted) => name.includes(wanted),
  starts_with: (name, wanted) => name.startsWith(wanted),
  ends_with: (name, wanted) => name.endsWith(wanted),
};

function listZones(call: Call): Answer {
  const [, operator = 'equal', name = ''] = /^(?:(\w+):)?(.*)$/.exec(call.query.get('name')?.toLowerCase() ?? '') ?? [];
  const status = call.query.get('status');
  const accountId = call.query.get('account.id');
  const zones = Object.values(call.store.state.zones)
    .filter((zone) => allows(call.token, readZone, zone.id, call.account.id))
    .filter((zone) => name === '' || nameTests[operator]?.(zone.name, name))
    .filter((zone) => status === null || zone.status === status)
    .filter((zone) => accountId === null || zone.account.id === accountId);
  return page(
    zones.map((zone) => wire(zone, call)),
    call.query,
    20,
    50,
  );
}

const creation = z.strictObject({
  name: z.string(),
  account: z.strictObject({ id: z.string().optional() }),
  type: z.literal('full').optional(),
  jump_start: z.boolean().optional(),
});

function createZone(call: Call): Answer {
  const body = checked(creation, call.body, 1004, 'Zone is invalid: ');
  const name = body.name.toLowerCase();
  const accountId = body.account.id ?? call.account.id;
  if (accountId !== call.account.id)
    throw invalid(1068, 'Permission denied: you do not have permission to create zones for this account');
  if (!isHostname(name) || !name.includes('.')) throw invalid(1002, `"${name}" is not a registered domain`);
  const zones = Object.values(call.store.state.zones);
  if (zones.some((zone) => zone.name === name)) throw invalid(1061, `${name} already exists`);
  const zone = makeZone(name, call.account, 'pending');
  replaceZone(call, zone);
  return { result: wire(zone, call) };
}

const edition = z.union([
  z.strictObject({ paused: z.boolean() }),
  z.strictObject({ type: z.literal('full') }),
  z.strictObject({ vanity_name_servers: z.array(z.string()).length(0) }),
]);

const replaceZone = (call: Call, zone: Zone) =>
  call.store.replace({ zones: { ...call.store.state.zones, [zone.id]: zone } });

function editZone(call: Call): Answer {
  const body = edition.safeParse(call.body);
  if (!body.data)
    throw invalid(1016, 'Only one zone property can be changed at a time: paused, type or vanity_name_servers.');
  const paused = 'paused' in body.data ? body.data.paused : call.zone.paused;
  const zone = { ...call.zone, paused, modified_on: timestamp() };
  replaceZone(call, zone);
  return { result: wire(zone, call) };
}

/** The sandbox's resolver asks this service for each of its zones, so that a check always finds the delegation. */
function activate(call: Call): Answer {
  const now = timestamp();
  replaceZone(call, { ...call.zone, status: 'active', activated_on: call.zone.activated_on ?? now, modified_on: now });
  return { result: { id: call.zone.id } };
}

function deleteZone(call: Call): Answer {
  const { [call.zone.id]: zone, ...zones } = call.store.state.zones;
  const { [call.zone.id]: records, ...others } = call.store.state.records;
  const { [`zones/${call.zone.id}`]: rulesets, ...otherRulesets } = call.store.state.rulesets;
  call.store.replace({ zones, records: others, rulesets: otherRulesets });
  return { result: { id: call.zone.id } };
}

const accountWire = (account: Account) => ({
  ...account,
  type: 'standard',
  settings: { enforce_twofactor: false, abuse_contact_email: null },
  created_on: '2020-01-01T00:00:00.000000Z',
});
const accountNeed = need('Account Settings', 'Read', 'account');

function getAccount(call: Call): Answer {
  if (call.params['account'] !== call.account.id) throw missing.zone();
  return { result: accountWire(call.account) };
}

export const zoneRoutes: readonly Route[] = [
  { method: 'GET', path: '/accounts', handle: (call) => page([accountWire(call.account)], call.query, 20, 50) },
  { method: 'GET', path: '/accounts/:account', ...accountNeed, handle: getAccount },
  { method: 'GET', path: '/zones', handle: listZones },
  { method: 'POST', path: '/zones', ...need('Zone', 'Write', 'account'), handle: createZone },
  {
    method: 'GET',
    path: '/zones/:zone',
    ...need('Zone', 'Read', 'zone'),
    handle: (call) => ({ result: wire(call.zone, call) }),
  },
  { method: 'PATCH', path: '/zones/:zone', ...need('Zone', 'Write', 'zone'), handle: editZone },
  { method: 'DELETE', path: '/zones/:zone', ...need('Zone', 'Write', 'zone'), handle: deleteZone },
  { method: 'PUT', path: '/zones/:zone/activation_check', ...need('Zone', 'Write', 'zone'), handle: activate },
];
