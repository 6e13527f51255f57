/** What a browser carries for us: JSON in a cookie, signed, with an end. Nothing is kept on the server, so any site can read it. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export class SignedCookie<T extends object> {
  /** @param name `__Host-` in front makes browsers keep it to this host, over TLS. */
  constructor(
    private readonly name: string,
    private readonly secret: string,
    private readonly lifeSeconds: number,
  ) {}

  /** @returns a Set-Cookie header. */
  write(value: T, now = Date.now()): string {
    const content = { ...value, exp: Math.floor(now / 1000) + this.lifeSeconds };
    const payload = Buffer.from(JSON.stringify(content)).toString('base64url');
    return this.cookie(`${payload}.${this.sign(payload)}`, this.lifeSeconds);
  }

  clear(): string {
    return this.cookie('', 0);
  }

  /** @returns undefined for a cookie that is missing, altered or over. */
  read(header: string | undefined, now = Date.now()): T | undefined {
    const pairs = (header ?? '').split(';').map((one) => one.trim());
    const found = pairs.find((one) => one.startsWith(`${this.name}=`))?.slice(this.name.length + 1);
    const [payload = '', signature = ''] = (found ?? '').split('.');
    const expected = Buffer.from(this.sign(payload));
    const given = Buffer.from(signature);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    const content = JSON.parse(Buffer.from(payload, 'base64url').toString()) as T & { exp: number };
    return content.exp * 1000 > now ? content : undefined;
  }

  private sign(payload: string): string {
    // The name is signed as well: one kind of cookie can't be passed off as another.
    return createHmac('sha256', this.secret).update(`${this.name}=${payload}`).digest('base64url');
  }

  private cookie(value: string, seconds: number): string {
    return `${this.name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Lax`;
  }
}
