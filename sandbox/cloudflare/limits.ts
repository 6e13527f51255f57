/** The vendor's rate limit, and the faults that a tester asks for. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';
import { Fault } from './fault';

const positive = (name: string, fallback: number) => {
  const value = Number(process.env[name] ?? fallback);
  if (!(value > 0)) throw new Error(`${name} is "${process.env[name]}"; allowed is a number over 0`);
  return value;
};

/** The vendor counts per user, over all tokens: 1,200 requests in five minutes, then nothing for five minutes. */
export class RateLimit {
  private readonly requests = positive('STANDBY_CLOUDFLARE_RATE_REQUESTS', 1200);
  private readonly windowMs = positive('STANDBY_CLOUDFLARE_RATE_SECONDS', 300) * 1000;
  private began = 0;
  private count = 0;
  private blockedUntil = 0;

  /** @throws Fault 429 with Retry-After (seconds). */
  take(now = Date.now()): void {
    if (now < this.blockedUntil) throw this.fault(now);
    if (now - this.began >= this.windowMs) {
      this.began = now;
      this.count = 0;
    }
    this.count += 1;
    if (this.count <= this.requests) return;
    this.blockedUntil = now + this.windowMs;
    this.began = 0;
    throw this.fault(now);
  }

  private fault(now: number): Fault {
    const message =
      `More than ${this.requests} requests per ${this.windowMs / 1000} seconds reached. ` +
      'Please wait and consider throttling your request speed';
    const seconds = Math.max(1, Math.ceil((this.blockedUntil - now) / 1000));
    return new Fault(429, { code: 10100, message }, { 'retry-after': String(seconds) });
  }
}

/** `folders.cloudflare/chaos.json`; a changed file starts the counts anew. */
export interface ChaosOrder {
  /** Added to each answer, ms. */
  readonly latencyMs?: number;
  /** The next `count` requests fail without effect. */
  readonly fail?: { readonly status: 429 | 500; readonly count: number };
  /** The next `count` changing requests take effect, but their connection is cut instead of an answer. */
  readonly lose?: { readonly count: number };
}

export const chaosFile = path.join(folders.cloudflare, 'chaos.json');

export class Chaos {
  private stamp = '';
  private order: ChaosOrder = {};
  private failed = 0;
  private lost = 0;

  get latencyMs(): number {
    this.read();
    return this.order.latencyMs ?? 0;
  }

  /** @throws Fault while there are failures left. */
  fail(): void {
    this.read();
    const { status, count } = this.order.fail ?? { status: 500, count: 0 };
    if (this.failed >= count) return;
    this.failed += 1;
    throw status === 429
      ? new Fault(
          429,
          { code: 971, message: 'Please wait and consider throttling your request speed' },
          { 'retry-after': '1' },
        )
      : new Fault(500, { code: 10001, message: 'Internal server error' });
  }

  /** @returns whether the answer to this changing request is to be lost. */
  loses(): boolean {
    if (this.lost >= (this.order.lose?.count ?? 0)) return false;
    this.lost += 1;
    return true;
  }

  private read(): void {
    const stat = fs.statSync(chaosFile, { throwIfNoEntry: false });
    const stamp = stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : '';
    if (stamp === this.stamp) return;
    try {
      this.order = stamp ? (JSON.parse(fs.readFileSync(chaosFile, 'utf8')) as ChaosOrder) : {};
    } catch {
      return; // half-written: the next request reads it
    }
    this.stamp = stamp;
    this.failed = this.lost = 0;
  }
}
