/** What points at something by its digest: refs of a repository, images of a release. Pure. */
import type { Difference } from './set';

/** Commit (or tag object) by ref. */
export type Refs = ReadonlyMap<string, string>;

const line = /^([0-9a-f]{40}|[0-9a-f]{64})\s+(refs\/(?:heads|tags)\/\S+)$/;

/** @param text what `git ls-remote` printed. @returns branches and tags; what a tag peels to, and refs of the server's own, are left out. */
export function parseRefs(text: string): Refs {
  return new Map(
    text.split('\n').flatMap((row): [string, string][] => {
      const [, commit, ref] = line.exec(row.trim()) ?? [];
      return commit && ref && !ref.endsWith('^{}') ? [[ref, commit]] : [];
    }),
  );
}

/** @returns each ref that is not the same commit there. */
export function compareRefs(kept: Refs, there: Refs, where: string): Difference[] {
  const short = (commit: string) => commit.slice(0, 12);
  const lacking = [...kept].flatMap(([ref, commit]): Difference[] => {
    const now = there.get(ref);
    if (now === commit) return [];
    const what = `${ref} at ${where}`;
    if (now === undefined) return [{ what, how: 'missing', detail: short(commit) }];
    return [{ what, how: 'different', detail: `${short(now)} there, ${short(commit)} here` }];
  });
  const extra = [...there].filter(([ref]) => !kept.has(ref));
  return [...lacking, ...extra.map(([ref]): Difference => ({ what: `${ref} at ${where}`, how: 'extra' }))];
}

export interface Image {
  readonly registry: string;
  readonly name: string;
  readonly tag: string;
  readonly digest: string;
}

const reference =
  /^(?<registry>[a-z0-9.-]+(?::\d+)?)\/(?<name>[a-z0-9._/-]+):(?<tag>[\w.-]+)@(?<digest>sha256:[0-9a-f]{64})$/;

/** @returns undefined for what is not pinned by a digest. */
export function parseImage(text: string): Image | undefined {
  const parts = reference.exec(text)?.groups;
  return parts && { registry: parts['registry']!, name: parts['name']!, tag: parts['tag']!, digest: parts['digest']! };
}
