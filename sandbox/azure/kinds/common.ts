/** What several kinds share. */
import { createHash } from 'node:crypto';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json } from '../kind';

/** The body as content, with `properties.provisioningState` and the given properties on top. */
export const succeeded = (body: ArmContent, properties: Json = {}): ArmContent => ({
  ...body,
  properties: { ...body.properties, ...properties, provisioningState: 'Succeeded' },
});

/** A GUID that is the same for the same words: ids of what a resource brings (principal, client, customer). */
export function guid(...words: string[]): string {
  const hex = createHash('sha256').update(words.join('\n').toLowerCase()).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export const idOf = (reference: unknown): string | undefined => {
  const id = (reference as Json | undefined)?.['id'];
  return typeof id === 'string' ? id : undefined;
};

/** @throws ArmError 400 InvalidResourceReference when a resource that a body names does not exist */
export function needReferenced(ctx: Context, id: string, by: string): ArmResource {
  const found = ctx.get(id);
  if (found) return found;
  throw new ArmError(
    400,
    'InvalidResourceReference',
    `Resource ${id} referenced by ${by} of resource ${ctx.id.id} was not found. Please make sure that the referenced resource exists.`,
  );
}

/** Whether any value in a resource is this id: `{"id": …}` or a plain string. */
export function refersTo(resource: ArmResource, id: string): boolean {
  return JSON.stringify(resource.properties).toLowerCase().includes(`"${id.toLowerCase()}"`);
}

/** ISO 8601, as the vendor writes times. */
export const now = () => new Date().toISOString();
