/** A process of the engine in a world: ports that count their calls, and in which anything may happen at any of them. */
import { hostNames, sites, type Site } from '../../config/fields';
import { StandbyError } from '../../failover/errors';
import { readLines, toLine } from '../../failover/journal';
import type { AppReading, Observation, Reading, RunEvent, ServerReading } from '../../failover/model';
import type { Call, JournalEntry, Ports } from '../../failover/ports';
import { healthy, keptBackups } from './observations';
import { takenAfterMs, type Server, type World } from './world';

/** The process ends here: nothing that it does afterwards happens. */
export class Crash extends Error {}

export type Mishap =
  | { readonly kind: 'crash'; readonly when: 'before' | 'during' | 'after' }
  | { readonly kind: 'fault'; readonly retryable: boolean; readonly when: 'before' | 'after' }
  /** It says that it waits, and never answers until it is cut off. */
  | { readonly kind: 'hang' };

export interface Calling {
  readonly index: number;
  readonly name: string;
}

const readsOnly =
  /^(observer|lock|journal\.read|journal\.runs|databases\.(read|tryWrite|caughtUp)|names\.lookup|verifier|leases\.(read|agent)|workloads\.running|stacks\.previews)/;
export const changes = ({ name }: Calling): boolean => !readsOnly.test(name);

const silent = (what: string) => new StandbyError('Unreachable', `${what} does not answer`, { retryable: true });

export class Process {
  readonly calls: Calling[] = [];
  readonly events: RunEvent[] = [];
  readonly lockLost = new AbortController();
  private dead = false;

  constructor(
    private readonly world: World,
    private readonly mishapAt?: { readonly index: number; readonly mishap: Mishap },
    /** Told before each act, to change the world in the middle of a run. */
    private readonly before?: (calling: Calling) => void,
  ) {}

  readonly isDead = (): boolean => this.dead;
  /** It has ended, in whatever way: what it held is free. */
  end(): void {
    this.dead = true;
  }

  /** Every call of a port goes through here. */
  private async through<T>(name: string, call: Call | undefined, act: () => T, half?: () => void): Promise<T> {
    const calling = { index: this.calls.length, name };
    if (this.dead) throw new Crash('the process is dead');
    this.calls.push(calling);
    this.before?.(calling);
    const mishap = this.mishapAt?.index === calling.index ? this.mishapAt.mishap : undefined;
    await Promise.resolve();
    if (this.dead) throw new Crash('the process is dead');
    call?.signal.throwIfAborted();
    if (mishap?.kind === 'hang' && call) {
      call.progress(`${name} waits for somebody`);
      await new Promise((_resolve, reject) => {
        call.signal.addEventListener('abort', () => reject(call.signal.reason as Error), { once: true });
      });
    }
    const fault = () => {
      if (mishap?.kind === 'crash') {
        this.dead = true;
        throw new Crash(`${mishap.when} ${name}`);
      }
      if (mishap?.kind === 'fault') {
        throw new StandbyError('Shaken', `${name} failed`, { retryable: mishap.retryable });
      }
    };
    if (mishap?.kind !== 'hang' && mishap?.when === 'before') fault();
    if (mishap?.kind === 'crash' && mishap.when === 'during') {
      half?.();
      fault();
    }
    try {
      return act();
    } finally {
      this.world.check(name);
      if (mishap?.kind !== 'hang' && mishap?.when === 'after') fault();
    }
  }

  ports(): Ports {
    const { world } = this;
    return {
      observer: { observe: () => this.through('observer.observe', undefined, () => observe(world)) },
      ...this.controlPlane(),
      ...this.dataPlane(),
      journal: this.journal(),
      lock: {
        acquire: (run) =>
          this.through('lock.acquire', undefined, () => {
            if (world.holder && !world.holder.isDead()) {
              throw new StandbyError('RunInProgress', `run ${run} is in progress`);
            }
            world.holder = this;
            return {
              lost: this.lockLost.signal,
              release: async () => {
                if (!this.dead) world.holder = undefined;
              },
            };
          }),
      },
      announcer: {
        announce: (_plan, _facts, call) =>
          this.through('announcer.announce', call, () => void (world.announcements += 1)),
      },
      clock: {
        now: () => world.clock.now(),
        sleep: (ms, signal) =>
          this.dead ? Promise.reject(new Crash('the process is dead')) : world.clock.sleep(ms, signal),
      },
      emit: (event) => void this.events.push(event),
    };
  }

