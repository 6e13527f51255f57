/**
 * The life of an agent, which holds the right to write for its site. Pure: `observe` takes in what was seen, `decide` says what to
 * do now; both by the agent's own clock, which only needs to run at about the right pace. docs/decisions/0007-writer-lease.md has
 * the argument why two sites never write.
 */
import type { Site } from '../config/fields';
import { seeBoard, type Board, type BoardView } from './board';
import { times } from './leaseTimes';
import type { AgentReading } from './model';

/** The lease as one answer of the store has it. */
export interface Lease {
  readonly holder?: Site;
  readonly epoch: number;
  readonly released: boolean;
  /** Since the last renewal, by the store's clock. */
  readonly ageMs: number;
  /** Changes with every renewal. */
  readonly version: string;
}

export interface Post {
  readonly site: Site;
  /** The switch says that the site has the business, with this epoch. */
  readonly active: boolean;
  readonly epoch: number;
  readonly mode: 'on' | 'off';
}

/** `final`: never to be opened by an agent again; else only until the lease is confirmed again. */
export type Action =
  | { readonly do: 'look' | 'board' }
  | { readonly do: 'renew' | 'ask' | 'admit' | 'release' | 'claim'; readonly epoch: number }
  | { readonly do: 'fence'; readonly epoch: number; readonly final: boolean }
  /** `own`: epoch with which this site has it already, so that nobody else has to be waited for. */
  | { readonly do: 'take'; readonly epoch: number; readonly version: string | undefined; readonly own?: number }
  | { readonly do: 'lapse'; readonly claims: number };
export type Doing = Action['do'];

/** `sentAt`, `at`: own clock, when the question left or the answer was in. */
export type Event =
  | { readonly saw: 'lease'; readonly lease: Lease | undefined; readonly sentAt: number }
  | { readonly saw: 'renewed'; readonly epoch: number; readonly sentAt: number }
  /** The store keeps the lease under another name: somebody takes it, or lets it go. */
  | { readonly saw: 'refused'; readonly epoch: number }
  | { readonly saw: 'confirmed'; readonly epoch: number; readonly sentAt: number; readonly ageMs: number }
  | { readonly saw: 'fenced'; readonly epoch: number; readonly final: boolean; readonly at: number }
  | { readonly saw: 'admitted'; readonly epoch: number }
  | { readonly saw: 'closed'; readonly epoch: number }
  | { readonly saw: 'board'; readonly board: Board; readonly at: number }
  | { readonly saw: 'claimed'; readonly board: Board; readonly sentAt: number; readonly at: number }
  | { readonly saw: 'taken' | 'released'; readonly epoch: number }
  | { readonly saw: 'release wanted'; readonly epoch: number }
  /** The own clock has leapt: nobody knows for how long things have been quiet. */
  | { readonly saw: 'leap'; readonly at: number }
  | { readonly saw: 'end'; readonly of: Doing };

export interface Memory {
  readonly post: Post;
  readonly startedAt: number;
  /** When the newest look at the lease began that was answered. */
  readonly lookedAt?: number;
  readonly lease?: Lease & { readonly sentAt: number };
  /** When the newest answer was asked for that says: this site has the lease. */
  readonly confirmedAt?: number;
  readonly confirmedBy?: 'store' | 'other';
  /** The store refused the last renewal: the lease is there under another name. */
  readonly refused: boolean;
  /** The last epoch with which this site had the lease. */
  readonly had?: number;
  readonly fence?: { readonly epoch: number; readonly final: boolean; readonly at: number };
  /** A fence was begun, and nothing was admitted since. */
  readonly closing?: number;
  readonly admitted?: number;
  readonly admissionRefused?: number;
  readonly releasing?: number;
  readonly view?: BoardView;
  readonly claim?: { readonly epoch: number; readonly sentAt: number };
  /** Version of the lease that was seen after the claim had become old. */
  readonly oldClaimVersion?: string;
  /** What goes on, and when anything was begun last. */
  readonly busy: Readonly<Partial<Record<Doing, boolean>>>;
  readonly begun: Readonly<Partial<Record<Doing, number>>>;
}

