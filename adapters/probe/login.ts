/**
 * Whether people can log in, without anybody logging in: the provider must show its login form for an application's client, look
 * up a user whom nobody ever had (that is a question to its database), and know the client's secret.
 */
import { randomUUID } from 'node:crypto';
import type { IdentityReading } from '../../failover/model';
import { exchange, type Answer, type Question } from '../http';

/** How the provider is reached: what differs is the address and whose certificate is good enough. */
export type Reach = Pick<Question, 'signal' | 'withinMs' | 'at' | 'anyCertificate'>;

export interface Provider {
  /** `https://host/realms/realm` as it is reached. */
  readonly base: string;
  /** As the public names it. */
  readonly issuer: string;
}

export interface Client {
  readonly id: string;
  readonly secret: string;
  readonly redirect: string;
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** @throws Error that says what it answered. */
export async function readIdentity({ base }: Pick<Provider, 'base'>, reach: Reach): Promise<IdentityReading> {
  const [discovery, certificates] = await Promise.all([
    exchange(`${base}/.well-known/openid-configuration`, reach),
    exchange(`${base}/protocol/openid-connect/certs`, reach),
  ]);
  const { issuer } = json<{ issuer?: string }>(discovery);
  const { keys } = json<{ keys?: readonly { readonly kid: string; readonly use?: string }[] }>(certificates);
  if (!issuer || !keys?.length) throw new Error('it shows no issuer or no keys');
  return { issuer, keys: keys.filter(({ use }) => use !== 'enc').map(({ kid }) => kid) };
}

/** @throws Error that says which answer was not as it should be. */
export async function checkLogin(provider: Provider, client: Client, reach: Reach): Promise<IdentityReading> {
  const reading = await readIdentity(provider, reach);
  if (reading.issuer !== provider.issuer) throw new Error(`its issuer is ${reading.issuer}, not ${provider.issuer}`);
  await Promise.all([checkForm(provider, client, reach), checkClient(provider, client, reach)]);
  return reading;
}

async function checkForm({ base, issuer }: Provider, client: Client, reach: Reach): Promise<void> {
  const query = new URLSearchParams({
    ...{ client_id: client.id, redirect_uri: client.redirect, response_type: 'code', scope: 'openid' },
    ...{ state: randomUUID(), nonce: randomUUID() },
  });
  const page = await exchange(`${base}/protocol/openid-connect/auth?${query.toString()}`, reach);
  const action = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1]?.replaceAll('&amp;', '&');
  if (page.status !== 200 || !action) throw new Error(`no login form (status ${page.status})`);
  // The form names the public host, wherever it was shown.
  const target = new URL(action, issuer);
  const cookie = (page.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ');
  const body = new URLSearchParams({ username: `nobody-${randomUUID()}`, password: randomUUID() }).toString();
  const answer = await exchange(new URL(target.pathname + target.search, base), {
    ...reach,
    ...{ method: 'POST', headers: { ...form, cookie }, body },
  });
  const again = answer.status === 200 && /<form[^>]*action=/.test(answer.text);
  if (!again) throw new Error(`a login of a user whom it can't know ended with status ${answer.status}`);
}

/** A code that nobody gave, with the right secret: the provider must find fault with the code alone. */
async function checkClient({ base }: Provider, client: Client, reach: Reach): Promise<void> {
  const body = new URLSearchParams({
    ...{ grant_type: 'authorization_code', client_id: client.id, client_secret: client.secret },
    ...{ code: randomUUID(), redirect_uri: client.redirect },
  }).toString();
  const answer = await exchange(`${base}/protocol/openid-connect/token`, {
    ...reach,
    method: 'POST',
    headers: form,
    body,
  });
  const { error } = JSON.parse(answer.text || '{}') as { error?: string };
  if (error !== 'invalid_grant')
    throw new Error(`client ${client.id} is answered ${answer.status} ${error ?? ''}`.trim());
}

function json<T>({ status, text }: Answer): T {
  if (status !== 200) throw new Error(`status ${status}`);
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Error('its answer is no JSON');
  }
}
