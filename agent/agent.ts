/** Carries out what failover/lease.ts decides, and tells it what came of it. */
import { StandbyError } from '../failover/errors';
import { claimed, confirmed, unclaimed } from '../failover/board';
import { begin, decide, held, mayConfirm, observe, ready, stateOf } from '../failover/lease';
import type { Action, Event, Memory } from '../failover/lease';
import { times } from '../failover/leaseTimes';
import type { AgentReading } from '../failover/model';
import type { StoredLease } from '../adapters/store/lease';
import { ask } from '../adapters/store/talk';
import type { Boards } from './boards';
import { leapsOfTime, ownTime } from './clock';
import { patient } from './kubernetes';
import { messageOf, type Log } from './log';
import type { Settings } from './settings';
import type { SiteControl } from './site';
import { within } from '../failover/within';

export interface Parts {
  readonly store: StoredLease;
  readonly boards: Boards;
  readonly site: SiteControl;
  readonly log: Log;
}

/** Written down only when they begin or cease to work. */
const routine: ReadonlySet<string> = new Set(['look', 'renew', 'ask', 'board']);
const releaseMs = 7_500;

export class Agent {
  private memory: Memory;
  private timer: NodeJS.Timeout | undefined;
  private said = '';
  private leaps = 0;
  private readonly failing = new Map<string, string>();
  private admission = new AbortController();
  private lastTick = ownTime();
  private readonly ending = new AbortController();

  constructor(
    private readonly settings: Settings,
    private readonly parts: Parts,
  ) {
    this.memory = begin(settings.post, ownTime());
  }

  start(): void {
    const { site, active, epoch, mode } = this.settings.post;
    this.parts.log('agent starts', { site, active, epoch, writerLease: mode });
    this.timer = setInterval(() => this.tick(), times.tickMs);
    this.tick();
  }

  stop(): void {
    clearInterval(this.timer);
    this.ending.abort();
  }

  get ready(): boolean {
    return ready(this.memory, ownTime());
  }

  /** It decides, and has not been stuck. */
  get alive(): boolean {
    return ownTime() - this.lastTick < times.takeAfterMs;
  }

  reading(): AgentReading & { readonly holds: number | null } {
    const { post } = this.settings;
    const now = ownTime();
    const epoch = held(this.memory);
    const state = stateOf(this.memory, now);
    const holds = epoch !== undefined && (state === 'holding' || state === 'failsafe') ? epoch : null;
    const why = this.why(state);
    return { site: post.site, epoch: epoch ?? post.epoch, state, ...(why ? { why } : {}), holds };
  }

  /** How long ago this site's lease was confirmed, for the other agent of the site; undefined when it is not. */
  confirmedAgo(epoch: number): number | undefined {
    const { confirmedAt } = this.memory;
    if (held(this.memory) !== epoch || confirmedAt === undefined || this.memory.refused) return undefined;
    const ago = ownTime() - confirmedAt;
    return ago < times.fenceAfterMs ? ago : undefined;
  }

  /** Says to the other site that nobody here takes over, and counts it where the other agent sees it. */
  async confirm(epoch: number): Promise<boolean> {
    const { changed } = await this.parts.boards.change((board) =>
      mayConfirm(this.memory, board, epoch) ? confirmed(board) : undefined,
    );
    return changed;
  }

  /** @returns for how long nobody here has confirmed to the other site, milliseconds. */
  async claim(epoch: number): Promise<number> {
    const { board } = await this.parts.boards.change((one) => claimed(one, epoch), patient);
    const now = ownTime();
    if (leapsOfTime() !== this.leaps) this.observe({ saw: 'leap', at: now });
    this.leaps = leapsOfTime();
    this.observe({ saw: 'board', board, at: now });
    this.parts.log('claimed', { epoch });
    return now - (this.memory.view?.quietSince ?? now);
  }

