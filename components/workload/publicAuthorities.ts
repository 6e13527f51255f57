import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';

/**
 * The roots that certificates of Azure's own host names lead to, by the vendor's list ("Azure Certificate Authority details"). Named
 * one by one, so that what is applied does not change with the version of Node.js that an update is run with.
 */
const names = [
  'DigiCert Global Root G2',
  'DigiCert Global Root G3',
  'DigiCert TLS ECC P384 Root G5',
  'DigiCert TLS RSA4096 Root G5',
  'Microsoft ECC Root Certificate Authority 2017',
  'Microsoft RSA Root Certificate Authority 2017',
];

const commonName = (pem: string) => /^CN=(.*)$/m.exec(new X509Certificate(pem).subject)?.[1] ?? '';

/** @returns their certificates as PEM, of those that Node.js brings along. */
export const publicAuthorities = (): string =>
  rootCertificates
    .map((pem) => ({ pem, name: commonName(pem) }))
    .filter(({ name }) => names.includes(name))
    .sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
    .map(({ pem }) => `${pem}\n`)
    .join('');
