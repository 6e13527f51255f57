/** One round of probes from outside: names, TLS and HTTP of every host both ways, the database's port, the resolvers themselves. */
import { Resolver } from 'node:dns/promises';
import * as https from 'node:https';
import { setMaxListeners } from 'node:events';
import * as net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { hostNames, sites, type Hosts, type Site } from '../../config/fields';
import type { Outcome, Probe, Round, Target } from '../../failover/watch';
import { within } from '../../failover/within';

export interface Places {
  readonly hosts: Hosts;
  readonly realm: string;
  readonly ingress: Readonly<Record<Site, string>>;
  /** Database in use, and the site that it is at. */
  readonly database: { readonly host: string; readonly port: number; readonly site: Site };
  readonly resolvers: readonly string[];
}

/** Seconds are what an outage is told by: a probe that has no answer by then has failed. */
const probeMs = 2_000;
const resolveMs = 1_000;
/** For so long a name that no resolver tells is asked where it last was. */
const rememberMs = 60_000;
const unable = 500;
/** A watcher that is kept waiting for so long can't tell who is slow. */
const strainMs = 500;

export class Prober {
  private readonly known = new Map<string, { readonly address: string; readonly at: number }>();
  private readonly delay = monitorEventLoopDelay({ resolution: 20 });
  private turn = 0;

  constructor(private readonly places: Places) {
    this.delay.enable();
  }

  /** The longest that this process was kept waiting since the last time. */
  private strained(): boolean {
    const longest = this.delay.max / 1e6;
    this.delay.reset();
    return longest > strainMs;
  }

  /** Ends within 2 s, whatever is silent. */
  async round(signal: AbortSignal): Promise<Round> {
    const at = Date.now();
    const { hosts, resolvers, database } = this.places;
    const limit = within(probeMs, signal);
    setMaxListeners(0, limit);
    const turn = this.turn++;
    const told = new Map<string, boolean>();
    const names = hostNames.map((name, index) => {
      const resolver = resolvers[(turn + index) % resolvers.length] ?? '';
      return this.resolve(hosts[name], resolver, told);
    });
    const everyHost = hostNames.map((name, index) => [name, names[index] as Promise<string>] as const);
    const probes = await Promise.all([
      ...everyHost.map(([name, address]) =>
        this.web({ id: `public ${hosts[name]}`, way: 'public' }, name, address, limit),
      ),
      ...sites.flatMap((site) =>
        everyHost.map(([name]) => {
          const target: Target = { id: `direct ${site} ${hosts[name]}`, way: 'direct', site };
          return this.web(target, name, Promise.resolve(this.places.ingress[site]), limit);
        }),
      ),
      this.postgres({ id: `database ${database.host}`, way: 'database', site: database.site }, turn, told, limit),
    ]);
    return { at, probes: [...probes, ...resolversIn(resolvers, told)], strained: this.strained() };
  }

  /** An answer that there is no address is an answer; silence is helped out from what was known a moment ago. */
  private async resolve(host: string, server: string, told: Map<string, boolean>): Promise<string> {
    const resolver = new Resolver({ timeout: resolveMs, tries: 1 });
    resolver.setServers([server]);
    // The resolver's own patience grows on a busy machine.
    const timer = setTimeout(() => resolver.cancel(), resolveMs);
    try {
      const [address] = await resolver.resolve4(host);
      told.set(server, true);
      if (address === undefined) throw new Error(`${host} has no address`);
      this.known.set(host, { address, at: Date.now() });
      return address;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOTFOUND' || code === 'ENODATA') {
        told.set(server, true);
        throw new Error(`${host} has no address`, { cause });
      }
      if (!told.has(server)) told.set(server, false);
      const last = this.known.get(host);
      if (last && Date.now() - last.at < rememberMs) return last.address;
      throw new Error(`resolver ${server} does not answer`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  private web(target: Target, name: keyof Hosts, address: Promise<string>, limit: AbortSignal): Promise<Probe> {
    const path = name === 'idp' ? `/realms/${this.places.realm}/.well-known/openid-configuration` : '/';
    return timed(target, async () => {
      const where = await address;
      const status = await statusOf(this.places.hosts[name], where, path, target.way === 'public', limit);
      return status < unable ? { outcome: 'served' } : { outcome: 'answered', why: `status ${status}` };
    });
  }

  private postgres(target: Target, turn: number, told: Map<string, boolean>, limit: AbortSignal): Promise<Probe> {
    const { database, resolvers } = this.places;
    return timed(target, async () => {
      const address = await this.resolve(database.host, resolvers[turn % resolvers.length] ?? '', told);
      await greetPostgres(address, database.port, limit);
      return { outcome: 'served' };
    });
  }
}

const resolversIn = (resolvers: readonly string[], told: ReadonlyMap<string, boolean>): Probe[] =>
  resolvers
    .filter((server) => told.has(server))
    .map((server) => ({
      target: { id: `resolver ${server}`, way: 'resolver' },
      outcome: told.get(server) ? 'served' : 'silent',
      milliseconds: 0,
    }));

async function timed(
  target: Target,
  act: () => Promise<{ readonly outcome: Outcome; readonly why?: string }>,
): Promise<Probe> {
  const began = performance.now();
  const milliseconds = () => Math.round(performance.now() - began);
  try {
    return { target, ...(await act()), milliseconds: milliseconds() };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ABORT_ERR' ? `no answer within ${probeMs / 1000} s` : (code ?? message);
    return { target, outcome: 'silent', why, milliseconds: milliseconds() };
  }
}

/**
 * @param publicly - the certificate must be one that everybody trusts; at an ingress it is signed for the edge alone.
 * @returns the status, as soon as the head of the answer is there.
 */
function statusOf(
  host: string,
  address: string,
  path: string,
  publicly: boolean,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = https.get({
      ...{ host: address, port: 443, path, servername: host, signal, agent: false },
      headers: { host, 'user-agent': 'standby-watch' },
      rejectUnauthorized: publicly,
    });
    request.on('error', reject).on('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
  });
}

/** Length 8, then the number that asks for TLS: any server answers with one letter, and no login is tried. */
const askForTls = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

function greetPostgres(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port });
    const stop = () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ABORT_ERR' }));
    signal.addEventListener('abort', stop, { once: true });
    socket.on('close', () => signal.removeEventListener('abort', stop));
    socket.on('error', reject).on('end', () => reject(new Error('closed without an answer')));
    socket.once('data', () => {
      resolve();
      socket.destroy();
    });
    socket.write(askForTls);
  });
}