  /** Stops the site and lets the lease go. @returns why it did not, undefined when it did. */
  async release(epoch: number): Promise<string | undefined> {
    if (held(this.memory) !== epoch) await this.look();
    if (this.gone(epoch)) return undefined;
    if (held(this.memory) !== epoch) return `it does not hold the lease of epoch ${epoch}`;
    this.parts.log('asked to let go', { epoch });
    this.observe({ saw: 'release wanted', epoch });
    this.tick();
    for (const end = ownTime() + releaseMs; ownTime() < end;) {
      if (this.gone(epoch)) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 20));
      this.tick();
    }
    return this.why('fenced') ?? 'the site could not be stopped in time';
  }

  /** Looks at the lease now, so that a new holder begins at once. */
  async look(): Promise<void> {
    await this.carryOut({ do: 'look' });
    this.tick();
    for (const end = ownTime() + times.answerMs; this.memory.busy.renew && ownTime() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  private gone(epoch: number): boolean {
    const { lease } = this.memory;
    return lease !== undefined && (lease.epoch > epoch || (lease.epoch === epoch && lease.released));
  }

  private why(state: string): string | undefined {
    if (state === 'holding' || state === 'standby') return undefined;
    const faults = [...this.failing].map(([what, why]) => `${what}: ${why}`);
    return faults.length > 0 ? faults.join('; ') : undefined;
  }

  private observe(event: Event): void {
    this.memory = observe(this.memory, event);
  }

  private tick(): void {
    const now = ownTime();
    if (now - this.lastTick > times.fenceAfterMs)
      this.parts.log('was not running', { ms: Math.round(now - this.lastTick) });
    this.lastTick = now;
    if (leapsOfTime() !== this.leaps) this.observe({ saw: 'leap', at: now });
    this.leaps = leapsOfTime();
    void this.parts.site.remember();
    const again = this.memory.closing;
    const { memory, actions } = decide(this.memory, now);
    this.memory = memory;
    for (const action of actions) void this.carryOut(action, action.do === 'fence' && again === action.epoch);
    const state = stateOf(this.memory, now);
    if (state !== this.said) this.parts.log('state', { state, epoch: held(this.memory) ?? null });
    this.said = state;
  }

  private async carryOut(action: Action, again = false): Promise<void> {
    const said = routine.has(action.do) || again || this.failing.has(action.do);
    if (!said) this.parts.log(action.do, { ...action, do: undefined });
    try {
      await this.act(action, again);
      if (this.failing.delete(action.do)) this.parts.log(`${action.do} works again`);
    } catch (cause) {
      if (this.ending.signal.aborted) return;
      const why = messageOf(cause);
      if (this.failing.get(action.do) !== why) this.parts.log(`${action.do} failed`, { why });
      this.failing.set(action.do, why);
    } finally {
      this.observe({ saw: 'end', of: action.do });
    }
  }

  private async act(action: Action, again = false): Promise<void> {
    const { store, boards, site } = this.parts;
    const own = this.settings.post.site;
    const sentAt = ownTime();
    switch (action.do) {
      case 'look':
        return this.observe({ saw: 'lease', lease: await store.look(this.patience()), sentAt });
      case 'board':
        return this.observe({ saw: 'board', board: await boards.read(), at: ownTime() });
      case 'renew':
        return void (await this.renew(action.epoch));
      case 'ask':
        return void (await this.askOthers(action.epoch));
      case 'fence':
        this.admission.abort();
        await site.close(action.epoch, action.final, this.ending.signal);
        if (!again) this.parts.log('fenced', { epoch: action.epoch, ms: Math.round(ownTime() - sentAt) });
        return this.observe({ saw: 'fenced', epoch: action.epoch, final: action.final, at: ownTime() });
      case 'admit':
        return this.open(action.epoch);
      case 'release':
        if (await store.release(own, action.epoch, this.patience())) {
          await this.act({ do: 'look' });
          this.observe({ saw: 'released', epoch: action.epoch });
        }
        return;
      case 'claim': {
        const { board } = await boards.change((one) => claimed(one, action.epoch), patient);
        return this.observe({ saw: 'claimed', board, sentAt, at: ownTime() });
      }
      case 'take':
        if (await store.take(own, action.epoch, action.version, this.patience(), action.own)) {
          this.observe({ saw: 'taken', epoch: action.epoch });
        }
        return;
      case 'lapse': {
        const { board } = await boards.change((one) => (one.claims === action.claims ? unclaimed(one) : undefined));
        return this.observe({ saw: 'board', board, at: ownTime() });
      }
    }
  }

  private patience(): AbortSignal {
    return within(times.answerMs, this.ending.signal);
  }

  private async renew(epoch: number): Promise<boolean> {
    const sentAt = ownTime();
    const renewed = await this.parts.store.renew(this.settings.post.site, epoch, this.patience());
    this.observe(renewed ? { saw: 'renewed', epoch, sentAt } : { saw: 'refused', epoch });
    return renewed;
  }

  /** The other site, whether it takes over; and the other agent here, whether it reaches the store. */
  private async askOthers(epoch: number): Promise<boolean> {
    const { key, own, other } = this.settings;
    const limits = { signal: this.ending.signal, withinMs: times.answerMs };
    const sentAt = ownTime();
    const questions = [
      ask(other, key, 'confirm', { epoch }, limits).then(({ body }) => (body['confirms'] === true ? 0 : undefined)),
      ask(own, key, 'peer', { epoch, from: this.settings.name }, limits).then(({ body }) =>
        typeof body['ageMs'] === 'number' ? body['ageMs'] : undefined,
      ),
    ];
    const answers = await Promise.allSettled(
      questions.map(async (question) => {
        const ageMs = await question;
        if (ageMs !== undefined) this.observe({ saw: 'confirmed', epoch, sentAt, ageMs });
        return ageMs !== undefined;
      }),
    );
    const confirms = answers.some((answer) => answer.status === 'fulfilled' && answer.value);
    const [first] = answers;
    if (!confirms && first?.status === 'rejected') throw first.reason;
    return confirms;
  }

  private async open(epoch: number): Promise<void> {
    const { post } = this.settings;
    this.admission = new AbortController();
    const signal = AbortSignal.any([this.admission.signal, this.ending.signal]);
    const confirm = async () =>
      post.mode === 'off' ||
      (await this.renew(epoch).catch(() => false)) ||
      (await this.askOthers(epoch).catch(() => false));
    try {
      await this.parts.site.open(epoch, post.active && post.epoch === epoch, confirm, signal);
      this.parts.log('admitted', { epoch });
      this.observe({ saw: 'admitted', epoch });
    } catch (cause) {
      const closed = cause instanceof StandbyError && ['EpochClosed', 'StaleEpoch'].includes(cause.code);
      if (closed) this.observe({ saw: 'closed', epoch });
      throw cause;
    }
  }
}
