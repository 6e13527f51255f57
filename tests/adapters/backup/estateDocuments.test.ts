import { BlobServiceClient, StorageSharedKeyCredential, type ContainerClient } from '@azure/storage-blob';
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { restoreVersion, saveVersion, versionsOf } from '../../../adapters/backup/estate/documents';
import type { StorageAccount } from '../../../sandbox/azure/storage';
import { TestWorld } from '../../cloudflare/part';
import { call } from '../trial/trial';

const key = randomBytes(64).toString('base64');
const id = '/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stdocuments';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: { code?: string; message: string }) => `${cause.code}: ${cause.message}`,
  );

describe('adapters/backup/estate: one version of one document', function () {
  this.timeout(60_000);
  const part = new TestWorld('blob', 238, { STANDBY_STATE_KEY: randomBytes(64).toString('base64') });
  const { outside, ports, folders } = part.world;
  const name = '17/consent form.txt';
  let store: ContainerClient;
  const text = async () => (await store.getBlobClient(name).downloadToBuffer()).toString();
  const write = (content: string) =>
    store.getBlockBlobClient(name).upload(content, content.length, {
      blobHTTPHeaders: { blobContentType: 'text/plain' },
      metadata: { customer: '17' },
    });

  before(async () => {
    // A store as ARM would have made it: with versions.
    const account: StorageAccount = {
      ...{ id, location: 'northeurope', keys: [{ keyName: 'key1', value: key }], allowSharedKeyAccess: true },
      ...{ allowBlobPublicAccess: false, minimumTlsVersion: 'TLS1_2', versioning: true, deleteRetentionDays: 35 },
      ...{ containerDeleteRetentionDays: 35, managementRules: [] },
      containers: {
        documents: {
          id: `${id}/blobServices/default/containers/documents`,
          ...{ publicAccess: 'None', immutability: null, legalHold: false },
        },
      },
    };
    fs.mkdirSync(folders.azure, { recursive: true });
    fs.writeFileSync(path.join(folders.azure, 'storage.json'), JSON.stringify({ accounts: { stdocuments: account } }));
    await part.start();
    const url = `http://${outside.blob}:${ports.blob}/stdocuments`;
    const options = { retryOptions: { maxTries: 1 } };
    store = new BlobServiceClient(url, new StorageSharedKeyCredential('stdocuments', key), options).getContainerClient(
      'documents',
    );
    for (const content of ['signed', 'changed', 'encrypted by somebody']) await write(content);
    await store.getBlockBlobClient(`${name}.note`).upload('x', 1);
  });
  after(() => part.remove());

  it('is found among all that were ever written, the newest first', async () => {
    const versions = await versionsOf(store, name, call());
    expect(versions.map(({ bytes, current }) => [bytes, current])).to.deep.equal([
      ['encrypted by somebody'.length, true],
      ['changed'.length, false],
      ['signed'.length, false],
    ]);
    expect(await faultOf(versionsOf(store, '17/consent', call()))).to.match(/^NoSuchDocument: /);
    expect(await faultOf(restoreVersion(store, name, '2026-01-01T00:00:00.0000000Z', call()))).to.match(
      /^NoSuchVersion: /,
    );
  });

  it('becomes the newest, with what it says of itself, and no version is lost', async () => {
    const [, , signed] = await versionsOf(store, name, call());
    expect(await restoreVersion(store, name, signed!.version, call())).to.equal(true);
    expect(await text()).to.equal('signed');
    const properties = await store.getBlobClient(name).getProperties();
    expect([properties.contentType, properties.metadata]).to.deep.equal(['text/plain', { customer: '17' }]);
    expect(await versionsOf(store, name, call())).to.have.length(4);
    expect(await restoreVersion(store, name, signed!.version, call()), 'a second time').to.equal(false);
    expect(await versionsOf(store, name, call())).to.have.length(4);
  });

  it('comes back when the document was deleted', async () => {
    await store.getBlobClient(name).delete();
    const versions = await versionsOf(store, name, call());
    expect(versions.some(({ current }) => current)).to.equal(false);
    expect(await restoreVersion(store, name, versions[2]!.version, call())).to.equal(true);
    expect(await text()).to.equal('changed');
  });

  it('goes into a file that is new', async () => {
    const file = path.join(part.home, 'consent.txt');
    const versions = await versionsOf(store, name, call());
    await saveVersion(store, name, versions.at(-1)!.version, file, call());
    expect(fs.readFileSync(file, 'utf8')).to.equal('signed');
    expect(fs.statSync(file).mode & 0o777).to.equal(0o600);
    expect(await faultOf(saveVersion(store, name, versions[0]!.version, file, call()))).to.match(/^FileExists: /);
  });
});
