/** The cloud's metadata document, and the instance metadata service that gives managed identities their tokens. */
import { headerOf, type Answer, type Request } from './http';
import type { Store } from './store';
import { armEndpoint, audienceOf, loginEndpoint, tenantId, tokenSeconds, type Tokens } from './tokens';

const bad = (status: number, error: string, text: string): Answer => ({
  status,
  body: { error, error_description: text },
});

/** `/metadata/endpoints`: where the cloud's services are. */
export function endpoints(request: Request): Answer {
  if (!request.query.get('api-version'))
    return bad(400, 'MissingApiVersionParameter', 'The api-version query parameter is required.');
  const cloud = {
    portal: armEndpoint,
    name: 'AzureStandbySandbox',
    authentication: {
      loginEndpoint,
      audiences: [armEndpoint, 'https://management.core.windows.net/', 'https://management.azure.com/'],
      tenant: tenantId(),
      identityProvider: 'AAD',
    },
    resourceManager: armEndpoint,
    graph: 'https://graph.windows.net/',
    microsoftGraphResourceId: 'https://graph.microsoft.com/',
    graphAudience: 'https://graph.windows.net/',
    suffixes: {
      storage: 'core.windows.net',
      keyVaultDns: 'vault.azure.net',
      sqlServerHostname: 'database.windows.net',
      postgresqlServerEndpoint: 'postgres.database.azure.com',
      acrLoginServer: 'azurecr.io',
    },
  };
  // Before 2022-09-01 the document is a list of clouds; from then on it is this one alone.
  return { status: 200, body: (request.query.get('api-version') as string) < '2022-09-01' ? [cloud] : cloud };
}

/**
 * `/metadata/identity/oauth2/token`: a token for a user-assigned identity, named by client_id, object_id or msi_res_id. On Azure
 * only machines that have the identity reach this address; here every process of the sandbox does.
 */
export async function identityToken(store: Store, tokens: Tokens, request: Request): Promise<Answer> {
  if (headerOf(request, 'metadata')?.toLowerCase() !== 'true') {
    return bad(400, 'invalid_request', 'Required metadata header not specified');
  }
  const { query } = request;
  const resource = query.get('resource') ?? '';
  const audience = audienceOf(resource);
  if (!audience)
    return bad(
      400,
      'invalid_resource',
      `AADSTS500011: The resource principal named ${resource} was not found in the tenant.`,
    );
  const asked = [
    ['clientId', query.get('client_id')],
    ['principalId', query.get('object_id') ?? query.get('principal_id')],
    ['id', query.get('msi_res_id') ?? query.get('mi_res_id')],
  ].find(([, value]) => value) as [string, string] | undefined;
  const identity = store
    .list('Microsoft.ManagedIdentity/userAssignedIdentities')
    .find(
      ({ id, properties }) =>
        asked && String({ ...properties, id }[asked[0] as 'id']).toLowerCase() === asked[1].toLowerCase(),
    );
  if (!identity) return bad(400, 'invalid_request', 'Identity not found');
  const clientId = identity.properties['clientId'] as string;
  const principal = { objectId: identity.properties['principalId'] as string, clientId };
  return {
    status: 200,
    body: {
      access_token: await tokens.mint(principal, audience),
      client_id: clientId,
      expires_in: String(tokenSeconds),
      expires_on: String(Math.floor(Date.now() / 1000) + tokenSeconds),
      ext_expires_in: String(tokenSeconds),
      not_before: String(Math.floor(Date.now() / 1000) - 300),
      resource,
      token_type: 'Bearer',
    },
  };
}

export async function metadata(store: Store, tokens: Tokens, request: Request): Promise<Answer> {
  if (request.method === 'GET' && request.path === '/metadata/endpoints') return endpoints(request);
  if (request.method === 'GET' && request.path === '/metadata/identity/oauth2/token')
    return identityToken(store, tokens, request);
  return bad(404, 'NotFound', `There is nothing at ${request.method} ${request.path}.`);
}
