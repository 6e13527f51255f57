/** The tenant's identities: the key that signs tokens, who may ask for one, and the state that `access.ts` checks against. */
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JSONWebKeySet, type JWK } from 'jose';
import { randomUUID } from 'node:crypto';
import * as path from 'node:path';
import { operator } from '../environment';
import { folders, outside, ports } from '../world';
import { authorizationFile, storageAudiences, type AuthorizationState, type Principal } from './access';
import { readJson, writeAtomically, type Store } from './store';

const environment = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; the supervisor of the sandbox gives it to every part`);
  return value;
};

export const tenantId = () => environment('ARM_TENANT_ID');
export const subscriptionId = () => environment('ARM_SUBSCRIPTION_ID');
/** The person or pipeline that deploys: Owner of the subscription. */
export const deployer = (): Principal & { readonly secret: string } => ({
  objectId: operator.principalId,
  clientId: environment('ARM_CLIENT_ID'),
  secret: environment('ARM_CLIENT_SECRET'),
});

export const armEndpoint = `https://${outside.arm}:${ports.https}`;
export const loginEndpoint = `https://${outside.login}:${ports.https}`;
const withSlash = (urls: readonly string[]) => urls.flatMap((url) => [url, url + '/']);
export const armAudiences = withSlash([
  'https://management.azure.com',
  'https://management.core.windows.net',
  armEndpoint,
]);
const audiences = new Set([
  ...armAudiences,
  ...storageAudiences,
  ...withSlash(['https://graph.microsoft.com', 'https://api.loganalytics.io']),
]);

export const tokenSeconds = 3_600;

/** @returns the audience a token is made for; undefined when the tenant knows no such resource. */
export function audienceOf(resourceOrScope: string): string | undefined {
  const resource = resourceOrScope.replace(/\/\.default$/, '');
  const account = /^https:\/\/[a-z0-9]{3,24}\.blob\.core\.windows\.net\/?$/.test(resource);
  return account ? 'https://storage.azure.com' : audiences.has(resource) ? resource : undefined;
}

interface KeyFile {
  readonly kid: string;
  readonly privateKey: JWK;
  readonly publicKey: JWK;
}

export interface Tokens {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  /** @returns a signed access token of `tokenSeconds` for the principal */
  mint(principal: Principal, audience: string, seconds?: number): Promise<string>;
}

/** Makes the key of the run once; a restart finds it, so that tokens stay good. */
export async function openTokens(): Promise<Tokens> {
  const file = path.join(folders.azure, 'signing-key.json');
  const known = readJson<KeyFile>(file) ?? (await newKey());
  writeAtomically(file, known, 0o600);
  const key = await importJWK(known.privateKey, 'RS256');
  const issuer = `https://sts.windows.net/${tenantId()}/`;
  return {
    issuer,
    jwks: { keys: [{ ...known.publicKey, kid: known.kid, use: 'sig', alg: 'RS256' }] },
    mint: (principal, audience, seconds = tokenSeconds) =>
      new SignJWT({ tid: tenantId(), oid: principal.objectId, appid: principal.clientId, idtyp: 'app', ver: '1.0' })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: known.kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(principal.objectId)
        .setIssuedAt()
        .setNotBefore('-5 minutes')
        .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
        .sign(key),
  };
}

async function newKey(): Promise<KeyFile> {
  const pair = await generateKeyPair('RS256', { extractable: true });
  return {
    kid: randomUUID(),
    privateKey: await exportJWK(pair.privateKey),
    publicKey: await exportJWK(pair.publicKey),
  };
}

const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';

/** Identities that resources bring: user-assigned ones, and those a resource has of its own. */
export function principalsOf(store: Store): AuthorizationState['principals'] {
  const { objectId, clientId } = deployer();
  const entries: [string, { clientId: string; name: string; type: string }][] = [
    [objectId, { clientId, name: 'deployer', type: 'ServicePrincipal' }],
  ];
  for (const resource of store.list()) {
    const source = resource.type === identityType ? resource.properties : resource.identity;
    const principalId = source?.['principalId'];
    if (typeof principalId !== 'string') continue;
    const client = typeof source?.['clientId'] === 'string' ? source['clientId'] : principalId;
    entries.push([principalId, { clientId: client, name: resource.name, type: 'ServicePrincipal' }]);
  }
  return Object.fromEntries(entries);
}

const assignmentType = 'Microsoft.Authorization/roleAssignments';

/** The deployer's own assignment is there from the start, as it is on a real subscription. */
export function assignDeployer(store: Store): void {
  const scope = `/subscriptions/${subscriptionId()}`;
  const name = '00000000-0000-4000-8000-0000000000d2';
  const id = `${scope}/providers/${assignmentType}/${name}`;
  const roleDefinitionId = `${scope}/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635`;
  const properties = { roleDefinitionId, principalId: deployer().objectId, principalType: 'ServicePrincipal', scope };
  if (!store.get(id)) store.put({ id, name, type: assignmentType, properties });
}

/** Writes what other parts check tokens and rights against. */
export function writeAuthorization(store: Store, tokens: Tokens): void {
  const state: AuthorizationState = {
    issuer: tokens.issuer,
    jwks: tokens.jwks,
    principals: principalsOf(store),
    assignments: store.list(assignmentType).map(({ id, properties }) => ({
      id,
      scope: properties['scope'] as string,
      principalId: properties['principalId'] as string,
      roleDefinitionId: properties['roleDefinitionId'] as string,
    })),
  };
  if (JSON.stringify(state) !== JSON.stringify(readJson(authorizationFile))) writeAtomically(authorizationFile, state);
}