export const begin = (post: Post, now: number): Memory => ({
  post,
  startedAt: now,
  refused: false,
  busy: {},
  begun: {},
});

/** @returns the epoch with which this site has the lease, as far as this agent knows. */
export function held({ lease, post }: Memory): number | undefined {
  if (!lease || lease.holder !== post.site || lease.released) return undefined;
  return lease.epoch;
}

/**
 * What the site may be writing with. Who can't see the lease must think of what the switch says, and of what was claimed for the
 * site: it may have been taken since.
 */
function mayWriteWith(memory: Memory, now: number): number | undefined {
  const { post, lookedAt, lease, view } = memory;
  const epoch = held(memory);
  if (epoch !== undefined) return epoch;
  const claim = view?.board.claim ?? 0;
  const blind = lookedAt === undefined || now - lookedAt >= times.fenceAfterMs;
  if (blind && claim > (lease?.epoch ?? 0)) return claim;
  return lookedAt === undefined && post.active ? post.epoch : undefined;
}

export const fresh = ({ confirmedAt }: Memory, now: number): boolean =>
  confirmedAt !== undefined && now - confirmedAt < times.fenceAfterMs && now >= confirmedAt;

/** The switch, or a person, wants the lease elsewhere. */
const toRelease = (memory: Memory): number | undefined => {
  const epoch = held(memory);
  if (epoch === undefined) return undefined;
  if (memory.releasing === epoch) return epoch;
  return !memory.post.active && epoch < memory.post.epoch ? epoch : undefined;
};

/** The lease went to somebody else: what this site wrote with is over. */
const lost = (memory: Memory): number | undefined => {
  const { lease, post } = memory;
  if (!lease) return undefined;
  if (lease.holder === post.site && !lease.released) return undefined;
  return memory.had ?? (post.active && post.epoch <= lease.epoch ? post.epoch : undefined);
};

const wantsToTake = (memory: Memory): boolean => {
  const { post, lookedAt, lease, releasing } = memory;
  if (lookedAt === undefined || !post.active || releasing !== undefined) return false;
  if (!lease || post.epoch > lease.epoch) return true;
  return lease.epoch === post.epoch && lease.holder === post.site && !lease.released && memory.refused;
};

/** @returns whether the lease, as it was seen after the claim, may be taken now. */
function mayTake(memory: Memory, now: number): boolean {
  const { lease, post, claim, view } = memory;
  if (!lease || lease.released || lease.holder === undefined) return true;
  if (lease.holder === post.site && !memory.refused) return true;
  if (lease.ageMs < times.takeAfterMs) return false;
  if (lease.holder === post.site) return true;
  if (!claim || claim.epoch !== post.epoch || !view || view.board.claim < post.epoch) return false;
  if (lease.sentAt < claim.sentAt || now - claim.sentAt > times.claimUsableMs) return false;
  return now - view.quietSince >= times.takeAfterMs;
}

/**
 * What the agent tells the other site that has lost the store: that nobody here takes over. Whoever answers so must have counted
 * it on the board, in the state that this was decided on.
 */
export function mayConfirm(memory: Memory, board: Board, epoch: number): boolean {
  const { post, lease } = memory;
  if (board.claim > epoch || held(memory) !== undefined) return false;
  if (post.active && post.epoch > epoch) return false;
  return (lease?.epoch ?? 0) <= epoch;
}

