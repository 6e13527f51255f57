import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { secondKey } from '../../../adapters/backup/estate/estate';
import {
  backupsOf,
  chooseBackup,
  keepSet,
  openBackup,
  restoreSet,
  type EstateKeeping,
} from '../../../adapters/backup/estate/keep';
import { identitiesOf, type Identities } from '../../../adapters/backup/seal';
import { mediumVault } from '../../../adapters/backup/vaults/offline';
import type { EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Vault } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { call } from '../trial/trial';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: { code?: string; message: string }) => `${cause.code}: ${cause.message}`,
  );

/** A place with one text in it. */
class Place {
  constructor(public text: string | undefined) {}

  set(more: Partial<EstateSet> = {}): EstateSet {
    return {
      dataSet: 'names',
      tool: 'test',
      collect: async () => [{ name: 'deep/text', bytes: Buffer.from(this.text ?? '') }],
      compare: async ([file]) =>
        file!.bytes.toString() === this.text
          ? []
          : [{ what: 'text', how: this.text === undefined ? 'missing' : 'different' }],
      restore: async ([file]) => {
        this.text = file!.bytes.toString();
        return ['text'];
      },
      ...more,
    };
  }
}

describe('adapters/backup/estate: kept, restored, and only then a backup', function () {
  this.timeout(20_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-keep-'));
  const company = 'acme';
  const secret = 'word-that-nobody-reads';
  let [one, other, stranger]: Identities[] = [];
  let keys: readonly string[];
  let recipients: string[];
  let now = Date.parse('2026-11-20T01:00:00Z');

  let count = 0;
  const newVault = (name: string): Vault => mediumVault(name, path.join(folder, `${name}-${++count}`));
  const keepingIn = (vaults: readonly Vault[]): EstateKeeping => ({
    ...{ company, vaults, recipients, identities: one!, secondKey: async () => other! },
    ...{ retention: { daily: 35, weekly: 12, monthly: 12 }, environment: process.env },
    now: () => (now += 1_000),
  });
  const filesIn = (where: string) =>
    fs
      .readdirSync(where, { recursive: true, encoding: 'utf8' })
      .filter((name) => fs.statSync(path.join(where, name)).isFile());

  before(async () => {
    keys = await Promise.all([generateX25519Identity(), generateX25519Identity(), generateX25519Identity()]);
    [one, other, stranger] = await Promise.all(keys.map((key) => identitiesOf([key])));
    recipients = await Promise.all(keys.slice(0, 2).map((key) => identityToRecipient(key)));
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  it('is sealed in every vault, restored from each, and comes back where there is nothing', async () => {
    const vaults = [newVault('intg'), newVault('offsite')];
    const { manifest, verdicts } = await keepSet(new Place(secret).set(), keepingIn(vaults), call());
    expect(verdicts.map(({ vault, defect }) => [vault, defect])).to.deep.equal([
      ['intg', undefined],
      ['offsite', undefined],
    ]);
    for (const name of filesIn(folder)) {
      const text = fs.readFileSync(path.join(folder, name)).toString('latin1');
      expect(text, name).not.to.contain(secret);
    }
    const empty = new Place(undefined);
    const chosen = await chooseBackup(empty.set(), vaults, company, undefined, call());
    expect(chosen.manifest).to.deep.equal(manifest);
    const files = await openBackup(chosen.vault, chosen.manifest, one!, call());
    expect(await restoreSet(empty.set(), files, true, call())).to.deep.equal({
      differences: [{ what: 'text', how: 'missing' }],
    });
    expect(empty.text, 'a dry run').to.equal(undefined);
    await restoreSet(empty.set(), files, false, call());
    expect(empty.text).to.equal(secret);
    expect(await faultOf(openBackup(chosen.vault, chosen.manifest, stranger!, call()))).to.match(
      /^BackupNotReadable: /,
    );
  });

  it('does not count when what comes out is not what is there', async () => {
    const vaults = [newVault('intg')];
    const place = new Place('one');
    const set = place.set({
      collect: async () => {
        place.text = 'two';
        return [{ name: 'text', bytes: Buffer.from('one') }];
      },
    });
    const { verdicts } = await keepSet(set, keepingIn(vaults), call());
    expect(verdicts[0]).to.include({ defect: 'BackupCorrupt' });
    expect(verdicts[0]?.checks.at(-1)?.detail).to.equal('1 differences, the first: text is different');
    expect(await faultOf(chooseBackup(set, vaults, company, undefined, call()))).to.match(/^NothingVerified: /);
    const { found } = await backupsOf('names', vaults, company, call());
    expect((await chooseBackup(set, vaults, company, found[0]!.manifest.id, call())).manifest).to.deep.equal(
      found[0]!.manifest,
    );
  });

  it('is taken from the older one that is sound, when the newest was damaged', async () => {
    const vault = newVault('intg');
    const place = new Place('sound');
    const first = await keepSet(place.set(), keepingIn([vault]), call());
    // Bytes change on their way into the vault.
    const damaging: Vault = {
      ...vault,
      get: async (name, ...rest) => {
        const stream = await vault.get(name, ...rest);
        if (!name.endsWith('deep/text')) return stream;
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk as Buffer);
        const bytes = Buffer.concat(chunks);
        bytes[bytes.length - 1]! ^= 1;
        return (await import('node:stream')).Readable.from([bytes]);
      },
    };
    place.text = 'damaged';
    const second = await keepSet(place.set(), keepingIn([damaging]), call());
    expect(second.verdicts[0]?.defect).to.equal('BackupCorrupt');
    const chosen = await chooseBackup(place.set(), [vault], company, undefined, call());
    expect(chosen.manifest.id).to.equal(first.manifest.id);
  });

  it('counts, where it must, only when a second key opened it', async () => {
    const vaults = [newVault('intg')];
    const set = new Place(secret).set({ secondKey: true });
    const refused = async () => {
      throw new StandbyError('SecondKeyRefused', 'there is none');
    };
    let collected = false;
    const watched: EstateSet = {
      ...set,
      collect: (...args): Promise<readonly EstateFile[]> => ((collected = true), set.collect(...args)),
    };
    expect(await faultOf(keepSet(watched, { ...keepingIn(vaults), secondKey: refused }, call()))).to.match(
      /^SecondKeyRefused/,
    );
    expect(collected, 'nothing was read').to.equal(false);
    const { verdicts } = await keepSet(set, keepingIn(vaults), call());
    expect(verdicts[0]?.checks[0]).to.include({ name: 'opened with the second key', passed: true });
    const wrong = await keepSet(set, { ...keepingIn(vaults), secondKey: async () => stranger! }, call());
    expect(wrong.verdicts[0]?.defect).to.equal('BackupNotReadable');
  });

  it('takes for the second key only another one, which is a recipient', async () => {
    const file = (name: string, key: string) => {
      fs.writeFileSync(path.join(folder, name), `${key}\n`, { mode: 0o600 });
      return { STANDBY_AGE_SECOND_IDENTITY_FILE: path.join(folder, name) };
    };
    expect(await faultOf(secondKey({}, one!, recipients))).to.match(/^SecondKeyRefused: .* is not set$/);
    expect(await faultOf(secondKey(file('first', keys[0]!), one!, recipients))).to.match(
      /has the first key in it again$/,
    );
    expect(await faultOf(secondKey(file('stranger', keys[2]!), one!, recipients))).to.match(/has none of the keys/);
    expect((await secondKey(file('second', keys[1]!), one!, recipients)).recipients).to.deep.equal([recipients[1]]);
  });
});
