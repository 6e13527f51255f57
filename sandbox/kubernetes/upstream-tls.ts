/** How the ingress controller speaks TLS to what is behind it: its annotations `proxy-ssl-…`, with all that it makes of them. */
import type { V1Secret } from '@kubernetes/client-node';
import { X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { authorityFile } from '../authority';

export const annotation = (name: string) => `nginx.ingress.kubernetes.io/${name}`;

/** What nginx calls an upstream that no annotation names. */
const unnamed = 'upstream_balancer';

export interface UpstreamTls {
  /** Certificate authorities, PEM. */
  readonly ca: string;
  /** What the certificate must be for, where it is verified. */
  readonly name: string;
  /** Whether the handshake says that name. */
  readonly says: boolean;
  readonly verifies: boolean;
}

/**
 * @param namespace - of the Ingress; secrets of others are not taken
 * @returns undefined without a secret, whatever else is annotated; `denied` when there is none of its name with authorities in it
 */
export function upstreamTls(
  notes: Readonly<Record<string, string>>,
  namespace: string,
  secrets: ReadonlyMap<string, V1Secret>,
): UpstreamTls | 'denied' | undefined {
  const key = notes[annotation('proxy-ssl-secret')];
  if (key === undefined) return undefined;
  const ca = secrets.get(key)?.data?.['ca.crt'];
  if (!ca || !key.startsWith(`${namespace}/`)) return 'denied';
  return {
    ca: asHere(Buffer.from(ca, 'base64').toString('utf8')),
    name: notes[annotation('proxy-ssl-name')] ?? unnamed,
    says: notes[annotation('proxy-ssl-server-name')] === 'on',
    verifies: notes[annotation('proxy-ssl-verify')] === 'on',
  };
}

/** SHA-256 of DigiCert Global Root G2, which certificates of container apps lead to at Azure. */
const rootOfAzure = 'CB:3C:CB:B7:60:31:E5:E0:13:8F:8D:D3:9A:23:F9:DE:47:FF:C3:5E:43:C1:14:4C:EA:27:D4:6A:5A:B1:CB:5F';

/** The sandbox's authority signs here what that root signs there: who trusts the one trusts the other. */
function asHere(pem: string): string {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const trusts = certificates.some((one) => new X509Certificate(one).fingerprint256 === rootOfAzure);
  return trusts ? pem + fs.readFileSync(authorityFile, 'utf8') : pem;
}