  private controlPlane(): Pick<Ports, 'stacks' | 'workloads' | 'names' | 'verifier'> {
    const { world } = this;
    const cluster = (site: Site) => {
      if (!world.reach[site].cluster) throw silent(`the cluster of ${site}`);
    };
    const served = (site: Site, server: string | undefined, epoch: number) => {
      const work = world.running[site];
      if (world.serves(site) && work?.epoch === epoch && (server ?? work.server) === work.server) return { site };
      throw new StandbyError('VerificationFailed', `${site} does not serve`);
    };
    return {
      stacks: {
        configure: (values, call) => this.through('stacks.configure', call, () => void (world.file = values)),
        update: (call) =>
          this.through(
            'stacks.update',
            call,
            () => {
              if (world.locked) throw new StandbyError('StackLocked', 'the stack is locked');
              return { changed: world.apply(world.file) };
            },
            () => (world.locked = true),
          ),
        previews: (call) =>
          this.through('stacks.previews', call, () => {
            const same = JSON.stringify(world.file) === JSON.stringify(world.applied);
            return { prod: [], intg: [], failover: same ? [] : ['switch'] };
          }),
        unlock: (call) => this.through('stacks.unlock', call, () => void (world.locked = false)),
      },
      workloads: {
        stop: (site, call) =>
          this.through('workloads.stop', call, () => {
            cluster(site);
            world.running[site] = undefined;
            return { stopped: 5 };
          }),
        running: (site, call) => this.through('workloads.running', call, () => (world.running[site] ? 5 : 0)),
        start: (site, _instances, call) =>
          this.through('workloads.start', call, () => {
            cluster(site);
            world.start(site);
          }),
      },
      names: {
        lookup: (call) => this.through('names.lookup', call, () => ({ zoneId: 'z' })),
        reroute: (to, found, call) =>
          this.through('names.reroute', call, () => {
            if (found['zoneId'] !== 'z') throw new StandbyError('NamesNotLookedUp', 'nothing was looked up');
            world.lead(to, 'public');
            return { changed: 6 };
          }),
        rerouteInternal: (to, server, call) =>
          this.through('names.rerouteInternal', call, () => {
            world.lead(to, 'internal', server);
            return { changed: 2 };
          }),
      },
      verifier: {
        inside: (to, server, epoch, call) => this.through('verifier.inside', call, () => served(to, server, epoch)),
        outside: (to, epoch, call) =>
          this.through('verifier.outside', call, () =>
            served(world.names.public === to ? to : 'prod', undefined, epoch),
          ),
      },
    };
  }

  private dataPlane(): Pick<Ports, 'databases' | 'leases'> {
    const { world } = this;
    const reached = (name: string): Server => {
      const server = world.server(name);
      if (!world.reach[server.site].servers) throw silent(name);
      return server;
    };
    return {
      databases: {
        read: (name, call) =>
          this.through('databases.read', call, () => (world.live(), readServer(world, reached(name)))),
        fence: (name, epoch, whole, call) =>
          this.through('databases.fence', call, () => {
            world.fence(reached(name), epoch, whole);
            return { cut: 10 };
          }),
        tryWrite: (name, epoch, call) =>
          this.through('databases.tryWrite', call, () => {
            const server = reached(name);
            const accepted = world.canWrite(server) && server.epochs.includes(epoch);
            return { accepted, answer: accepted ? 'INSERT 0 1' : 'role is not permitted to log in' };
          }),
        admit: (name, epoch, call) =>
          this.through('databases.admit', call, () => {
            const server = reached(name);
            if (server.token.epoch > epoch) throw new StandbyError('StaleEpoch', `${name} is in a later epoch`);
            if (server.role === 'replica') throw new StandbyError('NotAPrimary', `${name} is a replica`);
            world.admit(server, epoch);
          }),
        promote: (name, how, call) => this.through('databases.promote', call, () => world.promote(reached(name), how)),
        caughtUp: (name, position, call) =>
          this.through('databases.caughtUp', call, () => {
            world.live();
            if (reached(name).position < Number(position)) throw silent(`${name} at ${position}`);
            return { seconds: 0 };
          }),
        importBackups: (name, backups, call) =>
          this.through(
            'databases.importBackups',
            call,
            () => {
              if (!backups['database/moodtalk'] || !backups['identity']) throw silent('a data set that nobody named');
              world.fill(reached(name), true);
              return { server: name };
            },
            () => world.fill(reached(name), false),
          ),
        exportDiverged: (server, since, file, call) =>
          this.through('databases.exportDiverged', call, () => {
            world.exported.push(`${server} ${since}`);
            return { rows: 3, file };
          }),
      },
      leases: this.leases(),
    };
  }

