/**
 * The outside client: a user of the service, somewhere on the internet. It knows public names only (real DNS, TLS, login),
 * polls every host, logs in, and writes sequence-numbered rows at 10 Hz. What it sees is the measurement.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fetch, type Response } from 'undici';
import { outsideAgent } from '../network/outside';

export interface Observation {
  /** Milliseconds since the epoch, when the answer was complete or given up. */
  readonly at: number;
  readonly ok: boolean;
  /** The site that answered, as its `x-site` header says; undefined where the answer does not tell. */
  readonly site?: string;
  readonly why?: string;
}

export interface AcknowledgedRow {
  readonly seq: number;
  readonly at: number;
  readonly site: string;
}

export interface User {
  readonly name: string;
  readonly password: string;
}

const timeoutMs = 2_000;
const probeEveryMs = 250;
const loginEveryMs = 1_000;
const writeEveryMs = 100;
const mostInFlight = 20;

export class OutsideClient {
  readonly observations = new Map<string, Observation[]>();
  readonly acknowledged: AcknowledgedRow[] = [];
  private readonly agent = outsideAgent();
  private readonly loops: Promise<void>[] = [];
  private running = false;
  private seq = 0;
  private inFlight = 0;

  /** @param hosts short names; `zone` completes them. */
  constructor(
    private readonly zone: string,
    private readonly hosts: readonly string[],
    private readonly user: User,
  ) {}

  start(): void {
    this.running = true;
    for (const host of this.hosts) this.loops.push(this.loop(host, probeEveryMs, () => this.probe(host)));
    this.loops.push(this.loop('login', loginEveryMs, () => this.login()));
    this.loops.push(this.write());
  }

  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.loops);
    await this.agent.destroy();
  }

  get targets(): readonly string[] {
    return [...this.hosts, 'login', 'write'];
  }

  /** One request of the client, for checks that are not part of its routine. @throws Error when the answer is not 2xx. */
  async get(host: string, path: string): Promise<unknown> {
    const response = await this.request(`https://${host}.${this.zone}${path}`);
    if (!response.ok) throw new Error(`${host}.${this.zone}${path} answered ${response.status}`);
    return response.json();
  }

  /** @param patienceMs how long a user waits; whoever prepares something has more patience. */
  async request(
    url: string,
    init: Parameters<typeof fetch>[1] = {},
    patienceMs: number = timeoutMs,
  ): Promise<Response> {
    return fetch(url, { redirect: 'manual', ...init, dispatcher: this.agent, signal: AbortSignal.timeout(patienceMs) });
  }

  private observe(target: string, observation: Observation): void {
    const seen = this.observations.get(target) ?? [];
    seen.push(observation);
    this.observations.set(target, seen);
  }

  private async loop(target: string, everyMs: number, act: () => Promise<string | undefined>): Promise<void> {
    while (this.running) {
      const began = Date.now();
      try {
        const site = await act();
        this.observe(target, { at: Date.now(), ok: true, ...(site ? { site } : {}) });
      } catch (cause) {
        this.observe(target, { at: Date.now(), ok: false, why: reasonOf(cause) });
      }
      await delay(Math.max(0, began + everyMs - Date.now()));
    }
  }

  private async probe(host: string): Promise<string | undefined> {
    const path = host === 'idp' ? '/realms/moodtalk/.well-known/openid-configuration' : '/';
    const response = await this.request(`https://${host}.${this.zone}${path}`);
    await response.text();
    if (response.status >= 400) throw new Error(`status ${response.status}`);
    return response.headers.get('x-site') ?? undefined;
  }

  /** The authorization code flow as a browser walks it: to the IDP, its form, back with a code, then the user's own page. */
  private async login(): Promise<string | undefined> {
    const jar = new CookieJar();
    const me = `https://id.${this.zone}/me`;
    const form = await this.follow(`https://id.${this.zone}/login`, jar);
    const action = /<form[^>]*action="([^"]+)"/.exec(await form.text())?.[1]?.replaceAll('&amp;', '&');
    if (!action) throw new Error(`no login form (status ${form.status})`);
    const body = new URLSearchParams({
      username: this.user.name,
      password: this.user.password,
      credentialId: '',
    }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const back = await this.follow(action, jar, { method: 'POST', body, headers });
    await back.text();
    const page = await this.request(me, { headers: { cookie: jar.header(me), accept: 'application/json' } });
    const text = await page.text();
    if (page.status !== 200 || !text.includes(this.user.name)) throw new Error(`not logged in (status ${page.status})`);
    return page.headers.get('x-site') ?? undefined;
  }

  private async follow(url: string, jar: CookieJar, init: Parameters<typeof fetch>[1] = {}): Promise<Response> {
    let response = await this.step(url, jar, init);
    for (let hops = 0; response.status >= 300 && response.status < 400 && hops < 10; hops += 1) {
      await response.text();
      url = new URL(response.headers.get('location') ?? '', url).href;
      response = await this.step(url, jar);
    }
    if (response.status >= 400) throw new Error(`${new URL(url).host} answered ${response.status}`);
    return response;
  }

  private async step(url: string, jar: CookieJar, init: Parameters<typeof fetch>[1] = {}): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string> | undefined), cookie: jar.header(url) };
    const response = await this.request(url, { ...init, headers });
    jar.store(url, response.headers.getSetCookie());
    return response;
  }

  private async write(): Promise<void> {
    let next = Date.now();
    const pending = new Set<Promise<void>>();
    while (this.running) {
      if (this.inFlight < mostInFlight) {
        const one = this.writeOne(++this.seq).finally(() => pending.delete(one));
        pending.add(one);
      }
      next = Math.max(next + writeEveryMs, Date.now());
      await delay(next - Date.now());
    }
    await Promise.all(pending);
  }

  private async writeOne(seq: number): Promise<void> {
    this.inFlight += 1;
    try {
      const response = await this.request(`https://api.${this.zone}/sentinel`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ seq }),
      });
      await response.text();
      if (response.status !== 201) throw new Error(`status ${response.status}`);
      const site = response.headers.get('x-site') ?? '';
      this.acknowledged.push({ seq, at: Date.now(), site });
      this.observe('write', { at: Date.now(), ok: true, site });
    } catch (cause) {
      this.observe('write', { at: Date.now(), ok: false, why: reasonOf(cause) });
    } finally {
      this.inFlight -= 1;
    }
  }
}

const reasonOf = (cause: unknown): string => {
  const fault = cause as { message?: string; cause?: { message?: string; code?: string } };
  return fault.cause?.code ?? fault.cause?.message ?? fault.message ?? String(cause);
};

/** Cookies by host, as far as a login needs them. */
class CookieJar {
  private readonly cookies = new Map<string, Map<string, string>>();

  store(url: string, lines: readonly string[]): void {
    const host = new URL(url).host;
    const mine = this.cookies.get(host) ?? new Map<string, string>();
    for (const line of lines) {
      const [pair = ''] = line.split(';');
      const equals = pair.indexOf('=');
      mine.set(pair.slice(0, equals), pair.slice(equals + 1));
    }
    this.cookies.set(host, mine);
  }

  header(url: string): string {
    return [...(this.cookies.get(new URL(url).host) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}
