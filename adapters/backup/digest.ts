/** Counts and digests what goes through. */
import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';

export interface Digest extends Transform {
  readonly bytes: () => number;
  /** SHA-256 in hex; asked once, when all has gone through. */
  readonly sha256: () => string;
}

export function digesting(): Digest {
  const hash = createHash('sha256');
  let bytes = 0;
  let digest: string | undefined;
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      bytes += chunk.length;
      done(undefined, chunk);
    },
  });
  return Object.assign(stream, { bytes: () => bytes, sha256: () => (digest ??= hash.digest('hex')) });
}