/** @returns what is to be done now, the most urgent first, and the memory that it has been begun. */
export function decide(memory: Memory, now: number): { readonly memory: Memory; readonly actions: readonly Action[] } {
  const wanted = memory.post.mode === 'off' ? withoutLease(memory, now) : withLease(memory, now);
  const actions = wanted.filter((action) => !memory.busy[action.do]);
  for (const action of actions) check(memory, action, now);
  const busy = Object.fromEntries(actions.map((action) => [action.do, true]));
  const begun = Object.fromEntries(actions.map((action) => [action.do, now]));
  const closing = actions.find((action) => action.do === 'fence')?.epoch;
  const { admitted, ...rest } = memory;
  return {
    actions,
    memory: {
      ...rest,
      ...(closing === undefined ? (admitted === undefined ? {} : { admitted }) : { closing }),
      busy: { ...memory.busy, ...busy },
      begun: { ...memory.begun, ...begun },
    },
  };
}

const due = (memory: Memory, what: Doing, everyMs: number, now: number): boolean =>
  now - (memory.begun[what] ?? -Infinity) >= everyMs;

function withoutLease(memory: Memory, now: number): Action[] {
  const { post, admitted, fence } = memory;
  if (post.active) {
    return admitted !== post.epoch && due(memory, 'admit', times.retryAdmissionMs, now)
      ? [{ do: 'admit', epoch: post.epoch }]
      : [];
  }
  const epoch = post.epoch - 1;
  return epoch > 0 && !fence && due(memory, 'fence', times.retryAdmissionMs, now)
    ? [{ do: 'fence', epoch, final: true }]
    : [];
}

function withLease(memory: Memory, now: number): Action[] {
  return [
    ...fencing(memory, now),
    ...holding(memory, now),
    ...looking(memory, now),
    ...taking(memory, now),
    ...admitting(memory, now),
  ];
}

function fencing(memory: Memory, now: number): Action[] {
  const { fence } = memory;
  const done = (epoch: number, final: boolean) => fence?.epoch === epoch && (fence.final || !final);
  const over = toRelease(memory) ?? lost(memory);
  if (over !== undefined) {
    if (!done(over, true))
      return due(memory, 'fence', times.tickMs, now) ? [{ do: 'fence', epoch: over, final: true }] : [];
    return toRelease(memory) === over ? [{ do: 'release', epoch: over }] : [];
  }
  const epoch = mayWriteWith(memory, now);
  if (epoch === undefined || fresh(memory, now)) return [];
  if (memory.lookedAt === undefined && now - memory.startedAt < times.newcomerMs) return [];
  // Again and again: the other agent may have opened the site, and be gone since.
  const every = done(epoch, false) ? times.repeatFenceMs : times.tickMs;
  return due(memory, 'fence', every, now) ? [{ do: 'fence', epoch, final: false }] : [];
}

function holding(memory: Memory, now: number): Action[] {
  const epoch = mayWriteWith(memory, now);
  if (epoch === undefined || toRelease(memory) !== undefined) return [];
  const actions: Action[] = [];
  const every = memory.refused ? times.lookEveryMs : times.renewEveryMs;
  if (held(memory) !== undefined && due(memory, 'renew', every, now)) actions.push({ do: 'renew', epoch });
  const since = memory.confirmedAt ?? memory.startedAt - times.doubtAfterMs;
  if (now - since >= times.doubtAfterMs && due(memory, 'ask', times.renewEveryMs, now)) {
    actions.push({ do: 'ask', epoch });
  }
  return actions;
}

function looking(memory: Memory, now: number): Action[] {
  const { view, post, lease } = memory;
  const hurry = memory.lookedAt === undefined || memory.refused || wantsToTake(memory) || (view?.board.claim ?? 0) > 0;
  const holds = held(memory) !== undefined && !memory.refused;
  const actions: Action[] = [];
  if (!holds && due(memory, 'look', hurry ? times.renewEveryMs : times.lookEveryMs, now)) actions.push({ do: 'look' });
  if (!holds && due(memory, 'board', times.boardEveryMs, now)) actions.push({ do: 'board' });
  if (!view || view.board.claim === 0 || !lease || lease.holder === post.site) return actions;
  const superseded = lease.epoch >= view.board.claim;
  const { oldClaimVersion } = memory;
  const forgotten = oldClaimVersion !== undefined && oldClaimVersion !== lease.version && !post.active;
  if (superseded || forgotten) actions.push({ do: 'lapse', claims: view.board.claims });
  return actions;
}

