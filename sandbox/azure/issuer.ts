/**
 * Who signs the tokens of a cluster's service accounts. Its address is the vendor's, not the cluster's: a token is judged while the
 * cluster is gone. The key is the cluster's own (sandbox/kubernetes/kubebox/keys.go).
 */
import { exportJWK, type JSONWebKeySet, type JWK } from 'jose';
import { createHash, createPublicKey } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, outside, ports, sites, type Site } from '../world';
import type { Answer } from './http';

const keysPath = 'openid/v1/jwks';
const discoveryPath = '.well-known/openid-configuration';

export const issuerOf = (site: Site): string => `https://${outside.login}:${ports.https}/clusters/${site}/`;

/** The key id is the API server's own: the digest of the public key. */
async function keyOf(site: Site): Promise<JWK> {
  const file = path.join(folders.kubernetes(site), 'pki', 'service-accounts.key');
  const key = createPublicKey(await fs.promises.readFile(file, 'utf8'));
  const kid = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return { ...(await exportJWK(key)), kid, use: 'sig', alg: 'ES256' };
}

/** @returns the keys of a cluster's issuer; undefined when it is none of these. */
export async function keysOf(issuer: unknown): Promise<JSONWebKeySet | undefined> {
  const site = sites.find((one) => issuerOf(one) === issuer);
  return site && { keys: [await keyOf(site)] };
}

/** @returns what an issuer publishes at this path; undefined for any other path. */
export async function published(method: string, requestPath: string): Promise<Answer | undefined> {
  const [, word, name, ...rest] = requestPath.split('/');
  const site = sites.find((one) => one === name);
  if (method !== 'GET' || word !== 'clusters' || !site) return undefined;
  switch (rest.join('/')) {
    case discoveryPath:
      return {
        status: 200,
        body: {
          issuer: issuerOf(site),
          jwks_uri: `${issuerOf(site)}${keysPath}`,
          response_types_supported: ['id_token'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['ES256'],
        },
      };
    case keysPath:
      return { status: 200, body: await keysOf(issuerOf(site)) };
    default:
      return undefined;
  }
}
