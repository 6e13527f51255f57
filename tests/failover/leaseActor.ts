/** An agent's process in the played world: it carries out what failover/lease.ts decides, as agent/agent.ts does. */
import { otherSite } from '../../config/fields';
import { claimed, confirmed, unclaimed } from '../../failover/board';
import { begin, decide, fresh, held, mayConfirm, observe } from '../../failover/lease';
import type { Action, Event, Memory, Post } from '../../failover/lease';
import { times } from '../../failover/leaseTimes';
import type { Place, World } from './leaseWorld';

const fencePatienceMs = 900;

export class Actor {
  memory: Memory;
  private life = 0;
  private pausedUntil = -1;
  private readonly offset: number;
  private readonly pace: number;

  constructor(
    private readonly world: World,
    readonly number: number,
    public post: Post,
  ) {
    this.offset = Math.floor(world.random() * 1e7);
    this.pace = 1 + (world.random() - 0.5) * times.drift;
    this.memory = begin(post, this.clock);
  }

  get clock(): number {
    return this.offset + this.world.now * this.pace;
  }

  get awake(): boolean {
    return this.world.now >= this.pausedUntil && this.life > 0;
  }

  start(): void {
    this.life += 1;
    this.memory = begin(this.post, this.clock);
    this.tick(this.life);
  }

  pause(ms: number): void {
    this.world.tell(`${this.post.site} ${this.number} sleeps for ${ms} ms`);
    this.pausedUntil = this.world.now + ms;
  }

  restart(ms: number): void {
    this.world.tell(`${this.post.site} ${this.number} restarts`);
    const life = (this.life += 1);
    this.pausedUntil = this.world.now + ms;
    this.world.at(this.pausedUntil, () => {
      if (this.life === life) this.start();
    });
  }

  /** What a sleeping process gets, it gets when it wakes. */
  private deliver(life: number, run: () => void): void {
    if (life !== this.life) return;
    if (this.world.now < this.pausedUntil) this.world.at(this.pausedUntil, () => this.deliver(life, run));
    else run();
  }

  observe(event: Event): void {
    this.memory = observe(this.memory, event);
  }

  private tick(life: number): void {
    this.deliver(life, () => {
      const { memory, actions } = decide(this.memory, this.clock);
      this.memory = memory;
      for (const action of actions) this.act(action, life);
      this.world.at(this.world.now + times.tickMs, () => this.tick(life));
    });
  }

  /** Without an answer in time it goes on; what it asked for may happen all the same. */
  private ask<T>(life: number, to: Place, act: () => T, done: (answer: T) => void, end: () => void): void {
    const { world } = this;
    let over = false;
    const finish = (run: () => void) =>
      this.deliver(life, () => {
        if (over) return;
        over = true;
        run();
      });
    world.at(world.now + times.answerMs, () => finish(end));
    world.call(this.post.site, to, act, (answer) =>
      finish(() => {
        done(answer);
        end();
      }),
    );
  }

  private act(action: Action, life: number): void {
    const { world, post } = this;
    const { site } = post;
    const sentAt = this.clock;
    const end = () => this.observe({ saw: 'end', of: action.do });
    if (world.without.includes(action.do)) return end();
    switch (action.do) {
      case 'look':
        return this.ask(
          life,
          'store',
          () => world.look(),
          (lease) => this.observe({ saw: 'lease', lease, sentAt }),
          end,
        );
      case 'renew':
        return this.renew(life, action.epoch, () => undefined, end);
      case 'ask':
        this.askOthers(life, action.epoch, () => undefined, end);
        return;
      case 'board':
        return this.ask(
          life,
          site,
          () => world.boards[site],
          (board) => this.observe({ saw: 'board', board, at: this.clock }),
          end,
        );
      case 'claim':
        return this.ask(
          life,
          site,
          () => (world.boards[site] = claimed(world.boards[site], action.epoch)),
          (board) => this.observe({ saw: 'claimed', board, sentAt, at: this.clock }),
          end,
        );
      case 'lapse':
        return this.ask(
          life,
          site,
          () =>
            world.boards[site].claims === action.claims
              ? (world.boards[site] = unclaimed(world.boards[site]))
              : world.boards[site],
          (board) => this.observe({ saw: 'board', board, at: this.clock }),
          end,
        );
      case 'take':
        return this.ask(
          life,
          'store',
          () => world.take(site, action.epoch, action.version, action.own),
          (taken) => taken && this.observe({ saw: 'taken', epoch: action.epoch }),
          end,
        );
      case 'release':
        return this.ask(
          life,
          'store',
          () => {
            if (world.blob?.id === `${site} ${action.epoch}`) world.write(site, action.epoch, true, 'nobody');
            return world.look();
          },
          (lease) => {
            this.observe({ saw: 'lease', lease, sentAt });
            this.observe({ saw: 'released', epoch: action.epoch });
          },
          end,
        );
      case 'fence':
        world.at(world.now + 1 + Math.floor(world.random() * fencePatienceMs), () => {
          if (life !== this.life) return;
          world.fence(site, action.epoch, action.final);
          this.deliver(life, () => {
            this.observe({ saw: 'fenced', epoch: action.epoch, final: action.final, at: this.clock });
            end();
          });
        });
        return;
      case 'admit':
        return this.admit(life, action.epoch, end);
    }
  }

