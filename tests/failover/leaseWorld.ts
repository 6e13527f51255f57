/**
 * A world in which agents, a store, two database servers and an engine talk over a network that delays, loses and cuts, in virtual
 * time. Who decides is failover/lease.ts; everything else is played.
 */
import { otherSite, type Site } from '../../config/fields';
import { emptyBoard, type Board } from '../../failover/board';
import type { Action, Lease, Post } from '../../failover/lease';
import { times } from '../../failover/leaseTimes';
import { Actor } from './leaseActor';

export type Place = 'store' | 'prod' | 'intg';
export interface Fault {
  readonly kind: 'cut' | 'pause' | 'restart';
  /** `cut`: the link between these two; else the agent with this number at the first of them. */
  readonly between: readonly [Place, Place];
  readonly agent: number;
  readonly from: number;
  readonly ms: number;
}
export interface Scenario {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** The engine moves the lease to INTG, and back again. */
  readonly moves: readonly number[];
  /** Agents of INTG learn from the switch that they are active, without the engine. */
  readonly switchAt?: number;
  /** From the engine's first attempt to ask for a claim until an agent hears it; by chance unless given. */
  readonly claimMs?: number;
}

interface Server {
  epoch: number;
  open: boolean;
  closed: number;
}

/** Numbers that look random and are the same for the same seed. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class World {
  now = 0;
  readonly servers: Readonly<Record<Site, Server>> = {
    prod: { epoch: 0, open: false, closed: 0 },
    intg: { epoch: 0, open: false, closed: 0 },
  };
  readonly boards: Record<Site, Board> = { prod: emptyBoard, intg: emptyBoard };
  readonly agents: readonly Actor[];
  /** What happened, for a person who reads a failure. */
  readonly story: string[] = [];
  blob: { holder: Site; epoch: number; released: boolean; version: number; writtenAt: number; id: string } | undefined;
  violation: string | undefined;
  moving = false;
  readonly random: () => number;
  private readonly queue: { readonly at: number; readonly seq: number; readonly run: () => void }[] = [];
  private seq = 0;

  constructor(
    readonly scenario: Scenario,
    readonly without: readonly Action['do'][] = [],
  ) {
    this.random = numbers(scenario.seed);
    const post = (site: Site): Post => ({ site, active: site === 'prod', epoch: 1, mode: 'on' });
    this.agents = [0, 1, 2, 3].map((number) => new Actor(this, number % 2, post(number < 2 ? 'prod' : 'intg')));
    for (const fault of scenario.faults) if (fault.kind !== 'cut') this.disturb(fault);
    for (const at of scenario.moves) this.at(at, () => this.move());
    if (scenario.switchAt !== undefined) this.at(scenario.switchAt, () => this.switchOver());
  }

  run(untilMs: number): this {
    for (const agent of this.agents) agent.start();
    while (this.violation === undefined) {
      const next = this.queue.pop();
      if (!next || next.at > untilMs) break;
      this.now = next.at;
      next.run();
      if (this.servers.prod.open && this.servers.intg.open) this.violation = `two sites may write at ${this.now} ms`;
    }
    return this;
  }

  at(time: number, run: () => void): void {
    const entry = { at: time, seq: this.seq++, run };
    const later = (a: typeof entry, b: typeof entry) => a.at - b.at || a.seq - b.seq;
    let [low, high] = [0, this.queue.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.queue[middle];
      if (other && later(other, entry) > 0) low = middle + 1;
      else high = middle;
    }
    this.queue.splice(low, 0, entry);
  }

  tell(text: string): void {
    this.story.push(`${String(this.now).padStart(6)} ${text}`);
  }

  cut(a: Place, b: Place): boolean {
    return this.scenario.faults.some(
      ({ kind, between, from, ms }) =>
        kind === 'cut' && between.includes(a) && between.includes(b) && this.now >= from && this.now < from + ms,
    );
  }

  /** Mostly quick, sometimes slow. */
  delay(longest = 4_000): number {
    const slow = this.random() < 0.08;
    return 1 + Math.floor(this.random() * (slow ? longest : 120));
  }

  /** A question over a link and its answer, each of which may be late or lost. */
  call<T>(from: Place, to: Place, act: () => T, done: (answer: T) => void): void {
    if (this.random() < 0.02) return;
    this.at(this.now + this.delay(), () => {
      if (from !== to && this.cut(from, to)) return;
      const answer = act();
      if (this.random() < 0.02) return;
      this.at(this.now + this.delay(), () => {
        if (from === to || !this.cut(from, to)) done(answer);
      });
    });
  }

  look(): Lease | undefined {
    const { blob } = this;
    if (!blob) return undefined;
    const seconds = (ms: number) => Math.floor(ms / 1000) * 1000;
    const { holder, epoch, released, version } = blob;
    return { holder, epoch, released, version: String(version), ageMs: seconds(this.now) - seconds(blob.writtenAt) };
  }

  write(holder: Site, epoch: number, released: boolean, id: string): void {
    this.blob = { holder, epoch, released, id, writtenAt: this.now, version: (this.blob?.version ?? 0) + 1 };
  }

  take(site: Site, epoch: number, version: string | undefined, own?: number): boolean {
    const hasIt = own !== undefined && own < epoch && this.blob?.id === `${site} ${own}`;
    if (!hasIt && String(this.blob?.version) !== String(version)) return false;
    this.tell(`${site} has the lease of epoch ${epoch}`);
    this.write(site, epoch, false, `${site} ${epoch}`);
    return true;
  }

  fence(site: Site, epoch: number, final: boolean): void {
    const server = this.servers[site];
    if (!final && server.epoch < epoch) return;
    if (server.epoch <= epoch && server.open) {
      server.open = false;
      this.tell(`${site} is closed${final ? ' for good' : ''}`);
    }
    if (final) server.closed = Math.max(server.closed, epoch);
  }

  admit(site: Site, epoch: number, by: 'agent' | 'person'): boolean {
    const server = this.servers[site];
    if (server.epoch > epoch || (by === 'agent' && server.closed >= epoch)) return false;
    if (!server.open) this.tell(`${site} is open for epoch ${epoch}`);
    Object.assign(server, { epoch, open: true, closed: Math.min(server.closed, epoch - 1) });
    return true;
  }

  agentsOf(site: Site): Actor[] {
    return this.agents.filter((agent) => agent.post.site === site);
  }

  private disturb({ kind, between, agent, from, ms }: Fault): void {
    const [place] = between;
    const actor = this.agentsOf(place === 'intg' ? 'intg' : 'prod')[agent % 2];
    if (kind === 'pause') this.at(from, () => actor?.pause(ms));
    else this.at(from, () => actor?.restart(Math.min(ms, 2_000)));
  }

  /** One run at a time: the engine's lock sees to it. */
  private move(): void {
    if (this.moving) return this.at(this.now + 1_000, () => this.move());
    this.moving = true;
    new Engine(this).begin();
  }

  private switchOver(): void {
    this.agentsOf('intg').forEach((agent, index) => {
      this.at(this.now + index * 6_000, () => {
        agent.post = { ...agent.post, active: true, epoch: 2 };
        agent.restart(500);
      });
    });
  }
}