function taking(memory: Memory, now: number): Action[] {
  if (!wantsToTake(memory)) return [];
  const { post, claim, lease } = memory;
  const other = lease?.holder !== undefined && lease.holder !== post.site && !lease.released;
  if (other && (!claim || now - claim.sentAt > times.claimUsableMs / 2)) {
    return due(memory, 'claim', times.renewEveryMs, now) ? [{ do: 'claim', epoch: post.epoch }] : [];
  }
  if (!mayTake(memory, now) || !due(memory, 'take', times.renewEveryMs, now)) return [];
  const own = held(memory);
  return [{ do: 'take', epoch: post.epoch, version: lease?.version, ...(own === undefined ? {} : { own }) }];
}

function admitting(memory: Memory, now: number): Action[] {
  const { post, busy, closing, admitted } = memory;
  const epoch = held(memory);
  if (epoch === undefined || admitted === epoch || busy.fence || toRelease(memory) !== undefined) return [];
  if (!fresh(memory, now) || memory.refused) return [];
  // What the engine moved, the engine opens; an agent opens what the switch gives it, and what it closed itself.
  if (!(post.active && post.epoch === epoch) && closing !== epoch) return [];
  const every = memory.admissionRefused === epoch ? times.retryAdmissionMs : times.renewEveryMs;
  return due(memory, 'admit', every, now) ? [{ do: 'admit', epoch }] : [];
}

/** @throws Error for an action that could let two sites write, whatever led to it. */
function check(memory: Memory, action: Action, now: number): void {
  const { post } = memory;
  const broken = (why: string): never => {
    throw new Error(`${post.site} must not ${action.do}: ${why}`);
  };
  if (post.mode === 'off') return;
  if (action.do === 'admit' && !fresh(memory, now)) broken('its lease is not confirmed');
  if (action.do === 'admit' && memory.releasing === action.epoch) broken('the lease is given up');
  if (action.do === 'release' && !(memory.fence?.final && memory.fence.epoch === action.epoch)) {
    broken('the site is not fenced');
  }
  if (action.do === 'take' && memory.lease && action.epoch < memory.lease.epoch) broken('the epoch is over');
  if (action.do === 'take' && !mayTake(memory, now)) broken('somebody may still hold it');
}

const later = (a: number | undefined, b: number) => Math.max(a ?? -Infinity, b);

/** @returns the memory with what was seen. */
export function observe(memory: Memory, event: Event): Memory {
  switch (event.saw) {
    case 'lease':
      return seeLease(memory, event.lease, event.sentAt);
    case 'renewed':
      if (held(memory) !== event.epoch) return memory;
      return { ...memory, refused: false, confirmedAt: later(memory.confirmedAt, event.sentAt), confirmedBy: 'store' };
    case 'refused':
      return held(memory) === event.epoch
        ? without({ ...memory, refused: true }, 'confirmedAt', 'confirmedBy')
        : memory;
    case 'confirmed': {
      const at = event.sentAt - event.ageMs;
      if (
        mayWriteWith(memory, event.sentAt) !== event.epoch ||
        memory.refused ||
        at <= (memory.confirmedAt ?? -Infinity)
      )
        return memory;
      return { ...memory, confirmedAt: at, confirmedBy: 'other' };
    }
    case 'fenced':
      return { ...memory, fence: { epoch: event.epoch, final: event.final, at: event.at } };
    case 'admitted':
      return without({ ...memory, admitted: event.epoch }, 'closing', 'admissionRefused', 'fence');
    case 'closed':
      return { ...memory, admissionRefused: event.epoch };
    case 'board':
      return see(memory, event.board, event.at);
    case 'claimed':
      return {
        ...see(memory, event.board, event.at),
        claim: { epoch: event.board.claim, sentAt: event.sentAt },
      };
    case 'taken':
      return { ...without(memory, 'claim'), begun: { ...memory.begun, look: -Infinity } };
    case 'released':
      return {
        ...without(memory, 'releasing', 'confirmedAt', 'confirmedBy'),
        begun: { ...memory.begun, look: -Infinity },
      };
    case 'release wanted':
      return { ...memory, releasing: event.epoch };
    case 'leap': {
      const { view } = memory;
      const quiet = view ? { view: { ...view, quietSince: event.at, claimSince: event.at } } : {};
      return { ...without(memory, 'claim', 'oldClaimVersion'), ...quiet };
    }
    case 'end':
      return { ...memory, busy: { ...memory.busy, [event.of]: false } };
  }
}

