/**
 * What leaves this machine is sealed in age's own format (age-encryption.org/v1): any `age` opens it with one of the secret keys.
 * The library does the keys and the header; the payload goes through OpenSSL, which is fifty times as fast as JavaScript here.
 */
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption';
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { Transform, type TransformCallback } from 'node:stream';
import { StandbyError } from '../../failover/errors';

const chunkBytes = 65_536;
const tagBytes = 16;
const nonceBytes = 16;
const cipher = 'chacha20-poly1305';
const algorithm = { authTagLength: tagBytes } as const;

const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array) =>
  Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));

/** 11 bytes that count the chunks, then 1 that marks the last. */
function chunkNonce(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/** Cuts what comes into pieces of `size`; the last one, which may be shorter, is told as such. */
class Pieces {
  private held: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly size: number,
    private readonly take: (piece: Buffer, last: boolean) => void,
  ) {}

  /** What may be the last piece is held back. */
  add(chunk: Buffer): void {
    this.held.push(chunk);
    this.bytes += chunk.length;
    if (this.bytes <= this.size) return;
    const all = Buffer.concat(this.held, this.bytes);
    let at = 0;
    for (; all.length - at > this.size; at += this.size) this.take(all.subarray(at, at + this.size), false);
    this.held = [all.subarray(at)];
    this.bytes = all.length - at;
  }

  end(): void {
    this.take(Buffer.concat(this.held, this.bytes), true);
  }
}

/** Hands a fault of `act` to the stream instead of throwing it. */
function guarded(done: TransformCallback, act: () => void | Promise<void>): void {
  void (async () => act())().then(
    () => done(),
    (cause: unknown) => done(cause as Error),
  );
}

async function header(recipients: readonly string[]): Promise<{ readonly text: Buffer; readonly fileKey: Uint8Array }> {
  const encrypter = new Encrypter();
  let fileKey: Uint8Array | undefined;
  recipients.forEach((recipient) => encrypter.addRecipient(recipient));
  encrypter.addRecipient({ wrapFileKey: (key) => ((fileKey = key.slice()), []) });
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array()));
  return { text: empty.subarray(0, empty.length - nonceBytes - tagBytes), fileKey: fileKey! };
}

/** @returns a stream that seals what goes through it, so that each of the recipients alone can open it. */
export async function sealing(recipients: readonly string[]): Promise<Transform> {
  const { text, fileKey } = await header(recipients);
  const nonce = randomBytes(nonceBytes);
  const key = payloadKey(fileKey, nonce);
  let index = 0;
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done) => guarded(done, () => pieces.add(chunk)),
    flush: (done) => guarded(done, () => pieces.end()),
  });
  const pieces = new Pieces(chunkBytes, (piece, last) => {
    const seal = createCipheriv(cipher, key, chunkNonce(index++, last), algorithm);
    stream.push(Buffer.concat([seal.update(piece), seal.final(), seal.getAuthTag()]));
  });
  stream.push(Buffer.concat([text, nonce]));
  return stream;
}

/** Secret keys, which nothing shows. */
export interface Identities {
  /** Their public keys. */
  readonly recipients: readonly string[];
  /** @returns a stream that opens what goes through it. It fails with BackupNotReadable, BackupCorrupt or BackupTruncated. */
  opening(): Transform;
}

const defect = (code: string, what: string, cause?: unknown) =>
  new StandbyError(code, `a part can't be opened: ${what}`, { exit: 'safe', cause });

const headerEnd = /\n--- [A-Za-z0-9+/]{43}\n/;
/** Room for many recipients; more is no header. */
const longestHeader = 65_536;

function opening(decrypter: Decrypter): Transform {
  let begin = Buffer.alloc(0);
  let pieces: Pieces | undefined;
  let index = 0;
  const start = async (): Promise<void> => {
    const found = headerEnd.exec(begin.toString('latin1'));
    const end = found ? found.index + found[0].length : undefined;
    if (end === undefined || begin.length < end + nonceBytes) {
      if (begin.length > longestHeader) throw defect('BackupCorrupt', 'it does not begin as one of age');
      return;
    }
    const fileKey = await decrypter.decryptHeader(begin.subarray(0, end)).catch((cause: unknown) => {
      const wrongKey = /no identity matched/.test((cause as Error).message);
      throw wrongKey
        ? defect('BackupNotReadable', 'none of the keys that are there is one of its recipients', cause)
        : defect('BackupCorrupt', 'its header is damaged', cause);
    });
    const key = payloadKey(fileKey, begin.subarray(end, end + nonceBytes));
    pieces = new Pieces(chunkBytes + tagBytes, (piece, last) => {
      if (piece.length < tagBytes) throw defect('BackupTruncated', 'its end is missing');
      const open = createDecipheriv(cipher, key, chunkNonce(index++, last), algorithm);
      open.setAuthTag(piece.subarray(-tagBytes));
      try {
        stream.push(Buffer.concat([open.update(piece.subarray(0, -tagBytes)), open.final()]));
      } catch (cause) {
        throw defect('BackupCorrupt', `chunk ${index} is not what was sealed`, cause);
      }
    });
    pieces.add(begin.subarray(end + nonceBytes));
  };
  const stream: Transform = new Transform({
    transform: (chunk: Buffer, _encoding, done) =>
      guarded(done, () => {
        if (pieces) return pieces.add(chunk);
        begin = Buffer.concat([begin, chunk]);
        return start();
      }),
    flush: (done) =>
      guarded(done, () => {
        if (!pieces) throw defect('BackupTruncated', 'its beginning is missing');
        pieces.end();
      }),
  });
  return stream;
}

const refused = (why: string) =>
  new StandbyError(
    'IdentityRefused',
    `STANDBY_AGE_IDENTITY_FILE ${why}: it must be a file with a secret key of age, mode 600`,
  );

/**
 * Reads the file that STANDBY_AGE_IDENTITY_FILE names.
 * @throws StandbyError IdentityRefused when it is not there, holds no key, or others may read it.
 */
export async function readIdentities(environment: Readonly<Record<string, string | undefined>>): Promise<Identities> {
  const file = environment['STANDBY_AGE_IDENTITY_FILE'];
  if (!file) throw refused('is not set');
  const handle = await fs.open(file).catch((cause: NodeJS.ErrnoException) => {
    throw refused(`can't be read (${cause.code})`);
  });
  try {
    const { mode, uid } = await handle.stat();
    // A secret that a cluster mounts belongs to root, and its reader is in the group.
    const open = uid === process.getuid?.() ? 0o077 : 0o037;
    if ((mode & open) !== 0) throw refused(`has mode ${(mode & 0o777).toString(8)}`);
    return await identitiesOf((await handle.readFile('utf8')).match(/^AGE-SECRET-KEY-1[0-9A-Z]+$/gm) ?? []);
  } finally {
    await handle.close();
  }
}

/** @param keys - secret keys as `age-keygen` writes them. @throws StandbyError IdentityRefused, without any of them */
export async function identitiesOf(keys: readonly string[]): Promise<Identities> {
  if (keys.length === 0) throw refused('holds no key');
  const decrypter = new Decrypter();
  try {
    keys.forEach((key) => decrypter.addIdentity(key));
    const recipients = await Promise.all(keys.map((key) => identityToRecipient(key)));
    return { recipients, opening: () => opening(decrypter) };
  } catch {
    // What the library says may show a part of the key.
    throw refused('holds a key that is none');
  }
}
