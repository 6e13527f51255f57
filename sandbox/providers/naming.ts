/** Names for resources that a program leaves without one. */
import { createHash } from 'node:crypto';
import type { CheckCall } from './plugin';

export type Autoname = 'random' | 'copy' | 'uuid';

/** @returns `digits` hexadecimal digits that follow from the seed. */
export const hex = (seed: Uint8Array, digits: number): string =>
  createHash('sha256').update(seed).digest('hex').slice(0, digits);

/** @returns the name and whether it can't collide, or undefined when the project forbids names of its own. */
export function nameFor(
  call: CheckCall,
  kind: Autoname,
  separator = '',
): { name: string; unique: boolean } | undefined {
  const rule = call.autonaming;
  if (rule?.mode === 'disable') return undefined;
  if (rule?.mode === 'enforce' || (rule?.mode === 'propose' && kind !== 'uuid'))
    return { name: rule.proposed, unique: true };
  if (kind === 'copy') return { name: call.name, unique: false };
  if (kind === 'random') return { name: `${call.name}${separator}${hex(call.seed, 8)}`, unique: true };
  return { name: hex(call.seed, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'), unique: true };
}
