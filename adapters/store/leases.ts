/** The right to write, moved by the engine: the store has it, the agents of both sites agree to it. */
import { setTimeout as delay } from 'node:timers/promises';
import { agentKey } from '../../config/credentials';
import type { Site } from '../../config/fields';
import { StandbyError } from '../../failover/errors';
import type { Lease } from '../../failover/lease';
import { times } from '../../failover/leaseTimes';
import type { AgentReading, LeaseReading } from '../../failover/model';
import type { Call, Leases } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { storeClient } from './client';
import { StoredLease } from './lease';
import { ask, type Answer, type Peer, type Topic } from './talk';

const pollMs = 200;
const agentMs = 3_000;
/** A claim is written to the site's cluster, which may be in trouble; and it must be usable for a while when it is there. */
const claimMs = 12_000;
/** A fence has its time, and the site may be ending its pods. */
const releaseMs = 8_000;
/** Longest wait for an old holder: it has run out by then, or is alive and does not let go. */
const takeMs = 25_000;
const holdMs = 10_000;
/** Agents that are being replaced, and the ingress before them, are back within that. */
const awayMs = 5_000;

/** Record of the internal zones that leads to a site's agents. */
export const agentHost = (internalZone: string): string => `standby.${internalZone}`;

export function createLeases(context: AdapterContext): Leases {
  return new SiteLeases(context);
}

class SiteLeases implements Leases {
  private readonly store: StoredLease;
  private readonly key: string;

  constructor(private readonly context: AdapterContext) {
    this.store = new StoredLease(storeClient(context, { tryMs: 1_500, tries: 2 }), context.configuration().company);
    this.key = agentKey(context.landscape.secrets.prod.databasePassword);
  }

  async read({ signal }: Call): Promise<LeaseReading> {
    if (this.mode === 'off') return { mode: 'off' };
    const lease = await this.look(signal);
    if (!lease) return { mode: 'on' };
    const { holder, epoch, released, ageMs, version } = lease;
    return { mode: 'on', ...(holder ? { holder } : {}), epoch, released, ageSeconds: ageMs / 1000, version };
  }

  async agent(site: Site, { signal }: Call): Promise<AgentReading> {
    const { body } = await this.ask(site, 'status', {}, signal);
    return body as unknown as AgentReading;
  }

  async take(to: Site, epoch: number, call: Call): Promise<{ readonly waitedSeconds: number; readonly from?: Site }> {
    const started = performance.now();
    if (this.mode === 'off') return { waitedSeconds: 0 };
    const before = await this.look(call.signal);
    refuseStale(before, to, epoch);
    const from = before?.holder === to || before?.released ? undefined : before?.holder;
    await this.move(to, epoch, call);
    await this.held(to, epoch, call);
    return { waitedSeconds: (performance.now() - started) / 1000, ...(from ? { from } : {}) };
  }

  /** Until the store has the lease at `to`. */
  private async move(to: Site, epoch: number, call: Call): Promise<void> {
    const end = performance.now() + takeMs;
    for (let said = ''; ; await delay(pollMs, undefined, { signal: call.signal })) {
      // The claim is made anew before each look: what the look saw then can't have been renewed by anybody's word since.
      const claimedAt = performance.now();
      const quietMs = await this.claim(to, epoch, call.signal);
      // From the answer on: what the agent had confirmed while nobody reached it is not to be forgotten.
      const quietSince = performance.now() - quietMs;
      const lease = await this.look(call.signal);
      refuseStale(lease, to, epoch);
      if (lease?.holder === to && lease.epoch === epoch && !lease.released) return;
      const free = !lease?.holder || lease.released || lease.holder === to;
      const quiet = performance.now() - quietSince >= times.takeAfterMs;
      const over = free || (lease.ageMs >= times.takeAfterMs && quiet);
      const usable = performance.now() - claimedAt < times.claimUsableMs;
      if (over && usable && (await this.store.take(to, epoch, lease?.version, call.signal))) return;
      if (over || !lease?.holder) continue;
      // The age that the store tells grows by whole seconds, the next one may be about to come.
      const left = Math.max(pollMs, times.takeAfterMs - times.storeResolutionMs - lease.ageMs);
      const why = (await this.release(lease.holder, lease.epoch, Math.min(left, releaseMs), call.signal)) ?? '';
      if (why && why !== said)
        call.progress(`${why}; its lease runs out ${times.takeAfterMs / 1000} s after its last renewal`);
      said = why;
      if (performance.now() > end) throw leaseHeld(lease.holder, lease, why);
    }
  }

