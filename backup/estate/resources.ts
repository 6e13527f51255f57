/** Resources of Azure as a backup keeps them: what somebody chose, without what the vendor answers besides. Pure. */
import { z } from 'zod';
import { canonical } from '../../failover/digest';
import type { Difference } from './set';

const resourceSchema = z.object({
  id: z.string().regex(/^\/subscriptions\/[^/]+\/./i),
  apiVersion: z.string().min(1),
  body: z.record(z.string(), z.unknown()),
});
/** What a PUT takes. `id` is where it was. */
export type KeptResource = z.infer<typeof resourceSchema>;

/** Answered, never asked for. */
const topLevel = new Set(['id', 'name', 'type', 'etag', 'systemData', 'managedBy']);
const ofProperties = new Set([
  ...['provisioningState', 'createdDate', 'modifiedDate', 'customerId', 'fqdn', 'isAutoRegistered', 'isMigrated'],
  ...['virtualNetworkLinkState', 'maxNumberOfRecordSets', 'maxNumberOfVirtualNetworkLinks', 'internalId'],
  ...['maxNumberOfVirtualNetworkLinksWithRegistration', 'numberOfRecordSets', 'numberOfVirtualNetworkLinks'],
  ...['numberOfVirtualNetworkLinksWithRegistration', 'targetResourceRegion', 'targetResourceType'],
]);

const without = (value: object, keys: ReadonlySet<string>) =>
  Object.fromEntries(Object.entries(value).filter(([key, own]) => !keys.has(key) && own !== null));

/** A receiver's `status` is whether its owner has unsubscribed: theirs to say. */
function withoutStatus(properties: Record<string, unknown>): Record<string, unknown> {
  const clean = (own: unknown): unknown => (typeof own === 'object' && own ? without(own, new Set(['status'])) : own);
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [
      key,
      key.endsWith('Receivers') && Array.isArray(value) ? value.map(clean) : value,
    ]),
  );
}

/** @throws ZodError for what is no resource. */
export function keptResource(answer: unknown, apiVersion: string): KeptResource {
  const { id } = z.looseObject({ id: z.string() }).parse(answer);
  const { properties = {}, ...rest } = without(answer as object, topLevel) as { properties?: object };
  const body = { ...rest, properties: withoutStatus(without(properties, ofProperties)) };
  return resourceSchema.parse({ id, apiVersion, body });
}

export const parseResources = (value: unknown): KeptResource[] => z.array(resourceSchema).parse(value);

const key = ({ id }: KeptResource) => id.toLowerCase();
const titleOf = ({ id }: KeptResource) => {
  const [, provider = id] = /.*\/providers\/(.+)$/i.exec(id) ?? [];
  return provider;
};

/** @returns what must be put so that everything is there as it was, in the order of the backup. */
export function resourceChanges(
  kept: readonly KeptResource[],
  now: readonly KeptResource[],
  moves: (resource: KeptResource) => boolean = () => false,
): { readonly puts: readonly KeptResource[]; readonly differences: readonly Difference[] } {
  const there = new Map(now.map((resource) => [key(resource), resource]));
  const known = new Set(kept.map(key));
  const puts: KeptResource[] = [];
  const differences: Difference[] = [];
  for (const resource of kept) {
    const stands = there.get(key(resource));
    const what = titleOf(resource);
    if (!stands) differences.push({ what, how: 'missing' });
    else if (canonical(stands.body) === canonical(resource.body)) continue;
    else if (moves(resource)) {
      differences.push({ what, how: 'moves' });
      continue;
    } else differences.push({ what, how: 'different', detail: changedKeys(stands.body, resource.body).join(', ') });
    puts.push(resource);
  }
  for (const resource of now)
    if (!known.has(key(resource))) differences.push({ what: titleOf(resource), how: 'extra' });
  return { puts, differences };
}

/** Names alone: values may be what nobody should read. */
function changedKeys(now: Record<string, unknown>, kept: Record<string, unknown>, at = ''): string[] {
  const keys = [...new Set([...Object.keys(now), ...Object.keys(kept)])];
  return keys.flatMap((name) => {
    const [one, other] = [now[name], kept[name]];
    if (canonical(one ?? null) === canonical(other ?? null)) return [];
    const nested = name === 'properties' && typeof one === 'object' && typeof other === 'object' && one && other;
    return nested
      ? changedKeys(one as Record<string, unknown>, other as Record<string, unknown>, 'properties.')
      : [at + name];
  });
}
