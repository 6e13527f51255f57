/** The least OpenID provider that a strict client accepts: one user, who is logged in already. */
import { createHash, randomUUID } from 'node:crypto';
import * as https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';

interface Grant {
  readonly nonce: string;
  readonly challenge: string;
  readonly redirectUri: string;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export class IdentityProvider {
  readonly issuer: string;
  private readonly grants = new Map<string, Grant>();
  private server: https.Server | undefined;
  private keys: { readonly privateKey: CryptoKey; readonly jwk: JWK } | undefined;

  constructor(
    host: string,
    private readonly client: { readonly id: string; readonly secret: string },
  ) {
    this.issuer = `https://${host}/realms/moodtalk`;
  }

  async listen(address: string, certificate: { readonly cert: string; readonly key: string }): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    this.keys = { privateKey, jwk: { ...(await exportJWK(publicKey)), alg: 'RS256', use: 'sig', kid: 'one' } };
    const server = https.createServer(certificate, (request, response) => void this.answer(request, response));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(8443, address, resolve));
  }

  async close(): Promise<void> {
    const { server } = this;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    this.server = undefined;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    const send = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const path = url.pathname.replace('/realms/moodtalk', '');
    if (path === '/.well-known/openid-configuration') send(200, this.metadata());
    else if (path === '/jwks') send(200, { keys: [this.keys?.jwk] });
    else if (path === '/authorize') response.writeHead(302, { location: this.authorize(url.searchParams) }).end();
    else send(...(await this.token(request)));
  }

  private metadata() {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      jwks_uri: `${this.issuer}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      code_challenge_methods_supported: ['S256'],
    };
  }

  private authorize(query: URLSearchParams): string {
    const text = (name: string) => query.get(name) ?? '';
    const code = randomUUID();
    const grant = { nonce: text('nonce'), challenge: text('code_challenge'), redirectUri: text('redirect_uri') };
    this.grants.set(code, grant);
    return `${grant.redirectUri}?${new URLSearchParams({ code, state: text('state') }).toString()}`;
  }

  private async token(request: IncomingMessage): Promise<[number, object]> {
    const form = new URLSearchParams(await textOf(request));
    const basic = Buffer.from(`${this.client.id}:${this.client.secret}`).toString('base64');
    const authentic =
      form.get('client_secret') === this.client.secret || request.headers.authorization === `Basic ${basic}`;
    const grant = this.grants.get(form.get('code') ?? '');
    this.grants.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (!authentic) return [401, { error: 'invalid_client' }];
    if (grant?.challenge !== challenge || grant.redirectUri !== form.get('redirect_uri')) {
      return [400, { error: 'invalid_grant' }];
    }
    const claims = {
      nonce: grant.nonce,
      preferred_username: 'loris',
      name: 'Loris <i>N.</i>',
      email: 'loris@moodtalk.ch',
    };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuer(this.issuer)
      .setAudience(this.client.id)
      .setSubject('user-1')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(this.keys?.privateKey as CryptoKey);
    return [200, { access_token: 'opaque', token_type: 'Bearer', expires_in: 300, id_token: token }];
  }
}
