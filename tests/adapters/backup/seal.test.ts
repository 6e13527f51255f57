import { Decrypter, Encrypter, generateX25519Identity } from 'age-encryption';
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Readable, type Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { identitiesOf, readIdentities, sealing, type Identities } from '../../../adapters/backup/seal';
import { outcome } from './gateway';

/** In pieces that fit nothing. */
function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 10_007) yield bytes.subarray(at, at + 10_007);
}
const through = (bytes: Buffer, stream: Transform) =>
  buffer(
    Readable.from(pieces(bytes))
      .on('error', (cause) => stream.destroy(cause))
      .pipe(stream),
  );

describe('sealing', function () {
  this.timeout(20_000);
  const keys: string[] = [];
  let both: Identities;
  before(async () => {
    keys.push(await generateX25519Identity(), await generateX25519Identity());
    both = await identitiesOf(keys);
  });

  const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000];

  it('is what the library of age opens, and opens what that seals, by each of the recipients', async () => {
    for (const size of sizes) {
      const plain = randomBytes(size);
      const sealed = await through(plain, await sealing(both.recipients));
      for (const key of keys) {
        const decrypter = new Decrypter();
        decrypter.addIdentity(key);
        expect(Buffer.from(await decrypter.decrypt(sealed)).equals(plain), `${size}`).to.equal(true);
        const single = await identitiesOf([key]);
        expect((await through(sealed, single.opening())).equals(plain), `${size}`).to.equal(true);
      }
      const encrypter = new Encrypter();
      encrypter.addRecipient(both.recipients[0]!);
      expect((await through(Buffer.from(await encrypter.encrypt(plain)), both.opening())).equals(plain)).to.equal(true);
    }
  });

  it('is what the program age opens', async function () {
    if (spawnSync('age', ['--version']).error) this.skip();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-age-'));
    try {
      fs.writeFileSync(path.join(folder, 'key'), `${keys[1]}\n`, { mode: 0o600 });
      for (const size of sizes) {
        const plain = randomBytes(size);
        const input = await through(plain, await sealing(both.recipients));
        const opened = execFileSync('age', ['--decrypt', '-i', path.join(folder, 'key')], { input, maxBuffer: 1e8 });
        expect(opened.equals(plain), `${size}`).to.equal(true);
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('tells a stranger’s key, a change and an end that is missing apart', async () => {
    const sealed = await through(randomBytes(200_000), await sealing(both.recipients));
    const stranger = await identitiesOf([await generateX25519Identity()]);
    expect(await outcome(through(sealed, stranger.opening()))).to.equal('BackupNotReadable');
    for (const at of [30, sealed.length >> 1, sealed.length - 1]) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      expect(await outcome(through(changed, both.opening())), `${at}`).to.match(/^Backup(Corrupt|NotReadable)$/);
    }
    for (const left of [0, 10, 250, 70_000, sealed.length - 1]) {
      expect(await outcome(through(sealed.subarray(0, left), both.opening())), `${left}`).to.match(
        /^Backup(Truncated|Corrupt)$/,
      );
    }
    expect(await outcome(through(randomBytes(100_000), both.opening()))).to.equal('BackupCorrupt');
  });

  it('takes secret keys from a file that nobody else reads, and shows none of them', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-identity-'));
    const file = path.join(folder, 'key');
    const read = (mode: number, text = `# made by a test\n${keys.join('\n')}\n`) => {
      fs.writeFileSync(file, text);
      fs.chmodSync(file, mode);
      return readIdentities({ STANDBY_AGE_IDENTITY_FILE: file });
    };
    try {
      expect((await read(0o600)).recipients).to.deep.equal(both.recipients);
      expect(JSON.stringify(await read(0o400))).to.not.contain('SECRET');
      for (const mode of [0o640, 0o644, 0o660, 0o604])
        expect(await outcome(read(mode)), mode.toString(8)).to.equal('IdentityRefused');
      expect(await outcome(read(0o600, 'nothing'))).to.equal('IdentityRefused');
      const fault = await read(0o600, 'AGE-SECRET-KEY-1QQQQ').catch((cause: Error) => cause);
      expect((fault as Error).message)
        .to.match(/STANDBY_AGE_IDENTITY_FILE/)
        .and.not.match(/1QQQQ/);
      expect(await outcome(readIdentities({}))).to.equal('IdentityRefused');
      expect(await outcome(readIdentities({ STANDBY_AGE_IDENTITY_FILE: `${file}.none` }))).to.equal('IdentityRefused');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
