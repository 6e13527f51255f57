/** What the failover stack tells its operators, encrypted in its state: one read is enough to act on everything. */
import { z } from 'zod';
import { parseSecrets, parseSite, StackOutputError, type SiteOutputs, type SiteSecrets } from './outputs';
import { sites, type Site } from './fields';

export interface BlobPlace {
  readonly account: string;
  /** Of the blob service, as the vendor tells it, with a slash at its end. */
  readonly endpoint: string;
  readonly container: string;
}

export interface Landscape {
  readonly sites: Readonly<Record<Site, SiteOutputs>>;
  readonly secrets: Readonly<Record<Site, SiteSecrets>>;
  /** Blob container outside both sites: the writer lease and the journal. */
  readonly store: BlobPlace;
  /** Customers' documents, where the stack keeps them. */
  readonly documents?: BlobPlace;
}

const place = z.object({ account: z.string().min(1), endpoint: z.url(), container: z.string().min(1) });
const shape = z.object({
  sites: z.object({ prod: z.unknown(), intg: z.unknown() }),
  secrets: z.object({ prod: z.unknown(), intg: z.unknown() }),
  store: place,
  documents: place.exactOptional(),
});

/**
 * @param value - output `landscape` of the stack `failover`, secrets shown.
 * @throws StackOutputError that names what is missing, never a value.
 */
export function parseLandscape(value: unknown): Landscape {
  const result = shape.safeParse(value);
  if (!result.success) {
    throw new StackOutputError('stack failover has no output "landscape": run `pulumi up --stack failover` first');
  }
  const each = <T>(read: (site: Site) => T) =>
    Object.fromEntries(sites.map((site) => [site, read(site)])) as Record<Site, T>;
  return {
    sites: each((site) => parseSite(site, result.data.sites[site])),
    secrets: each((site) => parseSecrets(site, result.data.secrets[site])),
    store: result.data.store,
    ...(result.data.documents ? { documents: result.data.documents } : {}),
  };
}
