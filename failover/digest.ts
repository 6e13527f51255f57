/** SHA-256 over plain data: the same for the same data, in whatever order its keys were written. */
import { createHash } from 'node:crypto';

/** JSON with sorted keys, without what is undefined. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  );

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
