/** Records and rules of a public zone: what is kept of them, and what must be changed so that a zone is as it was. Pure. */
import { z } from 'zod';
import { canonical } from '../../failover/digest';
import type { Difference } from './set';

const recordSchema = z.object({
  id: z.string().optional(),
  name: z.string().min(1),
  type: z.string().min(1),
  content: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
  priority: z.number().optional(),
  ttl: z.number().default(1),
  proxied: z.boolean().default(false),
  comment: z
    .string()
    .nullish()
    .transform((comment) => comment ?? undefined),
  tags: z.array(z.string()).default([]),
  settings: z.record(z.string(), z.unknown()).default({}),
});
/** `id` belongs to the zone that the record is in, not to the record. */
export type ZoneRecord = z.infer<typeof recordSchema>;

const ruleSchema = z.looseObject({ action: z.string(), expression: z.string() });
const rulesetSchema = z.object({
  name: z.string(),
  description: z.string().default(''),
  kind: z.string(),
  phase: z.string().min(1),
  rules: z.array(ruleSchema).default([]),
});
export type Ruleset = Omit<z.infer<typeof rulesetSchema>, 'kind'>;

export interface Batch {
  readonly deletes: readonly { readonly id: string }[];
  readonly patches: readonly (object & { readonly id: string })[];
  readonly posts: readonly object[];
}

/** @returns records as a backup keeps them: without ids, in an order that says nothing of when they were made. */
export function keptRecords(answers: readonly unknown[]): ZoneRecord[] {
  return recordsIn(answers)
    .map(({ id, ...record }) => record)
    .sort((one, other) => (canonical([one.name, one.type, one]) < canonical([other.name, other.type, other]) ? -1 : 1));
}

/** @throws ZodError for what is no record. */
export const recordsIn = (answers: readonly unknown[]): ZoneRecord[] => z.array(recordSchema).parse(answers);

/** What a resolver would be told, by which one record is told from another. */
const valueOf = ({ content, data, priority }: ZoneRecord) => canonical(data ?? [content, priority]);
const sameIn = ({ ttl, proxied, comment, tags, settings }: ZoneRecord) =>
  canonical([proxied ? 1 : ttl, proxied, comment ?? '', [...tags].sort(), settings]);
const title = ({ name, type }: ZoneRecord) => `record ${type} ${name}`;
const sameRecord = (one: ZoneRecord, other: ZoneRecord) =>
  title(one) === title(other) && valueOf(one) === valueOf(other);
const shown = ({ content, data, proxied }: ZoneRecord) =>
  `${content ?? canonical(data)}${proxied ? ', proxied' : ''}`.slice(0, 120);

function bodyOf({ name, type, content, data, priority, ttl, proxied, comment, tags, settings }: ZoneRecord): object {
  return {
    ...{ name, type, ttl: proxied ? 1 : ttl, proxied, comment: comment ?? '' },
    ...(data ? { data } : { content }),
    ...(priority === undefined || data ? {} : { priority }),
    ...(tags.length > 0 ? { tags } : {}),
    ...(Object.keys(settings).length > 0 ? { settings } : {}),
  };
}

/** Hosts that a failover moves, and the address that they belong to now. */
export interface Moving {
  readonly hosts: readonly string[];
  readonly address: string;
}

const led = ['A', 'AAAA', 'CNAME'];

/**
 * A name that is in the backup becomes as it was, with all its types; one that is not is left. Where a host leads that a failover
 * moves is not for an old backup to say: it is left where it is, and made anew it leads to the site that has the business.
 */
