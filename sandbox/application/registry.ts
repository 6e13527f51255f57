/**
 * The sandbox's image registry: images.json says, for each digest, what a container of that image runs.
 *
 * A digest is derived from its entry as a real one is from its manifest: SHA-256 of the entry's JSON without `digest`, keys
 * sorted, no white space. As in a registry the digest decides and the tag is decoration.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { folders, repository } from '../world';

export interface Image {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  /** What runs unless a container says otherwise. `${build}` and `${repository}` stand for the sandbox's folders. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Who runs it where the sandbox is root's: what has a user of its own in the image. @default - the user who runs the sandbox */
  readonly user?: 'postgres';
}

const imagesFile = path.join(repository, 'sandbox', 'application', 'images.json');

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(',')}}`;
}

/** @returns `sha256:<64 hex>` of an entry, by the rule above. */
export function digestOf(image: Omit<Image, 'digest'>): string {
  const manifest = Object.fromEntries(Object.entries(image).filter(([key]) => key !== 'digest'));
  return `sha256:${createHash('sha256').update(canonical(manifest)).digest('hex')}`;
}

/** All images of the registry, with the places filled in. Read anew at each call: an image may be pushed at any time. */
export function images(file = imagesFile): readonly Image[] {
  return JSON.parse(fs.readFileSync(file, 'utf8')) as Image[];
}

/** `name:version@sha256:…`, as a Deployment names it. @throws SandboxError when there is no such image. */
export function referenceTo(name: string, version: string): string {
  const image = images().find((one) => one.name === name && one.version === version);
  if (!image) {
    const known = images().map((one) => `${one.name}:${one.version}`);
    throw new SandboxError(
      'ImageUnknown',
      `image ${name}:${version} is not in ${imagesFile}; it has ${known.join(', ')}`,
    );
  }
  return `${name}:${version}@${image.digest}`;
}

/** @returns the image that a reference means, undefined when the registry has none by that name and digest. */
export function findImage(reference: string, file = imagesFile): Image | undefined {
  const match = /^(?<name>[^@]+?)(?::[\w][\w.-]*)?@(?<digest>sha256:[0-9a-f]{64})$/.exec(reference)?.groups;
  if (!match) return undefined;
  return images(file).find((image) => image.name === match['name'] && image.digest === match['digest']);
}

/** Fills in the folders that stand for an image's file system. */
export const fillIn = (text: string): string =>
  text.replaceAll('${build}', folders.build).replaceAll('${repository}', repository);
