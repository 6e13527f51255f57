/**
 * Who may do what, for every part that honours Azure's role assignments. The ARM service writes
 * `folders.azure/authorization.json`; other parts (the blob layer) import `authenticate` and `may` and read that file at each call.
 *
 *     {"issuer": "https://sts…/", "jwks": {"keys": [<public JWK>]},
 *      "principals": {"<object id>": {"clientId": "…", "name": "id-moodtalk-backup", "type": "ServicePrincipal"}},
 *      "assignments": [{"id": "…", "scope": "/subscriptions/…", "principalId": "…", "roleDefinitionId": "…"}]}
 */
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';
import { roles, type Role } from './roles';

export interface Principal {
  /** The object id: what a role assignment names. */
  readonly objectId: string;
  readonly clientId: string;
}

export interface AuthorizationState {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  readonly principals: Readonly<
    Record<string, { readonly clientId: string; readonly name: string; readonly type: string }>
  >;
  readonly assignments: readonly {
    readonly id: string;
    readonly scope: string;
    readonly principalId: string;
    readonly roleDefinitionId: string;
  }[];
}

export const authorizationFile = path.join(folders.azure, 'authorization.json');

let cached: { readonly stamp: string; readonly state: AuthorizationState } | undefined;

/** Read from disk when it has changed. @throws Error when the ARM service has never run in this world */
export function authorizationState(): AuthorizationState {
  const stat = fs.statSync(authorizationFile);
  const stamp = `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
  if (cached?.stamp !== stamp) {
    cached = { stamp, state: JSON.parse(fs.readFileSync(authorizationFile, 'utf8')) as AuthorizationState };
  }
  return cached.state;
}

/** Audiences of the tokens for blobs; a token for ARM is refused there, and the other way round. */
export const storageAudiences = ['https://storage.azure.com', 'https://storage.azure.com/'];

export type Verdict =
  | { readonly principal: Principal }
  | { readonly failure: 'missing' | 'invalid' | 'expired' | 'audience'; readonly detail: string };

/** Checks signature, issuer, audience and time of a bearer token, and says what is wrong with it. */
export async function verify(
  header: string | undefined,
  audiences: readonly string[],
  state: AuthorizationState = authorizationState(),
): Promise<Verdict> {
  const token = /^Bearer (\S+)$/i.exec(header ?? '')?.[1];
  if (!token) return { failure: 'missing', detail: 'no bearer token' };
  try {
    const options = { issuer: state.issuer, audience: [...audiences], algorithms: ['RS256'] };
    const keys = createLocalJWKSet(state.jwks);
    const { payload } = await jwtVerify<JWTPayload & { oid: string; appid: string }>(token, keys, options);
    return { principal: { objectId: payload.oid, clientId: payload.appid } };
  } catch (cause) {
    if (cause instanceof errors.JWTExpired) {
      return { failure: 'expired', detail: new Date((cause.payload.exp ?? 0) * 1000).toISOString() };
    }
    const audience = cause instanceof errors.JWTClaimValidationFailed && cause.claim === 'aud';
    return { failure: audience ? 'audience' : 'invalid', detail: (cause as Error).message };
  }
}

/** As `verify`. @returns undefined when the token is missing, bad, expired or for somebody else */
export async function authenticate(
  header: string | undefined,
  audiences: readonly string[],
  state: AuthorizationState = authorizationState(),
): Promise<Principal | undefined> {
  const verdict = await verify(header, audiences, state);
  return 'principal' in verdict ? verdict.principal : undefined;
}

/** `Microsoft.Storage/…/read` with stars: a star stands for anything, casing does not matter. */
function matches(pattern: string, action: string): boolean {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`, 'i').test(action);
}

const grants = (allow: readonly string[], deny: readonly string[], action: string) =>
  allow.some((pattern) => matches(pattern, action)) && !deny.some((pattern) => matches(pattern, action));

const covers = (scope: string, resource: string) => {
  const [outer, inner] = [scope.toLowerCase().replace(/\/+$/, ''), resource.toLowerCase()];
  return inner === outer || inner.startsWith(outer + '/');
};

/**
 * @param objectId of the principal
 * @param action `Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write`
 * @param resource id the action is done on: `/subscriptions/…/containers/backups`
 * @param plane `data` for what is in the resource (blobs), `control` for the resource
 */
export function may(
  objectId: string,
  action: string,
  resource: string,
  plane: 'control' | 'data',
  state: AuthorizationState = authorizationState(),
): boolean {
  return state.assignments
    .filter((assignment) => assignment.principalId.toLowerCase() === objectId.toLowerCase())
    .filter((assignment) => covers(assignment.scope, resource))
    .map((assignment) => roles.get(assignment.roleDefinitionId.split('/').at(-1)?.toLowerCase() ?? ''))
    .filter((role): role is Role => role !== undefined)
    .some((role) =>
      plane === 'control'
        ? grants(role.actions, role.notActions, action)
        : grants(role.dataActions, role.notDataActions, action),
    );
}
