import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import { webcrypto } from 'node:crypto';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AdapterContext } from '../../adapters/context';
import { readFront } from '../../adapters/observe/observer';
import { hostNames, type HostName } from '../../config/fields';

/** Signed by nobody, as an origin's may be. */
async function certificate() {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned(
    { name: 'CN=ingress', signingAlgorithm: algorithm, keys },
    webcrypto,
  );
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: cert.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') };
}

describe('adapters: the ingress of a site', () => {
  /** What it does with each host; a connection is cut off for 0. */
  let answers: (name: HostName) => number;
  let server: https.Server;
  let front: () => Promise<Record<string, number>>;

  before(async () => {
    server = https.createServer(await certificate(), ({ headers, socket }, response) => {
      const status = answers((headers.host ?? '').split('.')[0] as HostName);
      if (status === 0) socket.destroy();
      else response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const hosts = Object.fromEntries(hostNames.map((name) => [name, `${name}.moodtalk.ch:${port}`]));
    const site = { network: { ingressAddress: '127.0.0.1' }, identity: { realm: 'moodtalk' } };
    const context = { configuration: () => ({ hosts }), landscape: { sites: { prod: site, intg: site } } };
    front = async () => {
      const seen = await readFront(context as unknown as AdapterContext, 'prod', new AbortController().signal, 10_000);
      return Object.fromEntries(hostNames.map((name) => [name, seen[hosts[name]!]!]));
    };
  });
  after(() => server.close());

  it('is read host by host, those that do not answer with them', async () => {
    answers = (name) => (name === 'api' ? 200 : name === 'idp' ? 503 : 0);
    expect(await front()).to.deep.equal({
      ...Object.fromEntries(hostNames.map((name) => [name, 0])),
      ...{ api: 200, idp: 503 },
    });
  });

  it('is unknown when no host is answered for', async () => {
    answers = () => 0;
    const fault = await front().catch((cause: Error) => cause);
    expect(fault).to.be.an.instanceOf(Error).with.property('message', 'ECONNRESET');
  });
});
