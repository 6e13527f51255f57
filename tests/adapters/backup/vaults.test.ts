import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { vaultOf } from '../../../adapters/backup/vaults/azure';
import {
  checkMedium,
  exportToMedium,
  isOnline,
  mediumVault,
  readReceipts,
} from '../../../adapters/backup/vaults/offline';
import { keepBackup } from '../../../adapters/backup/store';
import { createCatalog } from '../../../adapters/backup/catalog';
import { identitiesOf } from '../../../adapters/backup/seal';
import type { Vault } from '../../../backup/ports';
import type { StorageContainer } from '../../../sandbox/azure/storage';
import { TestWorld } from '../../cloudflare/part';
import { call, Gateway, namesIn, outcome, textOf } from './gateway';
import { generateX25519Identity } from 'age-encryption';

const dayMs = 86_400_000;
const inADay = () => Date.now() + dayMs;

/** What every vault does, whatever it is made of. */
function keeps(vault: () => Vault) {
  it('gives back what was put, once, by name', async () => {
    const body = randomBytes(40 * 1024 * 1024);
    await vault().put('acme/a/large', Readable.from([body.subarray(0, 1e6), body.subarray(1e6)]), inADay(), call());
    await vault().put('acme/a/small', Buffer.from('small'), inADay(), call());
    await vault().put('acme/b', Buffer.alloc(0), inADay(), call());
    expect(await namesIn(vault().list('acme/a/', call()))).to.deep.equal(['acme/a/large', 'acme/a/small']);
    expect(await textOf(await vault().get('acme/a/small', call()))).to.equal('small');
    const chunks: Buffer[] = [];
    for await (const chunk of await vault().get('acme/a/large', call())) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(body)).to.equal(true);
    expect(await outcome(vault().put('acme/a/small', Buffer.from('other'), inADay(), call()))).to.equal('ObjectExists');
    expect(await outcome(vault().get('acme/none', call()))).to.equal('ObjectMissing');
  });

  it('is told by the storage that a copy is kept', async () => {
    expect(await outcome(vault().remove('acme/a/small', call()))).to.equal('ObjectLocked');
    expect(await textOf(await vault().get('acme/a/small', call()))).to.equal('small');
  });

  it('stops when it is told to', async () => {
    const reason = new Error('enough');
    const stopped = { signal: AbortSignal.abort(reason), progress: () => undefined };
    expect(
      await vault()
        .get('acme/a/small', stopped)
        .catch((cause: unknown) => cause),
    ).to.equal(reason);
  });
}

