/** Login by OpenID Connect: authorization code flow with PKCE, and the session that it begins. */
import * as oidc from 'openid-client';
import { Fault, json, page, redirect, wantsHtml, escapeHtml, type Handlers, type Request } from './http';
import { SignedCookie } from './session';
import type { LoginSettings } from './settings';

const patienceSeconds = 2;
const sessionSeconds = 8 * 3600;
const attemptSeconds = 600;

interface User {
  readonly sub: string;
  readonly username: string;
  readonly email?: string;
  readonly name?: string;
}

/** What must be the same when the browser comes back. */
interface Attempt {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export class Login {
  private readonly session: SignedCookie<User>;
  private readonly attempt: SignedCookie<Attempt>;

  constructor(private readonly settings: LoginSettings) {
    this.session = new SignedCookie('__Host-session', settings.sessionSecret, sessionSeconds);
    this.attempt = new SignedCookie('__Host-login', settings.sessionSecret, attemptSeconds);
  }

  readonly handlers: Handlers = {
    'GET /login': () => this.begin(),
    'GET /callback': (request) => this.complete(request),
    'GET /logout': () => redirect('/', { 'set-cookie': this.session.clear() }),
    'GET /me': (request) => this.me(request),
  };

  user(request: Request): User | undefined {
    return this.session.read(request.headers.cookie);
  }

  /**
   * Asks the provider who it is, anew each time: what was true of it before a failover need not be true after.
   * @throws Fault 503 when it does not answer in time.
   */
  async provider(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.settings;
    const options: oidc.DiscoveryRequestOptions = {
      timeout: patienceSeconds,
      [oidc.customFetch]: (url, init) => fetch(this.backchannel(url), init as RequestInit),
      ...(issuer.startsWith('http:') ? { execute: [oidc.allowInsecureRequests] } : {}),
    };
    try {
      return await oidc.discovery(new URL(issuer), clientId, clientSecret, undefined, options);
    } catch (cause) {
      const reason = (cause as { cause?: { code?: string } }).cause?.code ?? (cause as Error).message;
      throw new Fault(503, 'IdentityProviderUnavailable', `${issuer} can't be used: ${reason}`, { cause });
    }
  }

  private backchannel(url: string): URL {
    const { issuer, backchannel } = this.settings;
    const target = new URL(url);
    return target.origin === new URL(issuer).origin ? new URL(target.pathname + target.search, backchannel) : target;
  }

  private get callbackUrl(): string {
    return new URL('/callback', this.settings.publicUrl).href;
  }

  private async begin() {
    const provider = await this.provider();
    const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
    const location = oidc.buildAuthorizationUrl(provider, {
      redirect_uri: this.callbackUrl,
      scope: 'openid profile email',
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return redirect(location.href, { 'set-cookie': this.attempt.write({ state, nonce, verifier }) });
  }

  private async complete(request: Request) {
    const attempt = this.attempt.read(request.headers.cookie);
    if (!attempt)
      throw new Fault(400, 'LoginNotBegun', 'this login was not begun here or took too long; begin again at /login');
    const provider = await this.provider();
    const tokens = await this.exchange(provider, new URL(this.callbackUrl + request.url.search), attempt);
    const claims = tokens.claims();
    if (!claims) throw new Fault(502, 'NoIdentity', 'the identity provider sent no ID token');
    const text = (name: string) => (typeof claims[name] === 'string' ? claims[name] : undefined);
    const [email, name] = [text('email'), text('name')];
    const user: User = {
      sub: claims.sub,
      username: text('preferred_username') ?? claims.sub,
      ...(email ? { email } : {}),
      ...(name ? { name } : {}),
    };
    return redirect('/me', { 'set-cookie': [this.session.write(user), this.attempt.clear()] });
  }

  /** @throws Fault 401 when the provider or a check refuses, 503 when it does not answer. */
  private async exchange(provider: oidc.Configuration, url: URL, attempt: Attempt) {
    try {
      return await oidc.authorizationCodeGrant(provider, url, {
        pkceCodeVerifier: attempt.verifier,
        expectedState: attempt.state,
        expectedNonce: attempt.nonce,
      });
    } catch (cause) {
      const { error, code = '', message } = cause as { error?: string; code?: string; message: string };
      const refused = error !== undefined || /^OAUTH_/.test(code);
      if (refused) throw new Fault(401, 'LoginRefused', error ?? message, { cause });
      throw new Fault(503, 'IdentityProviderUnavailable', `no token from the identity provider: ${message}`, { cause });
    }
  }

  private me(request: Request) {
    const user = this.user(request);
    if (!user) throw new Fault(401, 'NotLoggedIn', 'nobody is logged in; go to /login');
    if (!wantsHtml(request)) return json(200, { ...user, preferred_username: user.username });
    return page(
      user.name ?? user.username,
      `<p>Logged in as ${escapeHtml(user.username)}. <a href="/logout">Log out</a></p>`,
    );
  }
}