  /** @returns for how long nobody at the site has confirmed to the other one that nobody claims, milliseconds. */
  private async claim(site: Site, epoch: number, signal: AbortSignal): Promise<number> {
    const { status, body } = await this.askPatiently(site, 'claim', { epoch }, signal, claimMs);
    if (status === 200) return Number(body['quietMs']);
    throw new StandbyError(
      'ClaimRefused',
      `the agent of ${site} can't claim the lease (${String(body['why'])}): check the API server of its cluster`,
      { retryable: true },
    );
  }

  /** Asks the holder to stop and let go. @returns why it has not, undefined when it has. */
  private async release(site: Site, epoch: number, withinMs: number, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { status, body } = await this.ask(site, 'release', { epoch }, signal, withinMs);
      return status === 200 ? undefined : `the agent of ${site} has not let go (${String(body['why'])})`;
    } catch (cause) {
      if (!(cause instanceof StandbyError)) throw cause;
      return `the agent of ${site} does not answer`;
    }
  }

  /** The new holder must know of it: from then on its agents stop the site when they lose it. */
  private async held(to: Site, epoch: number, call: Call): Promise<void> {
    const end = performance.now() + holdMs;
    for (;;) {
      const { body } = await this.askPatiently(to, 'look', {}, call.signal);
      if (body['holds'] === epoch) return;
      if (performance.now() > end) {
        throw new StandbyError(
          'LeaseNotHeld',
          `${to} has the lease for epoch ${epoch}, but its agents do not renew it: check that they reach the lease store`,
          { retryable: true },
        );
      }
      await delay(pollMs, undefined, { signal: call.signal });
    }
  }

  private get mode(): 'on' | 'off' {
    return this.context.configuration().writerLease;
  }

  private async look(signal: AbortSignal): Promise<Lease | undefined> {
    try {
      return await this.store.look(signal);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new StandbyError(
        'StoreUnreachable',
        `the lease store does not answer (${(cause as Error).message.split('\n')[0]}): check ${this.context.landscape.store.endpoint} and your credentials`,
        { retryable: true, cause },
      );
    }
  }

  private async askPatiently(
    site: Site,
    topic: Topic,
    question: object,
    signal: AbortSignal,
    withinMs = agentMs,
  ): Promise<Answer> {
    for (const end = performance.now() + awayMs; ; await delay(pollMs, undefined, { signal })) {
      try {
        return await this.ask(site, topic, question, signal, withinMs);
      } catch (cause) {
        if (!(cause instanceof StandbyError) || performance.now() > end) throw cause;
      }
    }
  }

  private ask(site: Site, topic: Topic, question: object, signal: AbortSignal, withinMs = agentMs): Promise<Answer> {
    const { internalZone, network } = this.context.landscape.sites[site];
    const peer: Peer = { host: agentHost(internalZone), address: network.ingressAddress };
    return ask(peer, this.key, topic, { ...question }, { signal, withinMs });
  }
}

/** @throws StandbyError StaleEpoch */
function refuseStale(lease: Lease | undefined, to: Site, epoch: number): void {
  if (!lease || epoch > lease.epoch || (epoch === lease.epoch && lease.holder === to)) return;
  throw new StandbyError(
    'StaleEpoch',
    `the lease is at epoch ${lease.epoch}${lease.holder ? ` (${lease.holder})` : ''}; epoch ${epoch} is over: look at \`standby status\`, plan anew`,
  );
}

const leaseHeld = (holder: Site, { epoch }: Lease, why: string) =>
  new StandbyError(
    'LeaseHeld',
    `${holder} holds the lease of epoch ${epoch} and goes on renewing it${why ? `: ${why}` : ''}; stop its agents or its cluster, then resume`,
    { retryable: true, exit: 'resumable' },
  );