describe('vaults', function () {
  this.timeout(60_000);

  describe('S3 with object lock', () => {
    const gateway = new Gateway();
    before(async () => {
      await gateway.start();
      await gateway.bucket('locked', true);
      await gateway.bucket('open', false);
    });
    after(() => gateway.remove());

    keeps(() => gateway.vault('locked'));

    const latest = async (key: string) => {
      const { Versions: versions = [] } = await gateway.client.send(
        new ListObjectVersionsCommand({ Bucket: 'locked', Prefix: key }),
      );
      return versions.at(-1)!.VersionId!;
    };

    it('is refused every way around the lock by the storage itself, with the owner’s own key', async () => {
      const at = { Bucket: 'locked', Key: 'acme/a/small', VersionId: await latest('acme/a/small') };
      const { client } = gateway;
      const { Retention } = await client.send(new GetObjectRetentionCommand(at));
      expect(Retention?.Mode).to.equal('COMPLIANCE');
      expect(Retention!.RetainUntilDate!.getTime()).to.be.closeTo(inADay(), 60_000);
      expect(await outcome(client.send(new DeleteObjectCommand(at)))).to.match(
        /AccessDenied|InvalidRequest|ObjectLocked/,
      );
      const sooner = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + 1_000) } as const;
      expect(await outcome(client.send(new PutObjectRetentionCommand({ ...at, Retention: sooner })))).to.not.equal(
        'done',
      );
      const bypass = { ...at, BypassGovernanceRetention: true };
      expect(await outcome(client.send(new DeleteObjectCommand(bypass)))).to.not.equal('done');
      expect(await textOf(await gateway.vault('locked').get('acme/a/small', call()))).to.equal('small');
    });

    it('looks through a deletion marker and a later version: the first one is the backup', async () => {
      const at = { Bucket: 'locked', Key: 'acme/a/small' };
      await gateway.client.send(new PutObjectCommand({ ...at, Body: 'forged' }));
      await gateway.client.send(new DeleteObjectCommand(at));
      const vault = gateway.vault('locked');
      expect(await textOf(await vault.get('acme/a/small', call()))).to.equal('small');
      expect(await namesIn(vault.list('acme/a/', call()))).to.deep.equal(['acme/a/large', 'acme/a/small']);
    });

    it('lets go what is past its time', async () => {
      const vault = gateway.vault('locked');
      await vault.put('acme/brief', Buffer.from('brief'), Date.now() + 3_000, call());
      expect(await outcome(vault.remove('acme/brief', call()))).to.equal('ObjectLocked');
      const end = Date.now() + 20_000;
      while ((await outcome(vault.remove('acme/brief', call()))) !== 'done' && Date.now() < end);
      expect(await namesIn(vault.list('acme/brief', call()))).to.deep.equal([]);
    });

    it('refuses a bucket that locks nothing, unless a person says that its own rules do', async () => {
      expect(await outcome(gateway.vault('open').put('acme/x', Buffer.from('x'), inADay(), call()))).to.equal(
        'VaultNotLocked',
      );
      const ruled = gateway.vault('open', 'bucket');
      await ruled.put('acme/x', Buffer.from('x'), inADay(), call());
      expect(await textOf(await ruled.get('acme/x', call()))).to.equal('x');
      expect(await outcome(ruled.put('acme/x', Buffer.from('y'), inADay(), call()))).to.equal('ObjectExists');
      expect(await namesIn(ruled.list('', call()))).to.deep.equal(['acme/x']);
    });
  });

  describe('Azure under an immutability policy', () => {
    const stateKey = randomBytes(64).toString('base64');
    const accountKey = randomBytes(64).toString('base64');
    const world = new TestWorld('blob', 231, { STANDBY_STATE_KEY: stateKey });
    const id =
      '/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stacme';
    const container = (name: string, days?: number): StorageContainer => ({
      id: `${id}/blobServices/default/containers/${name}`,
      publicAccess: 'None',
      immutability: days === undefined ? null : { days, locked: true, allowProtectedAppendWrites: false },
      legalHold: false,
    });
    const client = (name: string) =>
      new BlobServiceClient(
        `http://${world.world.outside.blob}:${world.world.ports.blob}/stacme`,
        new StorageSharedKeyCredential('stacme', accountKey),
        { retryOptions: { maxTries: 1 } },
      ).getContainerClient(name);

    before(() => {
      fs.mkdirSync(world.world.folders.azure, { recursive: true });
      const containers = { backups: container('backups', 35), open: container('open') };
      const account = {
        ...{ id, location: 'northeurope', keys: [{ keyName: 'key1', value: accountKey }], containers },
        ...{ allowSharedKeyAccess: true, allowBlobPublicAccess: false, minimumTlsVersion: 'TLS1_2', versioning: true },
        ...{ deleteRetentionDays: null, containerDeleteRetentionDays: null, managementRules: [] },
      };
      const file = path.join(world.world.folders.azure, 'storage.json');
      fs.writeFileSync(file, JSON.stringify({ accounts: { stacme: account } }));
      return world.start();
    });
    after(() => world.remove());

    keeps(() => vaultOf('intg', client('backups')));

    it('is refused every way around the policy by the storage itself, with the account’s own key', async () => {
      const blob = client('backups').getBlockBlobClient('acme/a/small');
      expect(await outcome(blob.delete())).to.equal('BlobImmutableDueToPolicy');
      expect(await outcome(blob.upload('other', 5))).to.equal('BlobImmutableDueToPolicy');
      expect(await outcome(blob.setMetadata({ a: 'b' }))).to.equal('BlobImmutableDueToPolicy');
      expect(await outcome(client('backups').delete())).to.not.equal('done');
    });

    it('refuses a container without a policy', async () => {
      const vault = vaultOf('intg', client('open'));
      expect(await outcome(vault.put('acme/x', Buffer.from('x'), inADay(), call()))).to.equal('VaultNotLocked');
    });

    it('is exported to a medium, which counts as offline only when it is gone', async () => {
      const vault = vaultOf('intg', client('backups'));
      const recipients = (await identitiesOf([await generateX25519Identity(), await generateX25519Identity()]))
        .recipients;
      const retention = { daily: 1, weekly: 1, monthly: 1 };
      const keeping = { vaults: [vault], retention, recipients, now: Date.now, environment: process.env };
      const taken = {
        ...({
          company: 'acme',
          dataSet: 'state',
          tool: 'a test',
          startedAt: Date.now(),
          recoveryPoint: Date.now(),
        } as const),
        parts: [
          { name: 'deep/one', content: Buffer.from('one') },
          { name: 'two', content: Buffer.alloc(0) },
        ],
      };
      const manifest = await keepBackup(taken, keeping, call());
      expect(await createCatalog(vault, 'acme').manifests('state', call())).to.deep.equal([manifest]);
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-medium-'));
      try {
        const options = { from: vault, folder, label: 'tape', company: 'acme', manifests: [manifest], now: Date.now() };
        const receipt = await exportToMedium(options, call());
        expect(await readReceipts(vault, 'acme', call())).to.deep.equal([receipt]);
        expect(Object.keys(receipt.digests)).to.have.length(3);
        expect(
          await createCatalog(mediumVault('tape', receipt.folder), 'acme').manifests('state', call()),
        ).to.deep.equal([manifest]);
        expect(await isOnline(receipt)).to.equal(true);
        expect(await checkMedium(receipt)).to.deep.equal([]);
        const [part] = Object.keys(receipt.digests);
        const file = path.join(receipt.folder, part!);
        fs.chmodSync(file, 0o600);
        fs.appendFileSync(file, 'x');
        expect(await checkMedium(receipt)).to.deep.equal([part]);
        fs.renameSync(receipt.folder, `${receipt.folder}.away`);
        expect(await isOnline(receipt)).to.equal(false);
        expect(await outcome(exportToMedium({ ...options, folder: `${folder}/none` }, call()))).to.equal(
          'MediumMissing',
        );
      } finally {
        fs.rmSync(folder, { recursive: true, force: true });
      }
    });
  });
});