/** Moves the lease as adapters/store/leases.ts does, from outside both sites; slow, and often interrupted. */
class Engine {
  private readonly to: Site;
  private readonly epoch: number;

  constructor(private readonly world: World) {
    this.to = otherSite(world.blob?.holder ?? 'prod');
    this.epoch = (world.blob?.epoch ?? 1) + 1;
  }

  begin(): void {
    this.claim();
  }

  private later(run: () => void): void {
    const { world } = this;
    world.at(world.now + 100 + world.delay(25_000), run);
  }

  private any(site: Site): Actor | undefined {
    return this.world.agentsOf(site).find((agent) => agent.awake);
  }

  private claim(): void {
    const { world, to, epoch } = this;
    const claimedAt = world.now;
    world.at(world.now + (world.scenario.claimMs ?? world.delay(12_000)), () => {
      const quietMs = this.any(to)?.claim(epoch);
      if (quietMs === undefined) return this.later(() => this.claim());
      world.at(world.now + world.delay(3_000), () => this.move(claimedAt, world.now - quietMs));
    });
  }

  private move(claimedAt: number, quietSince: number): void {
    const { world, to, epoch } = this;
    this.later(() => {
      const lease = world.look();
      if (lease?.holder === to && lease.epoch >= epoch) return this.open();
      const free = !lease || lease.released || lease.holder === to;
      const quiet = world.now - quietSince >= times.takeAfterMs * (1 + times.drift);
      const usable = world.now - claimedAt < times.claimUsableMs;
      if (usable && (free || (lease.ageMs >= times.takeAfterMs && quiet))) {
        return this.later(() => {
          world.take(to, epoch, lease?.version);
          this.claim();
        });
      }
      if (lease?.holder && !lease.released) {
        this.any(lease.holder)?.observe({ saw: 'release wanted', epoch: lease.epoch });
      }
      this.later(() => this.claim());
    });
  }

  /** The new holder knows of it; then its server is opened. */
  private open(): void {
    const { world, to, epoch } = this;
    if (world.agentsOf(to).every((agent) => agent.holds !== epoch)) return this.later(() => this.open());
    world.at(world.now + world.delay(500), () => {
      world.admit(to, epoch, 'person');
      world.moving = false;
    });
  }
}
