/** Authoritative answers for the zones: what the vendor's name servers say. */
import type * as dns from 'dns-packet';
import { outside } from '../world';
import type { Found, Names } from './names';
import { nameServers, type DnsRecord } from './state';

/** TTL of "automatic" and of proxied names, seconds. */
const automaticTtl = 300;
const negativeTtl = 1800;

export interface Lookup {
  readonly rcode: 'NOERROR' | 'NXDOMAIN';
  readonly answers: readonly dns.Answer[];
  readonly authorities: readonly dns.Answer[];
  readonly authoritative: boolean;
  /** A CNAME led out of the zones: the name that is left to resolve. */
  readonly leadsTo?: string;
}

const quotedParts = (content: string) =>
  content.startsWith('"')
    ? [...content.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part = '']) => part.replace(/\\(.)/g, '$1'))
    : [content];

function text(content: string): Buffer[] {
  const bytes = Buffer.from(quotedParts(content).join(''));
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length; from += 255) parts.push(bytes.subarray(from, from + 255));
  return parts;
}

function wire(record: DnsRecord, name: string): dns.Answer {
  const ttl = record.ttl === 1 ? automaticTtl : record.ttl;
  const head = { name, ttl, class: 'IN' } as const;
  const data = record.data as Record<string, never> | undefined;
  switch (record.type) {
    case 'MX':
      return { ...head, type: 'MX', data: { preference: record.priority ?? 0, exchange: record.content } };
    case 'SRV':
      return { ...head, type: 'SRV', data: data as unknown as dns.SrvData };
    case 'CAA':
      return { ...head, type: 'CAA', data: data as unknown as dns.CaaData };
    case 'TXT':
      return { ...head, type: 'TXT', data: text(record.content) };
    default:
      return { ...head, type: record.type as 'A', data: record.content };
  }
}

const soa = ({ zone, serial }: Found): dns.Answer => ({
  name: zone.name,
  type: 'SOA',
  class: 'IN',
  ttl: negativeTtl,
  data: {
    mname: nameServers[0],
    rname: 'dns.cloudflare.com',
    serial,
    refresh: 10_000,
    retry: 2400,
    expire: 604_800,
    minimum: negativeTtl,
  },
});

const apexNs = (name: string): dns.Answer[] =>
  nameServers.map((server) => ({ name, type: 'NS', class: 'IN', ttl: 86_400, data: server }));

const edgeAddress = (name: string): dns.Answer => ({
  name,
  type: 'A',
  class: 'IN',
  ttl: automaticTtl,
  data: outside.edge,
});

/** A proxied name is the edge, whatever it points to; it has no IPv6 address here. */
function atName(found: Found, name: string, type: string): dns.Answer[] {
  if (name === found.zone.name && type === 'SOA') return [soa(found)];
  if (name === found.zone.name && type === 'NS') return apexNs(name);
  if (found.records.some(({ proxied }) => proxied)) {
    if (type === 'A') return [edgeAddress(name)];
    return found.records
      .filter((record) => !record.proxied && record.type === type)
      .map((record) => wire(record, name));
  }
  return found.records.filter((record) => record.type === type).map((record) => wire(record, name));
}

function chase(
  names: Names,
  target: string,
  type: string,
  depth: number,
): Partial<Lookup> & { answers: readonly dns.Answer[] } {
  const next = depth < 8 ? lookup(names, target, type, depth + 1) : undefined;
  if (next) return next;
  return { answers: [], leadsTo: target };
}

/** @param name lower case. @returns undefined when the name is in none of the zones. */
export function lookup(names: Names, name: string, type: string, depth = 0): Lookup | undefined {
  const found = names.find(name);
  if (!found) return undefined;
  if (found.delegation) {
    const authorities = found.delegation.map((record) => wire(record, record.name));
    return { rcode: 'NOERROR', answers: [], authorities, authoritative: false };
  }
  const answers = atName(found, name, type);
  if (answers.length > 0) return { rcode: 'NOERROR', answers, authorities: [], authoritative: true };
  const alias = found.records.find((record) => record.type === 'CNAME' && !record.proxied);
  if (alias) return throughAlias(names, found, alias, name, type, depth);
  return { rcode: found.exists ? 'NOERROR' : 'NXDOMAIN', answers: [], authorities: [soa(found)], authoritative: true };
}

/** At the zone's own name the vendor flattens: it answers with what the alias leads to, under this name. */
function throughAlias(names: Names, found: Found, alias: DnsRecord, name: string, type: string, depth: number): Lookup {
  const rest = chase(names, alias.content, type, depth);
  const flat = name === found.zone.name;
  const answers = flat
    ? rest.answers.filter((answer) => answer.type === type).map((answer) => ({ ...answer, name }))
    : [wire(alias, name), ...rest.answers];
  const authorities = answers.length === 0 ? [soa(found)] : [];
  const leadsTo = rest.leadsTo ? { leadsTo: rest.leadsTo } : {};
  return {
    rcode: rest.rcode ?? 'NOERROR',
    answers: answers,
    authorities,
    authoritative: true,
    ...leadsTo,
  };
}
