/** The difference of two sets of inputs, path by path, and which of the changes need a new resource. */
import { isDeepStrictEqual } from 'node:util';
import { isRecord, type ChangeKind, type Diff, type Properties } from './plugin';

/** `a.b`, or `a["b.c"]` when the key is no plain word. */
const child = (path: string, key: string) =>
  /^[\w$-]+$/.test(key) ? (path ? `${path}.${key}` : key) : `${path}[${JSON.stringify(key)}]`;
/** A path without its indexes: `a[0].b` is `a[].b`. */
const general = (path: string) => path.replaceAll(/\[\d+\]/g, '[]');

/** @returns the paths that differ. An unknown new value differs from any old one. */
export function compare(before: Properties, after: Properties): Map<string, ChangeKind> {
  const changes = new Map<string, ChangeKind>();
  const visit = (old: unknown, now: unknown, path: string): void => {
    if (isDeepStrictEqual(old, now)) return;
    if (now === undefined || now === null) {
      if (old !== undefined && old !== null) changes.set(path, 'delete');
    } else if (old === undefined || old === null) changes.set(path, 'add');
    else if (isRecord(old) && isRecord(now)) {
      for (const key of new Set([...Object.keys(old), ...Object.keys(now)]))
        visit(old[key], now[key], child(path, key));
    } else if (Array.isArray(old) && Array.isArray(now)) {
      for (let i = 0; i < Math.max(old.length, now.length); i++) visit(old[i], now[i], `${path}[${i}]`);
    } else changes.set(path, 'update');
  };
  visit(before, after, '');
  return changes;
}

/**
 * @param forcesNew - tells for a path without indexes (`agentPoolProfiles[].vmSize`) whether a change at it, or below it,
 * needs a new resource.
 */
export function diff(
  before: Properties,
  after: Properties,
  forcesNew: (path: string) => boolean,
  deleteBeforeReplace = false,
): Diff {
  const replaces = (path: string): boolean => {
    const parts = general(path).split('.');
    return parts.some(
      (_, i) =>
        forcesNew(parts.slice(0, i + 1).join('.')) ||
        forcesNew(
          parts
            .slice(0, i + 1)
            .join('.')
            .replace(/\[\]$/, ''),
        ),
    );
  };
  const changes = new Map(
    [...compare(before, after)].map(([path, kind]) => [path, { kind, replace: replaces(path) }] as const),
  );
  return {
    changes,
    deleteBeforeReplace: deleteBeforeReplace && [...changes.values()].some((change) => change.replace),
  };
}

/** What a reading tells of the inputs: where an output moved since it was last seen, the input follows; the rest stays. */
export function follow(inputs: Properties, before: Properties, now: Properties): Properties {
  const merge = (input: unknown, old: unknown, current: unknown): unknown => {
    if (isDeepStrictEqual(old, current)) return input;
    if (isRecord(input) && isRecord(old) && isRecord(current)) return follow(input, old, current);
    if (Array.isArray(input) && Array.isArray(old) && Array.isArray(current)) {
      return current.map((item: unknown, i): unknown =>
        i < input.length && i < old.length ? merge(input[i], old[i], item) : item,
      );
    }
    return current;
  };
  const keys = Object.keys(inputs).filter((key) => key in before || key in now);
  return { ...inputs, ...Object.fromEntries(keys.map((key) => [key, merge(inputs[key], before[key], now[key])])) };
}
