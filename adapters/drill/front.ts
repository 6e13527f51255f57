/** The drill's hosts, asked at INTG's ingress by name: no DNS has them. */
import { exchange, type Answer } from '../http';

export interface Question {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const patienceMs = 10_000;

/**
 * One request, redirects not followed.
 * @param at - address to connect to: an origin's certificate is signed for the edge alone, and is not asked for there.
 * @default - where the name of the URL leads, its certificate verified
 */
export async function ask(url: string, question: Question, signal: AbortSignal, at?: string): Promise<Answer> {
  try {
    return await exchange(url, { ...question, signal, withinMs: patienceMs, ...(at === undefined ? {} : { at }) });
  } catch (cause) {
    throw new Error(`${new URL(url).hostname}: ${(cause as Error).message}`, { cause });
  }
}

/** Cookies by host, as far as a login needs them. */
export class Cookies {
  private readonly jar = new Map<string, string>();

  store({ headers }: Answer): void {
    for (const line of headers['set-cookie'] ?? []) {
      const [pair = ''] = line.split(';');
      const equals = pair.indexOf('=');
      this.jar.set(pair.slice(0, equals), pair.slice(equals + 1));
    }
  }

  get header(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}
