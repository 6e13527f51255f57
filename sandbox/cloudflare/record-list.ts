/** Filters, order and pages of a list, as the vendor's query parameters say. */
import { invalid } from './fault';
import type { DnsRecord } from './state';

export interface Page<T> {
  readonly result: readonly T[];
  readonly result_info: {
    readonly page: number;
    readonly per_page: number;
    readonly count: number;
    readonly total_count: number;
    readonly total_pages: number;
  };
}

function bounded(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const value = Number(query.get(name) ?? fallback);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw invalid(1004, `Invalid ${name} "${query.get(name)}": must be between 1 and ${max}.`);
  return value;
}

export function page<T>(items: readonly T[], query: URLSearchParams, perPage: number, maxPerPage: number): Page<T> {
  const number = bounded(query, 'page', 1, 2 ** 31);
  const size = bounded(query, 'per_page', perPage, maxPerPage);
  const result = items.slice((number - 1) * size, number * size);
  const info = { page: number, per_page: size, count: result.length, total_count: items.length };
  return { result, result_info: { ...info, total_pages: Math.ceil(items.length / size) } };
}

type Test = (value: string, wanted: string) => boolean;
const operators: Readonly<Record<string, Test>> = {
  exact: (value, wanted) => value === wanted,
  contains: (value, wanted) => value.includes(wanted),
  startswith: (value, wanted) => value.startsWith(wanted),
  endswith: (value, wanted) => value.endsWith(wanted),
};

type Field = 'name' | 'content' | 'comment' | 'type' | 'ttl' | 'proxied';
const text = (record: DnsRecord, field: string) => String(record[field as Field] ?? '').toLowerCase();

/** @returns one test per filter in the query: `name=`, `name.contains=`, `comment.absent=`, `type=`, `proxied=`, `search=`. */
function filters(query: URLSearchParams): ((record: DnsRecord) => boolean)[] {
  return [...query].flatMap(([parameter, raw]) => {
    const [field = '', operator = 'exact'] = parameter.replace(/\[(\w+)\]$/, '.$1').split('.');
    const wanted = raw.toLowerCase();
    if (parameter === 'search')
      return [
        (record: DnsRecord) => ['name', 'content', 'comment'].some((name) => text(record, name).includes(wanted)),
      ];
    if (!['name', 'content', 'comment', 'type', 'proxied'].includes(field)) return [];
    if (field === 'comment' && operator === 'absent') return [(record: DnsRecord) => record.comment === null];
    if (field === 'comment' && operator === 'present') return [(record: DnsRecord) => record.comment !== null];
    const test = operators[operator];
    if (!test) throw invalid(1004, `Unknown filter "${parameter}".`);
    return [(record: DnsRecord) => test(text(record, field), wanted)];
  });
}

const orders = ['type', 'name', 'content', 'ttl', 'proxied'];

export function listRecords(records: readonly DnsRecord[], query: URLSearchParams): Page<DnsRecord> {
  const tests = filters(query);
  const any = query.get('match') === 'any' && tests.length > 0;
  const chosen = records.filter((record) =>
    any ? tests.some((test) => test(record)) : tests.every((test) => test(record)),
  );
  const order = query.get('order');
  if (order !== null) {
    if (!orders.includes(order)) throw invalid(1004, `Invalid order "${order}": must be one of ${orders.join(', ')}.`);
    const sign = query.get('direction') === 'desc' ? -1 : 1;
    const compare = (a: DnsRecord, b: DnsRecord) =>
      order === 'ttl' ? a.ttl - b.ttl : text(a, order) < text(b, order) ? -1 : text(a, order) > text(b, order) ? 1 : 0;
    chosen.sort((a, b) => sign * compare(a, b));
  }
  return page(chosen, query, 100, 5_000_000);
}
