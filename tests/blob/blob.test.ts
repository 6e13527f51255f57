import {
  BlobSASPermissions,
  BlobServiceClient,
  type RestError,
  StorageSharedKeyCredential,
  type ContainerClient,
  type StoragePipelineOptions,
} from '@azure/storage-blob';
import { expect } from 'chai';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as path from 'node:path';
import type { StorageAccount, StorageContainer } from '../../sandbox/azure/storage';
import { isRetained } from '../../sandbox/blob/retention';
import { authorization } from '../../sandbox/blob/shared-key';
import { TestWorld } from '../cloudflare/part';

const stateKey = randomBytes(64).toString('base64');
const accountKey = randomBytes(64).toString('base64');
const subscription = '/subscriptions/00000000-0000-4000-8000-000000000001';
const accountId = (name: string) =>
  `${subscription}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/${name}`;

const container = (account: string, name: string, more: Partial<StorageContainer> = {}): StorageContainer => ({
  id: `${accountId(account)}/blobServices/default/containers/${name}`,
  publicAccess: 'None',
  immutability: null,
  legalHold: false,
  ...more,
});

const account = (name: string, more: Partial<StorageAccount>): StorageAccount => ({
  id: accountId(name),
  location: 'northeurope',
  keys: [{ keyName: 'key1', value: accountKey }],
  allowSharedKeyAccess: true,
  allowBlobPublicAccess: false,
  minimumTlsVersion: 'TLS1_2',
  versioning: false,
  deleteRetentionDays: null,
  containerDeleteRetentionDays: null,
  containers: {},
  managementRules: [],
  ...more,
});

/** @returns `status code` of the refusal, or `done`. */
const outcome = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: RestError) => `${cause.statusCode} ${cause.code ?? ''}`.trim(),
  );

const text = async (read: Promise<Buffer>) => (await read).toString();

