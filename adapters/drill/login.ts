/** Logins at the copied identity provider: one that the copy brought along, and one of a new user, as a browser does it. */
import { createPublicKey, randomBytes, verify, type JsonWebKey } from 'node:crypto';
import type { DrillOutput } from '../../config/drill';
import { failed, passed, type Check } from '../../failover/drill';
import type { Answer } from '../http';
import { ask, Cookies } from './front';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const jsonOf = <T>({ text }: Answer): T => JSON.parse(text) as T;

export interface Administrator {
  readonly name: string;
  readonly password: string;
}

/**
 * The administrator of production, whom only the copy can know, logs in; then a user made for this goes the whole way: form, code,
 * token signed with a key that the provider shows. Both end with the copy.
 */
export async function checkLogin(
  drill: DrillOutput,
  administrator: Administrator,
  signal: AbortSignal,
): Promise<Check[]> {
  const copied = 'login of a copied account';
  const full = 'login as a user does it';
  let token: string;
  try {
    token = await administratorToken(drill, administrator, signal);
  } catch (cause) {
    return [failed(copied, (cause as Error).message), failed(full, 'no user could be made for it')];
  }
  const first = passed(copied, `${administrator.name}, at ${drill.identity.fqdn}`);
  try {
    const user = { name: `drill-${drill.number}`, password: randomBytes(18).toString('base64url') };
    await makeUser(drill, token, user, signal);
    return [first, passed(full, await codeFlow(drill, user, signal))];
  } catch (cause) {
    return [first, failed(full, (cause as Error).message)];
  }
}

async function administratorToken(drill: DrillOutput, { name, password }: Administrator, signal: AbortSignal) {
  const url = `https://${drill.identity.fqdn}/realms/master/protocol/openid-connect/token`;
  const body = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', username: name, password });
  const answer = await ask(url, { method: 'POST', headers: form, body: body.toString() }, signal);
  if (answer.status !== 200) throw new Error(`${name} is refused with status ${answer.status}`);
  return jsonOf<{ access_token: string }>(answer).access_token;
}

async function makeUser(drill: DrillOutput, token: string, user: Administrator, signal: AbortSignal): Promise<void> {
  const url = `https://${drill.identity.fqdn}/admin/realms/${drill.identity.realm}/users`;
  const body = JSON.stringify({
    username: user.name,
    email: `${user.name}@invalid.invalid`,
    emailVerified: true,
    firstName: 'Drill',
    lastName: 'Drill',
    enabled: true,
    credentials: [{ type: 'password', value: user.password, temporary: false }],
  });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const { status } = await ask(url, { method: 'POST', headers, body }, signal);
  if (status !== 201) throw new Error(`the user of the drill is not made: status ${status}`);
}

/** Authorization code flow of the application `id`, without the application: its own part is checked by its readiness. */
async function codeFlow(drill: DrillOutput, user: Administrator, signal: AbortSignal): Promise<string> {
  const cookies = new Cookies();
  const issuer = `https://${drill.hosts.idp}/realms/${drill.identity.realm}`;
  const callback = `https://${drill.hosts.id}/drill`;
  const state = randomBytes(12).toString('base64url');
  const query = new URLSearchParams({
    ...{ client_id: 'id', redirect_uri: callback, response_type: 'code', scope: 'openid', state, nonce: state },
  });
  const send = async (url: string, body?: string) => {
    const headers = { cookie: cookies.header, ...(body === undefined ? {} : form) };
    const question = body === undefined ? { headers } : { method: 'POST' as const, headers, body };
    const answer = await ask(url, question, signal, drill.ingressAddress);
    cookies.store(answer);
    return answer;
  };
  const page = await send(`${issuer}/protocol/openid-connect/auth?${query.toString()}`);
  const action = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1]?.replaceAll('&amp;', '&');
  if (!action) throw new Error(`no login form (status ${page.status})`);
  const filled = new URLSearchParams({ username: user.name, password: user.password, credentialId: '' });
  const { status, headers } = await send(action, filled.toString());
  const back = URL.canParse(headers.location ?? '') ? new URL(headers.location ?? '') : undefined;
  const code = back?.searchParams.get('code');
  if (!back?.href.startsWith(callback) || !code) throw new Error(`the login is refused (status ${status})`);
  const redeemed = new URLSearchParams({
    ...{
      grant_type: 'authorization_code',
      client_id: 'id',
      client_secret: drill.clients.id,
      code,
      redirect_uri: callback,
    },
  });
  const tokens = await send(`${issuer}/protocol/openid-connect/token`, redeemed.toString());
  if (tokens.status !== 200) throw new Error(`the code is refused (status ${tokens.status})`);
  const keys = await send(`${issuer}/protocol/openid-connect/certs`);
  const { keys: shown } = jsonOf<{ keys: readonly Key[] }>(keys);
  return checkToken(jsonOf<{ id_token: string }>(tokens).id_token, issuer, state, shown);
}

type Key = JsonWebKey & { readonly kid: string };

function checkToken(token: string, issuer: string, nonce: string, keys: readonly Key[]): string {
  const [head = '', claims = '', signature = ''] = token.split('.');
  const read = (part: string) =>
    JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Readonly<Record<string, string>>;
  const said = read(claims);
  if (said['iss'] !== issuer) throw new Error(`the token's issuer is ${said['iss']}; expected is ${issuer}`);
  if (said['nonce'] !== nonce) throw new Error('the token answers another question');
  const key = keys.find(({ kid }) => kid === read(head)['kid']);
  if (!key) throw new Error(`the token's key ${read(head)['kid']} is not shown`);
  const proof = Buffer.from(signature, 'base64url');
  if (!verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), createPublicKey({ key, format: 'jwk' }), proof)) {
    throw new Error(`the token is not signed with key ${key.kid}`);
  }
  return `form, code and token of ${issuer}`;
}
