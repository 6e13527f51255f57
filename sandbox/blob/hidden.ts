/** Where earlier versions of blobs are kept in Azurite: a container that clients can't name, one blob per version. */

/** Names that begin with a dollar are closed to clients. */
export const hiddenContainer = (container: string) => `$versions-${container}`;
export const hiddenBlob = (blob: string, version: string) => `${blob}/${version}`;

const format = /^(.*)\/(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{7}Z)$/s;

/** @returns blob and version of a hidden name. */
export function fromHidden(name: string): { blob: string; version: string } | undefined {
  const [, blob, version] = format.exec(name) ?? [];
  return blob === undefined || version === undefined ? undefined : { blob, version };
}

export const isVersion = (version: string) => format.test(`/${version}`);

let last = { ms: 0, ticks: 0 };

/** @returns a version id: time in units of 100 ns, later than every one before. */
export function nextVersion(now = Date.now()): string {
  const ms = Math.max(now, last.ms);
  last = { ms, ticks: ms === last.ms ? last.ticks + 1 : 0 };
  return new Date(ms).toISOString().replace('Z', `${String(last.ticks).padStart(4, '0')}Z`);
}
