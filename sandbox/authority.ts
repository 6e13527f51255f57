/** The sandbox's certificate authority: every TLS name in it is signed by this one, and clients trust nothing else. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { webcrypto } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from './world';

x509.cryptoProvider.set(webcrypto as never);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

/** PEM file that clients trust (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, `sslrootcert`). */
export const authorityFile = path.join(folders.authority, 'ca.pem');
const authorityKeyFile = path.join(folders.authority, 'ca.key');

export interface Certificate {
  /** PEM, leaf first, then the authority. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

const pem = async (key: webcrypto.CryptoKey) =>
  x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n';
const serial = () =>
  Buffer.from(webcrypto.getRandomValues(new Uint8Array(15)))
    .toString('hex')
    .replace(/^[89a-f]/, '1');
const generate = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/** Creates the authority once for a run; later calls find it. */
export async function createAuthority(): Promise<void> {
  if (fs.existsSync(authorityFile)) return;
  fs.mkdirSync(folders.authority, { recursive: true });
  const keys = await generate();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=Standby sandbox authority',
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 365 * dayMs),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  fs.writeFileSync(authorityKeyFile, await pem(keys.privateKey), { mode: 0o600 });
  fs.writeFileSync(authorityFile, cert.toString('pem') + '\n');
}

/** Issues a server certificate. `names` are DNS names (wildcards allowed) or IPv4 addresses; the first one is the subject. */
export async function issue(names: readonly [string, ...string[]]): Promise<Certificate> {
  const authority = new x509.X509Certificate(fs.readFileSync(authorityFile, 'utf8'));
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(fs.readFileSync(authorityKeyFile, 'utf8')),
    algorithm,
    false,
    ['sign'],
  );
  const keys = await generate();
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${names[0].slice(0, 64)}`,
    issuer: authority.subject,
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 90 * dayMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey as never,
    signingKey: signingKey as never,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  return { cert: cert.toString('pem') + '\n' + authority.toString('pem') + '\n', key: await pem(keys.privateKey) };
}