function see(memory: Memory, board: Board, at: number): Memory {
  const view = seeBoard(memory.view, board, at);
  const same = view.claimSince === memory.view?.claimSince;
  return same ? { ...memory, view } : without({ ...memory, view }, 'oldClaimVersion');
}

function seeLease(memory: Memory, lease: Lease | undefined, sentAt: number): Memory {
  const before = memory.lease;
  if (sentAt < (memory.lookedAt ?? -Infinity)) return memory;
  const { view } = memory;
  const old = view && view.board.claim > 0 && sentAt - view.claimSince >= times.claimLapsesMs;
  const noted = old && lease && memory.oldClaimVersion === undefined ? { oldClaimVersion: lease.version } : {};
  const { lease: _, ...rest } = memory;
  const seen: Memory = { ...rest, ...noted, lookedAt: sentAt, ...(lease ? { lease: { ...lease, sentAt } } : {}) };
  const epoch = held(seen);
  const same = before?.holder === lease?.holder && before?.epoch === lease?.epoch && epoch !== undefined;
  const known = same ? seen : without({ ...seen, refused: false }, 'confirmedAt', 'confirmedBy');
  if (!lease || epoch === undefined) return known;
  // Whoever of this site renewed it: nobody may take it before its time.
  const at = sentAt - lease.ageMs - times.storeResolutionMs;
  if (at <= (known.confirmedAt ?? -Infinity)) return { ...known, had: epoch };
  return { ...known, had: epoch, confirmedAt: at, confirmedBy: 'store' };
}

function without(memory: Memory, ...keys: (keyof Memory)[]): Memory {
  return Object.fromEntries(
    Object.entries(memory).filter(([key]) => !keys.includes(key as keyof Memory)),
  ) as unknown as Memory;
}

/** In the words of the operators. */
export function stateOf(memory: Memory, now: number): AgentReading['state'] {
  if (memory.post.mode === 'off') return memory.post.active ? 'holding' : 'standby';
  if (memory.closing !== undefined || lost(memory) !== undefined) return 'fenced';
  if (held(memory) !== undefined) {
    if (!fresh(memory, now)) return 'fenced';
    return memory.confirmedBy === 'store' ? 'holding' : 'failsafe';
  }
  if (mayWriteWith(memory, now) !== undefined && fresh(memory, now)) return 'failsafe';
  if (wantsToTake(memory) || (memory.view?.board.claim ?? 0) > 0) return 'claiming';
  return now - (memory.lookedAt ?? memory.startedAt) < times.blindAfterMs ? 'standby' : 'blind';
}

/** What the rollout of a switch waits for: the active site may write, a standby's agent watches. */
export function ready(memory: Memory, now: number): boolean {
  const { post, admitted } = memory;
  if (!post.active) return post.mode === 'off' || memory.lookedAt !== undefined;
  if (post.mode === 'off') return admitted === post.epoch;
  return held(memory) === post.epoch && admitted === post.epoch && fresh(memory, now);
}
