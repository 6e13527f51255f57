/** The Cloudflare part in a world of its own, and the vendor's client for it. */
import Cloudflare from 'cloudflare';
import * as fs from 'node:fs';
import * as https from 'node:https';
import { TestWorld } from './part';

export const firstToken = 'first-token-of-this-world-0123456789abcd';
export const accountId = '0123456789abcdef0123456789abcdef';

export class CloudflareWorld extends TestWorld {
  private readonly agents: https.Agent[] = [];

  constructor(number: number) {
    super('cloudflare', number, { CLOUDFLARE_API_TOKEN: firstToken, CLOUDFLARE_ACCOUNT_ID: accountId });
  }

  get baseUrl(): string {
    return `https://${this.world.outside.cloudflareApi}:${this.world.ports.https}/client/v4`;
  }

  agent(options: https.AgentOptions = {}): https.Agent {
    const agent = new https.Agent({ keepAlive: true, ca: fs.readFileSync(this.authority.authorityFile), ...options });
    this.agents.push(agent);
    return agent;
  }

  client(apiToken: string = firstToken): Cloudflare {
    return new Cloudflare({ apiToken, baseURL: this.baseUrl, httpAgent: this.agent(), maxRetries: 0 });
  }

  async zoneId(): Promise<string> {
    return (await this.client().zones.list({ name: 'moodtalk.ch' })).result[0]?.id ?? '';
  }

  override async remove(): Promise<void> {
    for (const agent of this.agents) agent.destroy();
    await super.remove();
  }
}

/** @returns `status code` of the refusal (`400 81057`), or `done`. */
export const outcome = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: { status?: number; errors?: { code: number }[]; message: string }) =>
      cause.status === undefined
        ? cause.message
        : [cause.status, ...(cause.errors ?? []).map(({ code }) => code)].join(' '),
  );
