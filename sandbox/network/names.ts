/** Names to addresses, as a stub resolver does it: one given server, A records over UDP (TCP when cut short), honoured TTL. */
import { Resolver } from 'node:dns/promises';
import * as net from 'node:net';

/** A stub resolver's patience: this long for one try, so many tries. */
const tryMs = 2_000;
const tries = 2;
const dnsPort = 5353;

export interface Answer {
  readonly addresses: readonly string[];
  /** Milliseconds for which the answer may be kept: the shortest of its records. */
  readonly ttlMs: number;
}

/** As `getaddrinfo` reports it: ENOTFOUND for a name without an address, EAI_AGAIN for a resolver that does not answer. */
export class NameError extends Error {
  override readonly name = 'NameError';
  readonly syscall = 'getaddrinfo';

  constructor(
    readonly code: 'ENOTFOUND' | 'EAI_AGAIN',
    readonly hostname: string,
    server: string,
  ) {
    super(`getaddrinfo ${code} ${hostname} (resolver ${server})`);
  }
}

const noSuchName = new Set(['ENOTFOUND', 'ENODATA']);

async function ask(name: string, server: string, from?: string): Promise<Answer> {
  // c-ares may wait longer than it is told when the machine is busy; the timer keeps to the time.
  const resolver = new Resolver({ timeout: tryMs, tries: 1 });
  resolver.setServers([server.includes(':') ? server : `${server}:${dnsPort}`]);
  if (from) resolver.setLocalAddress(from);
  const timer = setTimeout(() => resolver.cancel(), tryMs);
  try {
    const records = await resolver.resolve4(name, { ttl: true });
    const ttl = Math.min(...records.map((record) => record.ttl));
    return { addresses: records.map((record) => record.address), ttlMs: ttl * 1000 };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param server address of the resolver, with `:port` where it is not the sandbox's DNS port.
 * @param from source address of the question. @default - the machine's choice
 * @throws NameError
 */
export async function query(name: string, server: string, from?: string): Promise<Answer> {
  for (let left = tries; ; left -= 1) {
    try {
      return await ask(name, server, from);
    } catch (cause) {
      if (noSuchName.has((cause as NodeJS.ErrnoException).code ?? '')) throw new NameError('ENOTFOUND', name, server);
      if (left <= 1) throw new NameError('EAI_AGAIN', name, server);
    }
  }
}

/** @returns the IPv4 addresses of a name at this moment; an address is its own answer. @throws NameError */
export async function resolve(name: string, server: string, from?: string): Promise<readonly string[]> {
  return net.isIPv4(name) ? [name] : (await query(name, server, from)).addresses;
}

/** A resolver with a memory: an answer is kept for its TTL, and questions that are under way are shared. */
export class Names {
  private readonly kept = new Map<string, { readonly answer: Promise<Answer>; until: number }>();

  constructor(
    private readonly server: string,
    private readonly from?: string,
  ) {}

  /** @throws NameError */
  async resolve(name: string): Promise<readonly string[]> {
    const known = this.kept.get(name);
    if (known && known.until > Date.now()) return (await known.answer).addresses;
    const entry = { answer: query(name, this.server, this.from), until: Infinity };
    this.kept.set(name, entry);
    try {
      const answer = await entry.answer;
      entry.until = Date.now() + answer.ttlMs;
      return answer.addresses;
    } catch (cause) {
      if (this.kept.get(name) === entry) this.kept.delete(name);
      throw cause;
    }
  }
}