describe('blob', function () {
  this.timeout(20_000);
  const world = new TestWorld('blob', 206, { STANDBY_STATE_KEY: stateKey });
  const { outside, ports, folders } = world.world;
  const base = `http://${outside.blob}:${ports.blob}`;
  const service = (name: string, key: string, options: StoragePipelineOptions = {}) =>
    new BlobServiceClient(`${base}/${name}`, new StorageSharedKeyCredential(name, key), {
      retryOptions: { maxTries: 1 },
      ...options,
    });
  const state = () => service('standbystate', stateKey).getContainerClient('state');

  const write = (file: string, content: unknown) => {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file + '.new', JSON.stringify(content));
    fs.renameSync(file + '.new', file);
  };
  const arm = (accounts: Record<string, StorageAccount>) =>
    write(path.join(folders.azure, 'storage.json'), { accounts });

  const accounts = {
    stversions: account('stversions', { versioning: true, containers: { data: container('stversions', 'data') } }),
    stlocked: account('stlocked', {
      versioning: true,
      containers: {
        backups: container('stlocked', 'backups', {
          immutability: { days: 35, locked: true, allowProtectedAppendWrites: false },
        }),
        journal: container('stlocked', 'journal', {
          immutability: { days: 35, locked: false, allowProtectedAppendWrites: true },
        }),
      },
    }),
    stdocuments: account('stdocuments', {
      versioning: true,
      versionDays: 35,
      containers: { documents: container('stdocuments', 'documents') },
    }),
    sttokens: account('sttokens', { allowSharedKeyAccess: false, containers: { data: container('sttokens', 'data') } }),
    stprod: account('stprod', { location: 'westeurope', containers: { data: container('stprod', 'data') } }),
  };

  before(() => {
    arm(accounts);
    return world.start();
  });
  after(() => world.remove());

  describe('shared keys', () => {
    it('serves the container of the engine, leases included', async () => {
      const blob = state().getBlockBlobClient('a b/ü.json');
      await blob.upload('one', 3, { blobHTTPHeaders: { blobContentType: 'application/json' } });
      const lease = blob.getBlobLeaseClient();
      await lease.acquireLease(15);
      expect(await outcome(blob.upload('two', 3))).to.equal('412 LeaseIdMissing');
      await lease.releaseLease();
      expect(await text(blob.downloadToBuffer())).to.equal('one');
      expect(await outcome(blob.upload('two', 3, { conditions: { ifNoneMatch: '*' } }))).to.equal(
        '409 BlobAlreadyExists',
      );
    });

    it('refuses a wrong key, nobody, an unknown account and a hidden container', async () => {
      const wrong = service('standbystate', accountKey).getContainerClient('state');
      expect(await outcome(wrong.getProperties())).to.equal('403 AuthenticationFailed');
      const head = await fetch(`${base}/standbystate/state/x`);
      expect([head.status, head.headers.get('x-ms-error-code')]).to.deep.equal([409, 'PublicAccessNotPermitted']);
      expect(await outcome(service('stnobody', accountKey).getProperties())).to.match(/^404/);
      const hidden = service('stversions', accountKey).getContainerClient('$versions-data');
      expect(await outcome(hidden.getBlockBlobClient('x').upload('x', 1))).to.equal('400 InvalidResourceName');
      const open = service('stversions', accountKey).getContainerClient('open');
      expect(await outcome(open.create({ access: 'blob' }))).to.equal('409 PublicAccessNotPermitted');
    });

    it('takes URLs in the style of the real service', async () => {
      const [host, url] = ['stversions.blob.core.windows.net', '/data/hosted%20blob'];
      const headers: Record<string, string> = {
        'x-ms-date': new Date().toUTCString(),
        'x-ms-version': '2024-11-04',
        'x-ms-blob-type': 'BlockBlob',
        'content-length': '1',
      };
      const signed = authorization('PUT', headers, 'stversions', url, new URLSearchParams(), accountKey);
      const options = { host: outside.blob, port: ports.blob, path: url, method: 'PUT', agent: false };
      const status = await new Promise((resolve, reject) => {
        const request = http.request({ ...options, headers: { ...headers, host, authorization: signed } });
        request
          .on('response', (answer) => resolve(answer.resume().statusCode))
          .on('error', reject)
          .end('x');
      });
      expect(status).to.equal(201);
      const data = service('stversions', accountKey).getContainerClient('data');
      expect(await data.getBlockBlobClient('hosted blob').exists()).to.equal(true);
    });

    it('passes a shared access signature on, and no more than it allows', async () => {
      const client = service('stversions', accountKey).getContainerClient('data').getBlockBlobClient('signed.txt');
      await client.upload('old', 3);
      const { versionId } = await client.upload('new', 3);
      const url = await client.generateSasUrl({
        permissions: BlobSASPermissions.parse('r'),
        expiresOn: new Date(Date.now() + 60_000),
      });
      const answer = await fetch(url);
      expect([await answer.text(), answer.headers.get('x-ms-version-id')]).to.deep.equal(['new', versionId]);
      expect((await fetch(url, { method: 'DELETE' })).status).to.equal(403);
      expect((await fetch(url.replace(/sig=[^&]{4}/, 'sig=AAAA') + `&versionid=${versionId}`)).status).to.equal(403);
      expect(await text(client.downloadToBuffer())).to.equal('new');
    });
  });

  describe('versions', () => {
    let data: ContainerClient;
    before(() => (data = service('stversions', accountKey).getContainerClient('data')));
    const versions = async (prefix: string) => {
      const found: string[] = [];
      for await (const item of data.listBlobsFlat({ includeVersions: true, prefix }))
        found.push(`${item.name}${item.isCurrentVersion ? ' current' : ''} ${item.versionId}`);
      return found;
    };

    it('keeps what is overwritten and what is deleted, and restores it by copy', async () => {
      const blob = data.getBlockBlobClient('dir/a');
      const first = await blob.upload('one', 3, { metadata: { n: '1' } });
      const second = await blob.upload('two', 3);
      expect(first.versionId).to.match(/^\d{4}-.*\.\d{7}Z$/);
      expect(second.versionId! > first.versionId!).to.equal(true);
      expect((await blob.getProperties()).versionId).to.equal(second.versionId);
      expect(await versions('dir/')).to.deep.equal([`dir/a ${first.versionId}`, `dir/a current ${second.versionId}`]);
      const old = blob.withVersion(first.versionId!);
      expect(await text(old.downloadToBuffer())).to.equal('one');
      expect((await old.getProperties()).metadata).to.deep.equal({ n: '1' });
      expect((await old.getProperties()).etag).to.equal(first.etag);

      await blob.delete();
      expect(await blob.exists()).to.equal(false);
      expect(await versions('dir/')).to.have.length(2);
      await (await blob.beginCopyFromURL(old.url)).pollUntilDone();
      expect(await text(blob.downloadToBuffer())).to.equal('one');
      expect(await versions('dir/')).to.have.length(3);
      const containers: string[] = [];
      for await (const { name } of service('stversions', accountKey).listContainers()) containers.push(name);
      expect(containers).to.deep.equal(['data']);
    });

    it('makes a version of changed metadata, none of a refused write, and deletes one only by its id', async () => {
      const blob = data.getBlockBlobClient('meta');
      const first = await blob.upload('x', 1);
      const { versionId } = await blob.setMetadata({ a: 'b' });
      expect(await outcome(blob.upload('y', 1, { conditions: { ifMatch: first.etag! } }))).to.equal(
        '412 ConditionNotMet',
      );
      expect(await versions('meta')).to.deep.equal([`meta ${first.versionId}`, `meta current ${versionId}`]);
      expect(await outcome(blob.withVersion(versionId!).delete())).to.equal('403 OperationNotAllowedOnRootBlob');
      await blob.withVersion(first.versionId!).delete();
      expect(await outcome(blob.withVersion(first.versionId!).getProperties())).to.match(/^404/);
      expect(await versions('meta')).to.deep.equal([`meta current ${versionId}`]);
    });

    it('pages and groups a list of versions', async () => {
      for (const name of ['p/1', 'p/2', 'p/q/1', 'p/q/2']) {
        for (const body of ['1', '2']) await data.getBlockBlobClient(name).upload(body, 1);
      }
      const pages = [];
      for await (const page of data.listBlobsFlat({ includeVersions: true, prefix: 'p/' }).byPage({ maxPageSize: 3 }))
        pages.push(page.segment.blobItems.length);
      expect(pages).to.deep.equal([3, 3, 2]);
      const kinds: string[] = [];
      for await (const item of data.listBlobsByHierarchy('/', { includeVersions: true, prefix: 'p/' }))
        kinds.push(item.name);
      expect(kinds.sort()).to.deep.equal(['p/1', 'p/1', 'p/2', 'p/2', 'p/q/']);
    });

    it('keeps every version of writers that meet', async () => {
      const blob = data.getBlockBlobClient('writers');
      await Promise.all(Array.from({ length: 10 }, (_, n) => blob.upload(String(n), 1)));
      expect(await versions('writers')).to.have.length(10);
    });
  });

  describe('immutability', () => {
    it('refuses to change or delete a blob within its retention, and to delete its container', async () => {
      const backups = service('stlocked', accountKey).getContainerClient('backups');
      const blob = backups.getBlockBlobClient('base.tar');
      await blob.upload('first', 5);
      expect(await outcome(blob.upload('other', 5))).to.equal('409 BlobImmutableDueToPolicy');
      expect(await outcome(blob.setMetadata({ a: 'b' }))).to.equal('409 BlobImmutableDueToPolicy');
      expect(await outcome(blob.delete())).to.equal('409 BlobImmutableDueToPolicy');
      expect(await outcome(backups.delete())).to.equal('409 ContainerProtectedFromDeletion');
      expect(await text(blob.downloadToBuffer())).to.equal('first');
      const batch = service('stlocked', accountKey).getBlobBatchClient();
      expect(await outcome(batch.deleteBlobs([blob]))).to.match(/^501/);
    });

    it('lets append blobs grow where the policy says so', async () => {
      const journal = service('stlocked', accountKey).getContainerClient('journal');
      const log = journal.getAppendBlobClient('run.log');
      await log.create();
      await log.appendBlock('a', 1);
      expect(await outcome(log.delete())).to.equal('409 BlobImmutableDueToPolicy');
      const backups = service('stlocked', accountKey).getContainerClient('backups').getAppendBlobClient('run.log');
      await backups.create();
      expect(await outcome(backups.appendBlock('a', 1))).to.equal('409 BlobImmutableDueToPolicy');
    });

    it('of versions lets a document be worked on, and keeps each version', async () => {
      const documents = service('stdocuments', accountKey).getContainerClient('documents');
      const blob = documents.getBlockBlobClient('consent.pdf');
      const { versionId } = await blob.upload('first', 5);
      await blob.upload('other', 5);
      await blob.delete();
      const first = blob.withVersion(versionId!);
      expect(await outcome(first.delete())).to.equal('409 BlobImmutableDueToPolicy');
      expect(await text(first.downloadToBuffer())).to.equal('first');
      expect(await outcome(documents.delete())).to.equal('409 ContainerProtectedFromDeletion');
    });

    it('ends with the last day of the retention', () => {
      const created = '2026-01-01T00:00:00Z';
      expect(isRetained(created, 35, Date.parse('2026-02-04T23:59:59Z'))).to.equal(true);
      expect(isRetained(created, 35, Date.parse('2026-02-05T00:00:00Z'))).to.equal(false);
    });
  });

  describe('tokens', () => {
    const contributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe';
    const reader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1';
    let key: CryptoKey;
    const token = (oid: string, audience = 'https://storage.azure.com') =>
      new SignJWT({ oid, appid: oid })
        .setProtectedHeader({ alg: 'RS256', kid: '1' })
        .setIssuer('https://login')
        .setAudience(audience)
        .setExpirationTime('1h')
        .sign(key);
    const as = async (oid: string, audience?: string) => {
      const value = await token(oid, audience);
      const credential = {
        getToken: () => Promise.resolve({ token: value, expiresOnTimestamp: Date.now() + 3_600_000 }),
      };
      const tlsOptions = { ca: fs.readFileSync(world.authority.authorityFile) };
      const options = { retryOptions: { maxTries: 1 }, tlsOptions } as StoragePipelineOptions;
      const url = `https://${outside.blob}:${ports.https}/sttokens`;
      return new BlobServiceClient(url, credential, options).getContainerClient('data').getBlockBlobClient('t');
    };

    before(async () => {
      const pair = await generateKeyPair('RS256', { extractable: true });
      key = pair.privateKey;
      const assignment = (principalId: string, role: string, scope: string) => ({
        id: principalId,
        principalId,
        roleDefinitionId: `/x/${role}`,
        scope,
      });
      write(path.join(folders.azure, 'authorization.json'), {
        issuer: 'https://login',
        jwks: { keys: [{ ...(await exportJWK(pair.publicKey)), kid: '1', alg: 'RS256' }] },
        principals: {},
        assignments: [
          assignment('writer', contributor, accountId('sttokens')),
          assignment('reader', reader, `${accountId('sttokens')}/blobServices/default/containers/data`),
          assignment('other', contributor, accountId('stversions')),
        ],
      });
    });

    it('are the only way in where shared keys are off, and do what their roles allow', async () => {
      const keyed = service('sttokens', accountKey).getContainerClient('data').getBlockBlobClient('t');
      expect(await outcome(keyed.upload('x', 1))).to.equal('403 KeyBasedAuthenticationNotPermitted');
      const url = await keyed.generateSasUrl({
        permissions: BlobSASPermissions.parse('r'),
        expiresOn: new Date(Date.now() + 60_000),
      });
      expect((await fetch(url)).headers.get('x-ms-error-code')).to.equal('KeyBasedAuthenticationNotPermitted');
      expect(await outcome((await as('writer')).upload('x', 1))).to.equal('done');
      expect(await text((await as('reader')).downloadToBuffer())).to.equal('x');
      expect(await outcome((await as('reader')).upload('y', 1))).to.equal('403 AuthorizationPermissionMismatch');
      expect(await outcome((await as('other')).downloadToBuffer())).to.match(/^403/);
      expect(await outcome((await as('writer', 'https://management.azure.com')).upload('y', 1))).to.equal(
        '401 InvalidAuthenticationInfo',
      );
    });
  });

  describe('the world around it', () => {
    it('leaves requests to a silent region without an answer, and answers all others', async () => {
      const file = path.join(folders.run, 'silence.json');
      write(file, { prod: 'site', intg: 'none' });
      const prod = service('stprod', accountKey).getContainerClient('data');
      const abortSignal = AbortSignal.timeout(400);
      const hung = await prod.getProperties({ abortSignal }).then(
        () => 'answered',
        (cause: Error) => cause.name,
      );
      expect(hung).to.equal('AbortError');
      expect(await outcome(state().getProperties())).to.equal('done');
      fs.rmSync(file);
      expect(await outcome(prod.getProperties())).to.equal('done');
    });

    it('follows the accounts of the ARM service', async () => {
      const added = account('stadded', { containers: { data: container('stadded', 'data') } });
      arm({ ...accounts, stadded: added });
      const data = service('stadded', accountKey).getContainerClient('data');
      expect(await outcome(data.getBlockBlobClient('x').upload('x', 1))).to.equal('done');
      arm({ ...accounts, stadded: { ...added, containers: {} } });
      expect(await outcome(data.getBlockBlobClient('x').upload('x', 1))).to.equal('404 ContainerNotFound');
      arm(accounts);
      expect(await outcome(data.getBlockBlobClient('x').upload('x', 1))).to.match(/^404/);
    });

    it('has every acknowledged write after a kill', async () => {
      const data = service('stversions', accountKey).getContainerClient('data');
      const blob = data.getBlockBlobClient('killed');
      const { versionId } = await blob.upload('before', 6);
      await blob.upload('after', 5);
      await state().getBlockBlobClient('killed').upload('kept', 4);
      await world.stop('SIGKILL');
      await world.start();
      expect(await text(state().getBlockBlobClient('killed').downloadToBuffer())).to.equal('kept');
      expect(await text(blob.downloadToBuffer())).to.equal('after');
      expect(await text(blob.withVersion(versionId!).downloadToBuffer())).to.equal('before');
    });
  });
});
