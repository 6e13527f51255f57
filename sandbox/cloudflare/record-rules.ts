/** What a DNS record may be: the vendor's checks of one record by itself, with the vendor's codes. */
import * as net from 'node:net';
import { z } from 'zod';
import { invalid } from './fault';
import { identifier, timestamp, type DnsRecord, type Zone } from './state';

const bodySchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  content: z.string().optional(),
  ttl: z.number().optional(),
  proxied: z.boolean().nullish(),
  priority: z.number().int().min(0).max(65_535).nullish(),
  data: z.record(z.string(), z.unknown()).nullish(),
  comment: z.string().nullish(),
  tags: z.array(z.string()).nullish(),
  settings: z.record(z.string(), z.unknown()).nullish(),
  id: z.string().optional(),
  private_routing: z.boolean().nullish(),
});
export type RecordBody = z.infer<typeof bodySchema>;

/** @throws Fault that names the field. */
export function parseBody(body: unknown): RecordBody {
  const { data, error } = bodySchema.safeParse(body);
  if (data) return data;
  const issue = error.issues[0];
  throw invalid(9207, `Request body is invalid: ${issue?.path.join('.') || 'body'}: ${issue?.message}`);
}

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;
export const isHostname = (name: string) =>
  name.length <= 253 &&
  name
    .replace(/\.$/, '')
    .split('.')
    .every((part) => label.test(part));

/**
 * @returns the complete name, lower case. `@` is the zone itself; a single label is completed.
 * @throws Fault for a name of another zone: the vendor documents complete names, so nothing longer is guessed at.
 */
export function recordName(name: string, zone: Zone): string {
  const given = name.trim().toLowerCase().replace(/\.$/, '');
  const full = given === '@' ? zone.name : given.includes('.') || given === zone.name ? given : `${given}.${zone.name}`;
  const inZone = full === zone.name || full.endsWith(`.${zone.name}`);
  if (!inZone || !isHostname(full.replace(/^\*\./, '')))
    throw invalid(9000, `DNS name is invalid: "${name}" in zone ${zone.name}.`);
  return full;
}

const proxiable = new Set(['A', 'AAAA', 'CNAME']);
const hostname = (content: string) => content.toLowerCase().replace(/\.$/, '');

function host(type: string, code: number, content: string): string {
  if (!isHostname(content) || net.isIP(content)) throw invalid(code, `Content for ${type} record is invalid.`);
  return hostname(content);
}

type Reader = (content: string, name: string) => string;

const contentReaders: Readonly<Record<string, Reader>> = {
  // The vendor refuses some special addresses for proxied records (9003). Here the origins are loopback addresses of the
  // world, so 127.0.0.0/8 is accepted: the one deliberate deviation.
  A: (content) => {
    if (!net.isIPv4(content)) throw invalid(9005, 'Content for A record must be a valid IPv4 address.');
    return content;
  },
  AAAA: (content) => {
    if (!net.isIPv6(content)) throw invalid(9006, 'Content for AAAA record must be a valid IPv6 address.');
    return content.toLowerCase();
  },
  CNAME: (content, name) => {
    const target = host('CNAME', 9007, content);
    if (target === name) throw invalid(9039, 'CNAME content cannot reference itself.');
    return target;
  },
  MX: (content) => host('MX', 9009, content),
  NS: (content) => host('NS', 9011, content),
  PTR: (content) => host('PTR', 9014, content),
  TXT: (content) => {
    if (content === '' || content.length > 2048)
      throw invalid(9010, 'Content for TXT record must be 1 to 2048 characters.');
    return content;
  },
};

interface DataType {
  readonly schema: z.ZodType<Record<string, string | number>>;
  readonly content: (data: Record<string, string | number>) => string;
}

const word = z.number().int().min(0).max(65_535);
const dataTypes: Readonly<Record<string, DataType>> = {
  SRV: {
    schema: z.object({
      priority: word,
      weight: word,
      port: word,
      target: z.string().refine(isHostname).transform(hostname),
    }),
    content: ({ weight, port, target }) => `${weight} ${port} ${target}`,
  },
  CAA: {
    schema: z.object({
      flags: z.number().int().min(0).max(255),
      tag: z.enum(['issue', 'issuewild', 'iodef']),
      value: z.string(),
    }),
    content: ({ flags, tag, value }) => `${flags} ${tag} "${value}"`,
  },
};