  private leases(): Ports['leases'] {
    const { world } = this;
    return {
      read: (call) => this.through('leases.read', call, () => readLease(world)),
      agent: (site, call) =>
        this.through('leases.agent', call, () => ({ site, epoch: world.lease.epoch, state: 'standby' as const })),
      take: (to, epoch, call) =>
        this.through('leases.take', call, () => {
          const { lease } = world;
          if (epoch < lease.epoch || (epoch === lease.epoch && lease.holder !== to)) {
            throw new StandbyError('StaleEpoch', `the lease is in epoch ${lease.epoch}`);
          }
          if (!world.reach[to].cluster) throw silent(`the agent of ${to}`);
          const from = lease.holder;
          if (from !== to && !lease.released) {
            if (world.reach[from].cluster) world.stopSite(from, lease.epoch);
            else if (leaseAge(world) < takenAfterMs) {
              throw new StandbyError('LeaseHeld', `${from} may still write`, { retryable: true });
            }
          }
          world.lease = { ...lease, holder: to, epoch, released: false, renewedAt: world.clock.now() };
          return { waitedSeconds: 0, from };
        }),
    };
  }

  private journal(): Ports['journal'] {
    const { journal } = this.world;
    const entriesOf = (run: string): JournalEntry[] => {
      const { entries, whole } = readLines(journal.get(run) ?? '');
      journal.set(run, (journal.get(run) ?? '').slice(0, whole));
      return entries;
    };
    const add = (run: string, text: string) => journal.set(run, (journal.get(run) ?? '') + text);
    return {
      read: (run) =>
        this.through('journal.read', undefined, () => {
          const name = run ?? [...journal.keys()].at(-1);
          return name === undefined ? [] : entriesOf(name);
        }),
      runs: async () => [...journal.keys()].map((run) => ({ run, entries: entriesOf(run) })),
      append: (entry) => {
        const line = toLine(entry);
        const torn = () => add(entry.run, line.slice(0, line.length / 2));
        return this.through('journal.append', undefined, () => void add(entry.run, line), torn);
      },
    };
  }
}

const leaseAge = (world: World): number =>
  world.reach[world.lease.holder].cluster ? 400 : world.clock.now() - world.lease.renewedAt;

function readLease(world: World) {
  const { mode, holder, epoch, released } = world.lease;
  if (mode === 'off') return { mode };
  return { mode, holder, epoch, released, ageSeconds: leaseAge(world) / 1000, version: '1' };
}

const readServer = (world: World, server: Server): ServerReading => ({
  ...{ role: server.role, writable: server.role === 'primary' && !server.readOnly },
  ...{ token: { ...server.token }, position: String(server.position), sessions: 0 },
  ...(server.role === 'replica'
    ? { streaming: world.reach[world.server(server.source!).site].servers, lagSeconds: 0, mayLackSeconds: 0.5 }
    : {}),
});

/** What the engine sees of the world. */
export function observe(world: World): Observation {
  const at = world.clock.now();
  const value = <T>(what: T): Reading<T> => ({ at, value: what });
  const none = { at, unknown: 'it does not answer' };
  const template = healthy(world.file);
  const apps = (site: Site): AppReading[] =>
    (['admin', 'api', 'id', 'static', 'survey'] as const).map((app) => {
      const work = world.running[site];
      const count = work ? 2 : 0;
      return { app, wanted: count, ready: count, release: 'r', epoch: work?.epoch ?? world.file.epoch };
    });
  const stack = value({ serial: world.serial, pending: world.locked });
  return {
    ...template,
    at,
    stacks: { prod: stack, intg: stack, failover: stack },
    sites: Object.fromEntries(
      sites.map((site) => [
        site,
        {
          cluster: world.reach[site].cluster ? value({ apps: apps(site) }) : none,
          identity: world.reach[site].servers ? value({ issuer: 'i', keys: ['k'] }) : none,
          agent: world.reach[site].cluster
            ? value({ site, epoch: world.lease.epoch, state: 'standby' as const })
            : none,
          front: world.reach[site].cluster ? value({}) : none,
        },
      ]),
    ) as Observation['sites'],
    servers: Object.fromEntries(
      [...world.servers.values()].map((server) => [
        server.name,
        world.reach[server.site].servers ? value(readServer(world, server)) : none,
      ]),
    ),
    backups: Object.fromEntries(
      [...world.servers.keys()].map((name) => [
        name,
        world.backups.azure ? value({ recoveryPoint: at - 5_000 }) : none,
      ]),
    ),
    ...(world.backups.kept ? { vault: value(keptBackups(at - 600_000)) } : {}),
    records: value(Object.fromEntries(hostNames.map((name) => [name, template.ingress[world.names.public]]))),
    lease: value(readLease(world)),
    apis: { azure: value({ latencyMs: 5 }), cloudflare: value({ latencyMs: 5 }) },
  };
}
