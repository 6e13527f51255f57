import { defineRule, read, readList, readLower, text, type Resource, type Violation } from '../rule';

const account = 'azure-native:storage:StorageAccount';
const firewallRules = ['azure-native:dbforpostgresql:FirewallRule', 'azure-native:sql:FirewallRule'];
const securityGroup = 'azure-native:network:NetworkSecurityGroup';
const securityRule = 'azure-native:network:SecurityRule';
const cluster = 'azure-native:containerservice:ManagedCluster';

/** @returns the address as a number, NaN when it is none. */
export function ipv4(value: unknown): number {
  const parts = text(value).split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return NaN;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

function* openRange(resource: Resource, maximumAddresses: number): Iterable<Violation> {
  const [start, end] = [read(resource.props, 'startIpAddress'), read(resource.props, 'endIpAddress')];
  const limit = `IPv4 addresses other than 0.0.0.0 (which admits every Azure tenant), ${maximumAddresses} at most`;
  if (Number.isNaN(ipv4(start)) || ipv4(start) === 0) yield { property: 'startIpAddress', value: start, limit };
  else if (Number.isNaN(ipv4(end)) || ipv4(end) < ipv4(start)) yield { property: 'endIpAddress', value: end, limit };
  else if (ipv4(end) - ipv4(start) + 1 > maximumAddresses) {
    yield { property: 'startIpAddress to endIpAddress', value: `${text(start)} to ${text(end)}`, limit };
  }
}

const anywhere = ['*', '0.0.0.0', '0.0.0.0/0', '::/0', 'internet', 'any'];
const everyPort = ['*', '0-65535', '1-65535'];
const oneOrMany = (rule: unknown, property: string) =>
  [read(rule, property), ...readList(rule, property + 'es'), ...readList(rule, property + 's')]
    .filter((value) => value !== undefined)
    .map((value) => text(value).toLowerCase());

function* anyToAny(rule: unknown, path: string): Iterable<Violation> {
  if (readLower(rule, 'direction') !== 'inbound' || readLower(rule, 'access') !== 'allow') return;
  const sources = oneOrMany(rule, 'sourceAddressPrefix').filter((value) => anywhere.includes(value));
  const targets = oneOrMany(rule, 'destinationPortRange').filter((value) => everyPort.includes(value));
  if (sources.length === 0 || targets.length === 0) return;
  yield {
    property: path + 'sourceAddressPrefix, destinationPortRange',
    value: `${sources.join(', ')} to ${targets.join(', ')}`,
    limit: 'named sources or named ports',
  };
}

export const noOpenFirewall = defineRule<{ maximumAddresses: number }>({
  name: 'no-open-firewall',
  description: 'Firewalls name who may come in',
  standard: 'ISO/IEC 27001:2022 A.8.20 (networks security)',
  scope: 'resource',
  types: [...firewallRules, securityGroup, securityRule, cluster],
  settings: {
    maximumAddresses: {
      type: 'integer',
      minimum: 1,
      maximum: 65536,
      default: 256,
      description: 'a whole number from 1 to 65536 (256 is a /24)',
    },
  },
  *check(resource, { maximumAddresses }) {
    if (firewallRules.includes(resource.type)) yield* openRange(resource, maximumAddresses);
    else if (resource.type === securityRule) yield* anyToAny(resource.props, '');
    else if (resource.type === securityGroup) {
      for (const [index, rule] of readList(resource.props, 'securityRules').entries()) {
        yield* anyToAny(rule, `securityRules[${index}].`);
      }
    } else {
      const property = 'apiServerAccessProfile.authorizedIPRanges';
      const open = readList(resource.props, property).filter((value) => anywhere.includes(text(value)));
      if (open.length > 0) yield { property, value: open, limit: 'named ranges' };
    }
  },
});

export const noPublicBlobs = defineRule<{ sharedKey: 'allowed' | 'forbidden' }>({
  name: 'no-public-blobs',
  description: 'Blobs are not readable without a credential, nor with an account key where the plan forbids it',
  standard: 'ISO/IEC 27001:2022 A.8.3 (information access restriction); GDPR Art. 32(1)(b)',
  scope: 'resource',
  types: [account, 'azure-native:storage:BlobContainer'],
  settings: {
    sharedKey: {
      type: 'string',
      enum: ['allowed', 'forbidden'],
      default: 'allowed',
      description: '"allowed" or "forbidden"',
    },
  },
  *check({ type, props }, { sharedKey }) {
    const [flag, key, access] = ['allowBlobPublicAccess', 'allowSharedKeyAccess', 'publicAccess'];
    if (type !== account) {
      const value = read(props, access);
      if (value !== undefined && value !== 'None') yield { property: access, value, limit: '"None"' };
      return;
    }
    if (read(props, flag) !== false) yield { property: flag, value: read(props, flag), limit: 'false' };
    if (sharedKey === 'forbidden' && read(props, key) !== false) {
      yield { property: key, value: read(props, key), limit: 'false' };
    }
  },
});