export const supportedTypes: readonly string[] = [...Object.keys(contentReaders), ...Object.keys(dataTypes)];

function typed(body: RecordBody, name: string): Pick<DnsRecord, 'content' | 'data' | 'priority'> {
  const structured = dataTypes[body.type];
  if (structured) {
    const { data } = structured.schema.safeParse(body.data);
    if (!data) throw invalid(9101, `${body.type} record data is invalid: its fields are required data fields.`);
    const priority = body.type === 'SRV' ? { priority: Number(data['priority']) } : {};
    return { content: structured.content(data), data, ...priority };
  }
  const read = contentReaders[body.type];
  if (!read)
    throw invalid(9008, `DNS record type "${body.type}" is not supported; supported: ${supportedTypes.join(', ')}.`);
  if (body.content === undefined) throw invalid(9101, 'content is a required data field.');
  if (body.type === 'MX' && typeof body.priority !== 'number')
    throw invalid(9101, 'priority is a required data field.');
  const priority = body.type === 'MX' ? { priority: body.priority as number } : {};
  return { content: read(body.content.trim(), name), ...priority };
}

function checkTtl(ttl: number, proxied: boolean): number {
  if (proxied && ttl !== 1)
    throw invalid(9021, `Invalid TTL ${ttl}. Must be 1 for Automatic when the record is proxied.`);
  if (ttl !== 1 && !(Number.isInteger(ttl) && ttl >= 60 && ttl <= 86_400))
    throw invalid(9021, `Invalid TTL ${ttl}. Must be between 60 and 86,400 seconds, or 1 for Automatic.`);
  return ttl;
}

function checkExtras(body: RecordBody): void {
  const tags = body.tags?.length ?? 0;
  if (tags > 0) throw invalid(9300, `DNS record has ${tags} tags, exceeding the quota of 0.`);
  const length = body.comment?.length ?? 0;
  if (length > 100) throw invalid(9313, `DNS record comment has ${length} characters, exceeding the quota of 100.`);
}

/**
 * @param earlier the record that this one overwrites: keeps its id and its date of creation
 * @returns the record in wire form. @throws Fault with the vendor's code.
 */
export function makeRecord(zone: Zone, body: RecordBody, earlier?: DnsRecord): DnsRecord {
  const name = recordName(body.name, zone);
  const content = typed(body, name);
  const proxied = body.proxied ?? false;
  if (proxied && !proxiable.has(body.type)) throw invalid(9004, 'This record type cannot be proxied.');
  checkExtras(body);
  const now = timestamp();
  const comment = body.comment || null;
  return {
    id: earlier?.id ?? identifier(),
    name,
    type: body.type,
    ...content,
    proxiable: proxiable.has(body.type),
    proxied,
    ttl: checkTtl(body.ttl ?? 1, proxied),
    settings: body.settings ?? {},
    meta: {},
    comment,
    tags: [],
    created_on: earlier?.created_on ?? now,
    modified_on: now,
    ...(comment
      ? { comment_modified_on: comment === earlier?.comment ? (earlier.comment_modified_on ?? now) : now }
      : {}),
  };
}

/** A patch is read as the whole record with the given fields changed; what becomes proxied gets the automatic TTL. */
export function patched(earlier: DnsRecord, body: unknown): RecordBody {
  const patch = bodySchema.partial().safeParse(body);
  if (!patch.data) throw invalid(9207, `Request body is invalid: ${patch.error.issues[0]?.message}`);
  const given = Object.fromEntries(Object.entries(patch.data).filter(([, value]) => value !== undefined));
  const sameType = given['type'] === undefined || given['type'] === earlier.type;
  const kept = sameType ? { content: earlier.content, priority: earlier.priority, data: earlier.data } : {};
  const { name, type, ttl, proxied, comment, settings } = earlier;
  const automatic = given['proxied'] === true && given['ttl'] === undefined ? { ttl: 1 } : {};
  return parseBody({ name, type, ttl, proxied, comment, settings, ...kept, ...automatic, ...given });
}
