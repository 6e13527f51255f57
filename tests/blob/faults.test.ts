import {
  BlobServiceClient,
  StorageSharedKeyCredential,
  type ContainerClient,
  type RestError,
  type StoragePipelineOptions,
} from '@azure/storage-blob';
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as path from 'node:path';
import { TestWorld } from '../cloudflare/part';

const stateKey = randomBytes(64).toString('base64');

/** @returns `status code` of the refusal, the network's own word where nobody answered, or `done`. */
const outcome = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: RestError) => [cause.statusCode, cause.code ?? cause.name].filter(Boolean).join(' '),
  );

describe('faults of the blob service', function () {
  this.timeout(20_000);
  const world = new TestWorld('blob', 227, { STANDBY_STATE_KEY: stateKey });
  const { outside, ports, folders, plan } = world.world;
  const once: StoragePipelineOptions = { retryOptions: { maxTries: 1 } };

  const order = (...rules: readonly object[]) =>
    fs.writeFileSync(path.join(folders.blob, 'chaos.json'), JSON.stringify({ rules }));

  const state = (options = once): ContainerClient =>
    new BlobServiceClient(
      `http://${outside.blob}:${ports.blob}/standbystate`,
      new StorageSharedKeyCredential('standbystate', stateKey),
      options,
    ).getContainerClient('state');

  /** The status that somebody at an address gets, or what the network does to them. */
  const from = (localAddress: string) =>
    new Promise<string>((resolve) => {
      const options = {
        host: outside.blob,
        port: ports.blob,
        localAddress,
        path: '/standbystate/state/x',
        agent: false,
      };
      http
        .get(options, (answer) => resolve(String(answer.resume().statusCode)))
        .on('error', (cause: NodeJS.ErrnoException) => resolve(cause.code ?? cause.message))
        .setTimeout(500, function (this: http.ClientRequest) {
          this.destroy(Object.assign(new Error('silent'), { code: 'silent' }));
        });
    });

  before(() => world.start());
  afterEach(() => order());
  after(() => world.remove());

  it('answers errors to as many requests as it is told, and no longer', async () => {
    order(
      { id: 'down', match: '^HEAD|^GET', times: 2, status: 503 },
      { id: 'broken', match: '^GET', times: 1, status: 500 },
    );
    const get = () => state().getBlobClient('absent').download();
    expect(await outcome(get())).to.equal('503 ServerBusy');
    expect(await outcome(get())).to.equal('503 ServerBusy');
    expect(await outcome(get())).to.equal('500 InternalError');
    expect(await outcome(get())).to.equal('404 BlobNotFound');
  });

  it('does what it is asked and cuts the answer off', async () => {
    const blob = state().getBlockBlobClient('half-done');
    order({ id: 'lost', match: '^PUT /standbystate/', times: 1, lost: true });
    expect(await outcome(blob.upload('x', 1))).to.equal('ECONNRESET');
    order();
    expect((await blob.downloadToBuffer()).toString()).to.equal('x');
  });

  it('is silent for one site, refuses another, and serves everybody else', async () => {
    const at = (site: 'prod' | 'intg') => plan[site].publicIp(0);
    const beginning = (address: string) => address.replace(/\d+$/, '');
    order(
      { id: 'silent', match: '/standbystate/', from: beginning(at('prod')), silent: true },
      { id: 'refused', match: '/standbystate/', from: beginning(at('intg')), refuse: true },
    );
    expect(await Promise.all([at('prod'), at('intg'), outside.client].map(from))).to.deep.equal([
      'silent',
      'ECONNRESET',
      '409',
    ]);
    order({ id: 'other account', match: '/stother/', silent: true });
    expect(await from(at('prod'))).to.equal('409');
  });

  it('takes its time', async () => {
    order({ id: 'slow', match: '.', times: 1, latencyMs: 300 });
    const began = Date.now();
    expect(await outcome(state().getProperties())).to.equal('done');
    expect(Date.now() - began).to.be.at.least(300);
  });
});
