/** The vendor's rate limit, and the faults that a tester asks for. */
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

/** What the vendor answers when a tester asks for a fault. */
export const orderedFault = (status: number, retryAfter = 1): Fault =>
  status === 429
    ? new Fault(
        429,
        { code: 971, message: 'Please wait and consider throttling your request speed' },
        { 'retry-after': String(retryAfter) },
      )
    : new Fault(status, { code: 10001, message: 'Internal server error' });
