/** Stops and opens the site: its epoch on the database servers, its applications on the cluster. */
import { lookup } from 'node:dns/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { admit, fence, serverTime, type AdmissionTarget } from '../adapters/postgres/admission';
import { StandbyError } from '../failover/errors';
import { times } from '../failover/leaseTimes';
import { messageOf, type Log } from './log';
import type { Workloads } from './workloads';

const lookMs = 250;
const stopMs = 20_000;
/** For the servers to say whether there is anything to stop. */
const headStartMs = 500;
/** Where the applications work, and where their servers are, is looked up this often at most, and kept for when nobody can be asked. */
const placeMs = 10_000;

/** It says nothing, or does not let this site in: what it would say of the epoch is not known. */
const isClosedToUs = (cause: unknown): cause is StandbyError =>
  cause instanceof StandbyError && ['DatabaseUnreachable', 'DatabaseRefused'].includes(cause.code);

export class SiteControl {
  private hosts: readonly string[];
  private placedAt = -Infinity;
  private readonly addresses = new Map<string, string>();
  private rememberedAt = -Infinity;
  private stopping:
    { readonly word: string; readonly done: Promise<void>; readonly broken: AbortController } | undefined;
  private starting: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly server: AdmissionTarget,
    private readonly workloads: Workloads,
    private readonly log: Log,
    private readonly lookUp: (host: string) => Promise<{ readonly address: string }> = (host) => lookup(host),
  ) {
    this.hosts = [server.host];
  }

  /**
   * Takes the right to write from an epoch. Returns when the site can't write: its servers refuse it, or nothing of it runs.
   * @throws Error when neither could be brought about.
   */
  async close(epoch: number, final: boolean, signal: AbortSignal): Promise<void> {
    const hand = final ? 'person' : 'agent';
    const servers = Promise.all(
      this.hosts.map((host) => this.closeServer({ ...this.server, host }, epoch, hand, signal)),
    );
    // What is only prepared for an epoch can't write: it need not start anew. A server that is slow to say so is not waited for.
    const heard = await Promise.race([servers.catch(() => undefined), delay(headStartMs, undefined, { signal })]);
    if (!final && heard?.every((admitted) => !admitted)) return;
    const applications = this.stopOnce(epoch, final, signal);
    await Promise.any([servers, applications]).catch((cause: AggregateError) => {
      throw new Error(cause.errors.map(messageOf).join('; '));
    });
  }

  /**
   * Gives an epoch the right to write, and starts again what was stopped in it.
   * @param first - the switch gives this epoch to this site; else only what was open in it before is opened again.
   * @param confirm - asks whether the lease is this site's now. What it says holds for a while from before it was asked.
   * @throws StandbyError StaleEpoch, EpochClosed, AdmissionLate; Error
   */
  async open(epoch: number, first: boolean, confirm: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    await this.place();
    let opened = false;
    let unknown: StandbyError | undefined;
    for (const host of this.hosts) {
      const again = !first || host !== this.server.host;
      try {
        if (await this.openServer({ ...this.server, host }, epoch, again, confirm, signal)) opened = true;
      } catch (cause) {
        // The applications may still be told of a server of the site that was left: it holds up nothing.
        if (!again || !isClosedToUs(cause)) throw cause;
        unknown ??= cause;
      }
    }
    if (!opened && unknown !== undefined) throw unknown;
    // A fence is done when the servers are closed; what it still does to the applications must not go on into this.
    await this.breakOffStop();
    signal.throwIfAborted();
    const starting = this.workloads.start(epoch, signal);
    this.starting = starting.catch(() => undefined);
    const started = await starting;
    if (started > 0) this.log('applications start again', { epoch, started });
  }

  /** Finds out on which servers the applications work: the switch may be about to say another one. */
  async place(): Promise<void> {
    if (performance.now() - this.placedAt < placeMs) return;
    this.placedAt = performance.now();
    try {
      const found = await this.workloads.servers();
      this.hosts = [...new Set([this.server.host, ...found])];
    } catch (cause) {
      this.log('applications unknown', { why: messageOf(cause) });
    }
  }

  /** Finds out where the servers are: a site that is cut off may have nobody to ask for names, and must close them all the same. */
  async remember(): Promise<void> {
    if (performance.now() - this.rememberedAt < placeMs) return;
    this.rememberedAt = performance.now();
    await Promise.all(
      this.hosts.map(async (host) => {
        const found = await this.lookUp(host).catch(() => undefined);
        if (found) this.addresses.set(host, found.address);
      }),
    );
  }

  /** @returns whether the epoch is open there now; it is not where it never was. */
  private async openServer(
    target: AdmissionTarget,
    epoch: number,
    again: boolean,
    confirm: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const before = (await serverTime(target, signal)) + times.openWithinMs;
    if (!(await confirm())) throw new Error('the lease is not confirmed');
    try {
      await admit(target, epoch, signal, { hand: 'agent', before, again });
      return true;
    } catch (cause) {
      const elsewhere = cause instanceof StandbyError && ['EpochUnknown', 'ServerIsReplica'].includes(cause.code);
      if (!again || !elsewhere) throw cause;
      return false;
    }
  }

  /** @returns whether the epoch could write there until now. */
  private async closeServer(
    target: AdmissionTarget,
    epoch: number,
    hand: 'person' | 'agent',
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      const { cut, unknown } = await this.reach(target, (reached) => fence(reached, epoch, true, signal, { hand }));
      if (cut > 0) this.log('sessions ended', { server: target.host, epoch, cut });
      return unknown !== true;
    } catch (cause) {
      // A replica takes no write.
      if (cause instanceof StandbyError && cause.code === 'ServerIsReplica') return false;
      throw cause;
    }
  }

  /** At its last known address, and where it has moved since, by its name. */
  private async reach<T>(target: AdmissionTarget, act: (target: AdmissionTarget) => Promise<T>): Promise<T> {
    const address = this.addresses.get(target.host);
    if (address === undefined) return act(target);
    try {
      return await act({ ...target, address });
    } catch (cause) {
      if (!(cause instanceof StandbyError) || cause.code !== 'DatabaseUnreachable') throw cause;
      return act(target);
    }
  }

  /** One attempt at a time; a fence that is repeated joins the one that goes on. */
  private stopOnce(epoch: number, final: boolean, signal: AbortSignal): Promise<void> {
    const word = `${epoch} ${final}`;
    if (this.stopping?.word === word) return this.stopping.done;
    this.stopping?.broken.abort();
    const broken = new AbortController();
    const done = this.stop(epoch, final, AbortSignal.any([signal, broken.signal])).finally(() => {
      if (this.stopping?.done === done) this.stopping = undefined;
    });
    done.catch((cause: unknown) => {
      if (!broken.signal.aborted) this.log('stop failed', { why: messageOf(cause) });
    });
    this.stopping = { word, done, broken };
    return done;
  }

  private async breakOffStop(): Promise<void> {
    const { stopping } = this;
    stopping?.broken.abort();
    await stopping?.done.catch(() => undefined);
  }

  private async stop(epoch: number, final: boolean, signal: AbortSignal): Promise<void> {
    const end = performance.now() + stopMs;
    // What is being started would come up behind it.
    await this.starting;
    while ((await this.workloads.stop(epoch, final)) > 0) {
      if (performance.now() > end) throw new Error('instances of the applications are still there');
      await delay(lookMs, undefined, { signal });
    }
  }
}