export function recordChanges(
  kept: readonly ZoneRecord[],
  now: readonly ZoneRecord[],
  { hosts, address }: Moving,
): { readonly batch: Batch; readonly differences: readonly Difference[] } {
  const moves = ({ name, type }: ZoneRecord) => hosts.includes(name) && led.includes(type);
  const stands = new Set(now.filter(moves).map(({ name }) => name));
  const names = new Set(kept.map(({ name }) => name));
  const wanted = kept
    .filter((record) => !(moves(record) && stands.has(record.name)))
    .map((record) => (moves(record) && record.type === 'A' ? { ...record, content: address } : record))
    // Several addresses of a host that moves become one.
    .filter((record, index, all) => all.findIndex((one) => sameRecord(one, record)) === index);
  const there = now.filter((record) => names.has(record.name) && !moves(record));

  const differences: Difference[] = [];
  const [deletes, patches, posts]: [{ id: string }[], ({ id: string } & object)[], object[]] = [[], [], []];
  const left = new Set(there);
  const unmatched: ZoneRecord[] = [];
  for (const record of wanted) {
    const twin = [...left].find((other) => sameRecord(other, record));
    if (twin) left.delete(twin);
    if (!twin) unmatched.push(record);
    else if (sameIn(twin) !== sameIn(record)) {
      patches.push({ ...bodyOf(record), id: twin.id! });
      differences.push({ what: title(record), how: 'different', detail: `${shown(record)}, other settings` });
    }
  }
  for (const record of unmatched) {
    const other = [...left].find((one) => title(one) === title(record));
    if (other) {
      left.delete(other);
      patches.push({ ...bodyOf(record), id: other.id! });
      differences.push({ what: title(record), how: 'different', detail: `${shown(other)} → ${shown(record)}` });
    } else {
      posts.push(bodyOf(record));
      differences.push({ what: title(record), how: 'missing', detail: shown(record) });
    }
  }
  for (const record of left) {
    deletes.push({ id: record.id! });
    differences.push({ what: title(record), how: 'different', detail: `${shown(record)} was not there` });
  }
  for (const record of kept.filter((one) => moves(one) && stands.has(one.name))) {
    const stood = now.find((one) => title(one) === title(record));
    if (stood && valueOf(stood) === valueOf(record)) continue;
    differences.push({ what: title(record), how: 'moves', detail: `it was ${shown(record)}` });
  }
  for (const record of now.filter(({ name }) => !names.has(name)))
    differences.push({ what: title(record), how: 'extra', detail: shown(record) });
  return { batch: { deletes, patches, posts }, differences };
}

/** The zone's own rulesets; those that the vendor manages are none of ours. */
export const isOwn = (listed: unknown): boolean => (listed as { kind?: unknown }).kind === 'zone';

const vendorsOwn = new Set(['id', 'version', 'last_updated']);

/** @returns a ruleset as a backup keeps it: a rule's `ref` is kept where somebody chose it. */
export function keptRuleset(answer: unknown): Ruleset {
  const { name, description, phase, rules } = rulesetSchema.parse(answer);
  const kept = rules.map((rule) =>
    Object.fromEntries(
      Object.entries(rule).filter(([key, value]) => !vendorsOwn.has(key) && !(key === 'ref' && value === rule['id'])),
    ),
  );
  return { name, description, phase, rules: z.array(ruleSchema).parse(kept) };
}

export const parseRulesets = (value: unknown): Ruleset[] => z.array(rulesetSchema.omit({ kind: true })).parse(value);

/** What a phase does is its rules, in their order. */
export function rulesetChanges(
  kept: readonly Ruleset[],
  now: readonly Ruleset[],
): { readonly puts: readonly Ruleset[]; readonly differences: readonly Difference[] } {
  const named = (phase: string) => `rules of phase ${phase}`;
  // A rule made anew without a `ref` gets its new id for one; what it does is the rest.
  const rulesOf = ({ rules }: Ruleset) => canonical(rules.map((rule) => ({ enabled: true, ...rule })));
  const different = kept.filter((ruleset) => {
    const there = now.find(({ phase }) => phase === ruleset.phase);
    return rulesOf(there ?? { ...ruleset, rules: [] }) !== rulesOf(ruleset);
  });
  const known = new Set(kept.map(({ phase }) => phase));
  return {
    puts: different,
    differences: [
      ...different.map(({ phase, rules }): Difference => {
        const count = now.find((one) => one.phase === phase)?.rules.length ?? 0;
        const how = count > 0 ? 'different' : 'missing';
        return { what: named(phase), how, detail: `${count} there, ${rules.length} in the backup` };
      }),
      ...now
        .filter(({ phase, rules }) => !known.has(phase) && rules.length > 0)
        .map(({ phase, rules }): Difference => ({ what: named(phase), how: 'extra', detail: `${rules.length} rules` })),
    ],
  };
}
