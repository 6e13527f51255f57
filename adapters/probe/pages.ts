/** One page of each public host, and who says that it answered. */
import { hostNames, type HostName } from '../../config/fields';
import type { AdapterContext } from '../context';
import { exchange, type Answer } from '../http';
import type { Reach } from './login';

/** Asked of applications: the path that their readiness is asked at. Of the identity provider: its discovery document. */
const pathOf = (name: HostName, realm: string): string =>
  name === 'idp' ? `/realms/${realm}/.well-known/openid-configuration` : '/readyz';

/** What an application says of itself in its answer's headers, where it does. */
export interface Speaker {
  readonly site?: string;
  readonly release?: string;
  readonly epoch?: string;
}

export interface Page {
  readonly host: string;
  readonly name: HostName;
  readonly status: number;
  readonly speaker: Speaker;
}

export interface PublicHost {
  readonly name: HostName;
  readonly host: string;
}

export function publicHosts({ configuration }: Pick<AdapterContext, 'configuration'>): readonly PublicHost[] {
  const { hosts } = configuration();
  return hostNames.map((name) => ({ name, host: hosts[name] }));
}

/** @throws Error that says why there is no answer. */
export async function askPage(
  context: Pick<AdapterContext, 'landscape'>,
  { name, host }: PublicHost,
  reach: Reach,
): Promise<Page> {
  const { realm } = context.landscape.sites.prod.identity;
  const { status, headers } = await exchange(`https://${host}${pathOf(name, realm)}`, reach);
  return { host, name, status, speaker: speakerOf(headers) };
}

function speakerOf(headers: Answer['headers']): Speaker {
  const said = (name: keyof Speaker) => {
    const value = headers[`x-${name}`];
    return typeof value === 'string' ? { [name]: value } : {};
  };
  return { ...said('site'), ...said('release'), ...said('epoch') };
}

/** @returns what is wrong with a page; nothing when it is as expected. What a page does not say is not held against it. */
export function faultOf({ host, status, speaker }: Page, expected: Speaker): string | undefined {
  if (status !== 200) return `${host} answers ${status}`;
  const wrong = (Object.keys(expected) as (keyof Speaker)[]).find(
    (key) => speaker[key] !== undefined && speaker[key] !== expected[key],
  );
  return wrong ? `${host} answers from ${wrong} ${speaker[wrong]}, not ${expected[wrong]}` : undefined;
}
