/** Export to and import from a zone file (BIND). The proxy state travels in a comment: `; cf_tags=cf-proxied:true`. */
import { invalid } from './fault';
import type { RecordBody } from './record-rules';
import { nameServers, type DnsRecord, type Zone } from './state';

const quoted = (content: string) =>
  (content.match(/[\s\S]{1,255}/g) ?? ['']).map((part) => `"${part.replace(/(["\\])/g, '\\$1')}"`).join(' ');

function rdata(record: DnsRecord): string {
  if (record.type === 'TXT') return quoted(record.content.replace(/^"([\s\S]*)"$/, '$1'));
  if (record.type === 'SRV' || record.type === 'MX') return `${record.priority} ${record.content}.`;
  return ['CNAME', 'NS', 'PTR'].includes(record.type) ? `${record.content}.` : record.content;
}

function line(record: DnsRecord): string {
  const tags = record.proxiable ? [`cf_tags=cf-proxied:${record.proxied}`] : [];
  const comment = [...(record.comment ? [record.comment] : []), ...tags].join(' ');
  return [`${record.name}.`, record.ttl, 'IN', record.type, rdata(record) + (comment ? ` ; ${comment}` : '')].join(
    '\t',
  );
}

/** @returns the zone as text: SOA and NS of the zone first, then the records by type. */
export function exportZone(zone: Zone, records: readonly DnsRecord[]): string {
  const types = [...new Set(records.map(({ type }) => type))].sort();
  const soa = [
    `${zone.name}`,
    3600,
    'IN',
    'SOA',
    `${nameServers[0]}. dns.cloudflare.com. 1 10000 2400 604800 3600`,
  ].join('\t');
  const sections = types.map((type) =>
    [`;; ${type} Records`, ...records.filter((record) => record.type === type).map(line), ''].join('\n'),
  );
  return [
    ';;',
    `;; Domain:     ${zone.name}.`,
    `;; Exported:   ${new Date().toISOString().slice(0, 19).replace('T', ' ')}`,
    ';;',
    '',
    ';; SOA Record',
    soa,
    '',
    ';; NS Records of the zone',
    ...nameServers.map((server) => [`${zone.name}.`, 86_400, 'IN', 'NS', `${server}.`].join('\t')),
    '',
    ...sections,
  ].join('\n');
}

interface Row {
  readonly words: readonly string[];
  readonly comment: string;
  /** The line begins with white space: it is about the name of the line before. */
  readonly indented: boolean;
}

/** Splits into words; a quoted word keeps its quotes, brackets join lines, `;` starts a comment. */
function rows(file: string): Row[] {
  const result: Row[] = [];
  let words: string[] = [];
  let depth = 0;
  let indented = false;
  for (const raw of file.split(/\r?\n/)) {
    if (depth === 0) {
      words = [];
      indented = /^\s/.test(raw);
    }
    let comment = '';
    for (const [token] of raw.matchAll(/"(?:[^"\\]|\\.)*"|;.*|[()]|[^\s;()"]+/g)) {
      if (token.startsWith(';')) comment = token.slice(1).trim();
      else if (token === '(') depth += 1;
      else if (token === ')') depth -= 1;
      else words.push(token);
    }
    if (depth === 0 && words.length > 0) result.push({ words, comment, indented });
  }
  if (depth !== 0) throw invalid(9211, 'Zone file is invalid: a bracket is not closed.');
  return result;
}

const seconds = (word: string) => {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  return [...word.toLowerCase().matchAll(/(\d+)([smhdw]?)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 1),
    0,
  );
};
const isTtl = (word: string | undefined) => word !== undefined && /^(\d+[smhdw]?)+$/i.test(word);
const unquoted = (words: readonly string[]) =>
  words.map((word) => word.replace(/^"([\s\S]*)"$/, '$1').replace(/\\(["\\])/g, '$1')).join('');

function typedBody(type: string, data: readonly string[], absolute: (name: string) => string): Partial<RecordBody> {
  const [first = '', second = '', third = '', fourth = ''] = data;
  if (type === 'TXT') return { content: unquoted(data) };
  if (type === 'MX') return { priority: Number(first), content: absolute(second) };
  if (type === 'SRV')
    return { data: { priority: Number(first), weight: Number(second), port: Number(third), target: absolute(fourth) } };
  if (type === 'CAA') return { data: { flags: Number(first), tag: second, value: unquoted([third]) } };
  return { content: ['CNAME', 'NS', 'PTR'].includes(type) ? absolute(first) : first };
}

/**
 * @param proxied for proxiable records whose line says nothing of it
 * @returns bodies to create. SOA and the NS of the zone itself are the vendor's own and are left out.
 * @throws Fault for a line that can't be read.
 */
export function parseZone(zone: Zone, file: string, proxied: boolean): RecordBody[] {
  let origin = `${zone.name}.`;
  let defaultTtl = 1;
  let name = origin;
  const absolute = (word: string) => (word === '@' ? origin : word.endsWith('.') ? word : `${word}.${origin}`);
  return rows(file).flatMap(({ words, comment, indented }) => {
    const rest = [...words];
    if (rest[0] === '$ORIGIN') return ((origin = absolute(rest[1] ?? '')), []);
    if (rest[0] === '$TTL') return ((defaultTtl = seconds(rest[1] ?? '')), []);
    // The vendor's own export writes the name of the SOA without its last dot.
    if (!indented) name = absolute(rest.shift()?.replace(new RegExp(`^${zone.name}$`, 'i'), `${zone.name}.`) ?? '');
    let ttl = defaultTtl;
    for (; isTtl(rest[0]) || /^IN$/i.test(rest[0] ?? ''); rest.shift())
      if (isTtl(rest[0])) ttl = seconds(rest[0] ?? '');
    const type = (rest.shift() ?? '').toUpperCase();
    if (!/^[A-Z]+$/.test(type) || rest.length === 0)
      throw invalid(9211, `Zone file is invalid at "${words.join(' ')}".`);
    if (type === 'SOA' || (type === 'NS' && name.replace(/\.$/, '').toLowerCase() === zone.name)) return [];
    const tag = /cf_tags=\S*cf-proxied:(true|false)/.exec(comment)?.[1];
    const through = ['A', 'AAAA', 'CNAME'].includes(type) && (tag === undefined ? proxied : tag === 'true');
    const note = comment.replace(/\s*cf_tags=\S*/, '').trim();
    const extra = { proxied: through, ttl: through ? 1 : ttl, ...(note ? { comment: note } : {}) };
    return [{ name: name.replace(/\.$/, ''), type, ...typedBody(type, rest, absolute), ...extra }];
  });
}