  private renew(life: number, epoch: number, then: (ok: boolean) => void, end: () => void): void {
    const { world, post } = this;
    const sentAt = this.clock;
    const id = `${post.site} ${epoch}`;
    let ok = false;
    this.ask(
      life,
      'store',
      () => {
        if (world.blob?.id !== id) return false;
        world.write(post.site, epoch, false, id);
        return true;
      },
      (renewed) => {
        ok = renewed;
        this.observe(renewed ? { saw: 'renewed', epoch, sentAt } : { saw: 'refused', epoch });
      },
      () => {
        end();
        then(ok);
      },
    );
  }

  private askOthers(life: number, epoch: number, then: (ok: boolean) => void, end: () => void): void {
    const { world, post } = this;
    const sentAt = this.clock;
    const other = otherSite(post.site);
    const asked = world.agentsOf(other)[Math.floor(world.random() * 2)];
    let ok = false;
    this.ask(
      life,
      other,
      () => asked?.awake === true && asked.confirm(epoch),
      (yes) => {
        ok = yes;
        if (yes) this.observe({ saw: 'confirmed', epoch, sentAt, ageMs: 0 });
      },
      () => {
        end();
        then(ok);
      },
    );
    const peer = world.agentsOf(post.site).find((one) => one !== this);
    this.ask(
      life,
      post.site,
      () => (peer?.awake ? peer.confirmedAgo(epoch) : undefined),
      (ageMs) => ageMs !== undefined && this.observe({ saw: 'confirmed', epoch, sentAt, ageMs }),
      () => undefined,
    );
  }

  confirm(epoch: number): boolean {
    const { world, post } = this;
    if (!mayConfirm(this.memory, world.boards[post.site], epoch)) return false;
    world.boards[post.site] = confirmed(world.boards[post.site]);
    return true;
  }

  confirmedAgo(epoch: number): number | undefined {
    const { confirmedAt, refused } = this.memory;
    if (held(this.memory) !== epoch || confirmedAt === undefined || refused) return undefined;
    const ago = this.clock - confirmedAt;
    return ago < times.fenceAfterMs ? ago : undefined;
  }

  /** The server's time, then the lease, then the opening, which the server refuses when it comes too late. */
  private admit(life: number, epoch: number, end: () => void): void {
    const { world, post } = this;
    world.at(world.now + world.delay(300), () => {
      const before = world.now + times.openWithinMs;
      const go = (ok: boolean) => {
        if (!ok) return end();
        world.at(world.now + world.delay(800), () => {
          if (life !== this.life) return;
          const opened = world.now <= before && world.admit(post.site, epoch, 'agent');
          this.deliver(life, () => {
            if (opened) this.observe({ saw: 'admitted', epoch });
            end();
          });
        });
      };
      this.deliver(life, () =>
        this.renew(
          life,
          epoch,
          (ok) => (ok ? go(true) : this.askOthers(life, epoch, go, () => undefined)),
          () => undefined,
        ),
      );
    });
  }

  /** @returns for how long it has been quiet, by its clock. */
  claim(epoch: number): number {
    const { world, post } = this;
    world.boards[post.site] = claimed(world.boards[post.site], epoch);
    this.observe({ saw: 'board', board: world.boards[post.site], at: this.clock });
    return this.clock - (this.memory.view?.quietSince ?? this.clock);
  }

  get holds(): number | undefined {
    return fresh(this.memory, this.clock) ? held(this.memory) : undefined;
  }
}
