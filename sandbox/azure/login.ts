/** The login service: client credentials (secret or a federated token) of the tenant's principals, versions 1 and 2. */
import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { randomUUID, timingSafeEqual } from 'node:crypto';
import type { Principal } from './access';
import { headerOf, type Answer, type Request } from './http';
import { keysOf, published } from './issuer';
import type { Store } from './store';
import { audienceOf, deployer, loginEndpoint, tenantId, tokenSeconds, type Tokens } from './tokens';

/** An answer of the login service that is no token: `{"error", "error_description", "error_codes"}`. */
function refusal(status: number, error: string, code: number, text: string): Answer {
  const trace = { trace_id: randomUUID(), correlation_id: randomUUID() };
  const timestamp = new Date().toISOString();
  const description = `AADSTS${code}: ${text} Trace ID: ${trace.trace_id} Timestamp: ${timestamp}`;
  return { status, body: { error, error_description: description, error_codes: [code], timestamp, ...trace } };
}

function discovery(version: '' | '/v2.0', issuer: string): Answer {
  const base = `${loginEndpoint}/${tenantId()}`;
  return {
    status: 200,
    body: {
      token_endpoint: `${base}/oauth2${version}/token`,
      token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic', 'private_key_jwt'],
      authorization_endpoint: `${base}/oauth2${version}/authorize`,
      jwks_uri: `${base}/discovery${version}/keys`,
      issuer: version ? `${base}/v2.0` : issuer,
      response_types_supported: ['code', 'id_token', 'token'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      tenant_region_scope: 'EU',
      cloud_instance_name: new URL(loginEndpoint).host,
    },
  };
}

const sameSecret = (one: string, other: string) => {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
};

function formOf(request: Request): URLSearchParams {
  const form = new URLSearchParams(request.body.toString('utf8'));
  const basic = /^Basic (\S+)$/i.exec(headerOf(request, 'authorization') ?? '')?.[1];
  if (basic) {
    const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString('utf8').split(':').map(decodeURIComponent);
    form.set('client_id', id);
    form.set('client_secret', secret);
  }
  return form;
}

const credentialType = 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials';

async function remoteKeys(issuer: string): Promise<JWTVerifyGetKey> {
  const found = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(5_000),
  });
  const { jwks_uri: keys } = (await found.json()) as { jwks_uri: string };
  return createRemoteJWKSet(new URL(keys), { timeoutDuration: 5_000 });
}

/** Workload identity: a token of an issuer that a federated identity credential trusts, for its subject and audience. */
async function federated(store: Store, clientId: string, assertion: string): Promise<Principal | undefined> {
  const claims = decodeJwt(assertion);
  const matching = store.list(credentialType).find(({ id, properties }) => {
    const identity = store.get(id.slice(0, id.toLowerCase().indexOf('/federatedidentitycredentials/')));
    const { issuer, subject } = properties;
    return identity?.properties['clientId'] === clientId && issuer === claims.iss && subject === claims.sub;
  });
  if (!matching) return undefined;
  const issuer = matching.properties['issuer'] as string;
  const own = await keysOf(issuer);
  await jwtVerify(assertion, own ? createLocalJWKSet(own) : await remoteKeys(issuer), {
    issuer,
    audience: matching.properties['audiences'] as string[],
  });
  const identity = store.get(matching.id.slice(0, matching.id.toLowerCase().indexOf('/federatedidentitycredentials/')));
  return { objectId: identity?.properties['principalId'] as string, clientId };
}

async function principalOf(store: Store, form: URLSearchParams): Promise<Principal | Answer> {
  const clientId = form.get('client_id') ?? '';
  const known = deployer();
  const assertion = form.get('client_assertion');
  if (assertion) {
    try {
      const principal = await federated(store, clientId, assertion);
      if (principal) return principal;
    } catch (cause) {
      return refusal(401, 'invalid_client', 700027, `The client assertion is not valid: ${(cause as Error).message}.`);
    }
    return refusal(
      401,
      'invalid_client',
      70021,
      'No matching federated identity record found for presented assertion.',
    );
  }
  if (clientId !== known.clientId) {
    return refusal(
      400,
      'unauthorized_client',
      700016,
      `Application with identifier '${clientId}' was not found in the directory '${tenantId()}'.`,
    );
  }
  const secret = form.get('client_secret');
  if (!secret)
    return refusal(
      401,
      'invalid_client',
      7000218,
      "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    );
  if (!sameSecret(secret, known.secret)) {
    return refusal(401, 'invalid_client', 7000215, `Invalid client secret provided for the app '${clientId}'.`);
  }
  return { objectId: known.objectId, clientId };
}

async function token(store: Store, tokens: Tokens, request: Request, version: 1 | 2): Promise<Answer> {
  const form = formOf(request);
  const grant = form.get('grant_type');
  if (grant !== 'client_credentials') {
    return refusal(
      400,
      'unsupported_grant_type',
      70003,
      `The app requested an unsupported grant type '${grant}'; allowed: client_credentials.`,
    );
  }
  const asked = form.get(version === 1 ? 'resource' : 'scope') ?? '';
  if (version === 2 && !asked.endsWith('/.default')) {
    return refusal(
      400,
      'invalid_scope',
      1002012,
      `The provided value for scope ${asked} is not valid. It must be a resource with the suffix /.default.`,
    );
  }
  const audience = audienceOf(asked);
  if (!audience) {
    return refusal(
      400,
      'invalid_resource',
      500011,
      `The resource principal named ${asked} was not found in the tenant '${tenantId()}'.`,
    );
  }
  const principal = await principalOf(store, form);
  if ('status' in principal) return principal;
  const accessToken = await tokens.mint(principal, audience);
  const expiry =
    version === 1 ? { expires_on: String(Math.floor(Date.now() / 1000) + tokenSeconds), resource: asked } : {};
  return {
    status: 200,
    body: {
      token_type: 'Bearer',
      expires_in: tokenSeconds,
      ext_expires_in: tokenSeconds,
      ...expiry,
      access_token: accessToken,
    },
  };
}

/** Serves `/{tenant}/…`; only the tenant of the sandbox exists. Beside it, what the clusters' issuers publish. */
export async function login(store: Store, tokens: Tokens, request: Request): Promise<Answer> {
  const ofIssuer = await published(request.method, request.path);
  if (ofIssuer) return ofIssuer;
  const [, tenant = '', ...rest] = request.path.split('/');
  const what = `${request.method} ${rest.join('/').toLowerCase()}`;
  if (tenant.toLowerCase() !== tenantId().toLowerCase()) {
    return refusal(
      400,
      'invalid_tenant',
      90002,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`,
    );
  }
  switch (what) {
    case 'GET .well-known/openid-configuration':
      return discovery('', tokens.issuer);
    case 'GET v2.0/.well-known/openid-configuration':
      return discovery('/v2.0', tokens.issuer);
    case 'GET discovery/keys':
    case 'GET discovery/v2.0/keys':
      return { status: 200, body: tokens.jwks };
    case 'POST oauth2/token':
      return token(store, tokens, request, 1);
    case 'POST oauth2/v2.0/token':
      return token(store, tokens, request, 2);
    default:
      return refusal(404, 'invalid_request', 900144, `There is nothing at ${request.method} ${request.path}.`);
  }
}
