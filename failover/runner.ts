/** Carries a plan out: intent before act, result after, in the order of its graph, until it is done or the first step fails. */
import type { Site } from '../config/fields';
import { StandbyError, type Exit } from './errors';
import { fingerprint } from './fingerprint';
import { fold, nextEntry, verifyChain } from './journal';
import { ending, nextCommands } from './messages';
import { known, type Json, type Observation, type Plan, type PlannedStep, type RunResult, type StepId } from './model';
import type { Call, JournalEntry, Ports } from './ports';
import { fresh, hasUnknown, whyUnknown } from './readings';
import { asFault, Session, type SessionOptions } from './session';
import { accepts } from './situation';
import { steps as everyStep, type StepContext, type StepTable } from './steps';

export { abort, type AbortOptions } from './abort';

export interface RunOptions extends SessionOptions {
  readonly who: string;
  /** Entries of the run that goes on. The journal is read again under the lock. @default - the plan begins */
  readonly resume?: readonly JournalEntry[];
  /** What the plan was made from: when that was a moment ago, it isn't looked at again. */
  readonly seen?: Observation;
  /** @default - the real ones */
  readonly table?: StepTable;
}

/** What was seen so long ago still holds. */
const momentMs = 5_000;

/**
 * Begins a plan, or goes on with a run. Nothing is changed before the plan is in the journal.
 * @returns how it ended; a run that had ended before changes nothing.
 * @throws StandbyError when it may not begin: PlanStale, RunUnfinished, RunInProgress, RunOver, Superseded.
 */
export async function execute(plan: Plan, ports: Ports, options: RunOptions): Promise<RunResult> {
  const lock = await ports.lock.acquire(plan.id);
  try {
    const begun = options.resume
      ? await goOn(plan, ports, lock.lost, options)
      : await begin(plan, ports, lock.lost, options);
    if ('outcome' in begun) return begun;
    return await new Run(begun.session, begun.seen, options.table ?? everyStep).toEnd();
  } finally {
    // What can't be given back runs out.
    await lock.release().catch(() => undefined);
  }
}

interface Begun {
  readonly session: Session;
  readonly seen: Observation;
}

const observe = (ports: Ports, lost: AbortSignal, { signal }: RunOptions, again = false): Promise<Observation> =>
  ports.observer.observe(signal ? AbortSignal.any([lost, signal]) : lost, again);

async function begin(plan: Plan, ports: Ports, lost: AbortSignal, options: RunOptions): Promise<Begun> {
  const newest = await ports.journal.read();
  const ended = newest.length > 0 ? lastRun(newest, plan) : 0;
  const now = ports.clock.now();
  const stale = (why: string) =>
    new StandbyError(
      'PlanStale',
      `the plan of ${new Date(plan.createdAt).toISOString()} ${why}; nothing was written: plan again`,
    );
  if (now > plan.expiresAt) throw stale(`expired at ${new Date(plan.expiresAt).toISOString()}`);
  const { seen: earlier } = options;
  const recent = earlier && now - earlier.at <= momentMs && earlier.at > ended ? earlier : undefined;
  let seen = recent ?? (await observe(ports, lost, options));
  // One look can miss what is there.
  if (fingerprint(seen) !== plan.fingerprint && hasUnknown(seen)) seen = await observe(ports, lost, options, true);
  if (fingerprint(seen) !== plan.fingerprint) throw stale('is of another world than the one that is there now');
  const entry = nextEntry(undefined, plan.id, ports.clock.now(), { type: 'plan', plan, who: options.who });
  await ports.journal.append(entry);
  const session = new Session(ports, [entry], lost, options);
  session.emit({ code: 'RunStarted', plan, resumed: false });
  return { session, seen };
}

/** @returns when the newest run ended. @throws StandbyError RunUnfinished, RunOver */
function lastRun(entries: readonly JournalEntry[], plan: Plan): number {
  verifyChain(entries);
  const state = fold(entries);
  const { run, outcome, abandoned, who, startedAt, last } = state;
  if (!outcome) {
    throw new StandbyError(
      'RunUnfinished',
      `run ${run}, which ${who} began at ${new Date(startedAt).toISOString()}, has not ended: ${nextCommands(state)} comes first`,
    );
  }
  if (run === plan.id) {
    const how = ending({ outcome, abandoned });
    throw new StandbyError('RunOver', `this plan was carried out already (${how}): plan again`);
  }
  return last.at;
}

async function goOn(plan: Plan, ports: Ports, lost: AbortSignal, options: RunOptions): Promise<Begun | RunResult> {
  const session = new Session(ports, [...(await ports.journal.read(plan.id))], lost, options);
  const { outcome, abandoned, aborting, startedAt, last } = session.state;
  if (outcome === 'done') return { outcome, seconds: (last.at - startedAt) / 1000 };
  if (outcome || aborting) {
    const how = outcome
      ? `was ${ending({ outcome, abandoned })}: plan again`
      : 'is being taken back: finish that with standby abort';
    throw new StandbyError('RunOver', `run ${plan.id} ${how}`);
  }
  const seen = await observe(ports, lost, options);
  checkSuperseded(session, seen);
  await session.record({
    type: 'resume',
    who: options.who,
    ...(options.lost === undefined ? {} : { lost: options.lost }),
  });
  session.emit({ code: 'RunStarted', plan: session.state.plan, resumed: true });
  return { session, seen };
}

/** Somebody has changed roles since: what is left of this run would undo that. */
function checkSuperseded(session: Session, seen: Observation): void {
  const { plan } = session.state;
  const { values } = seen.configuration;
  // Only the end of a run writes that: somebody has done by hand what is left of it, and users are at work there.
  const byHand =
    values.epoch === plan.epoch && values.stage === 'complete' && session.stateOf('converge').state === 'waiting';
  const later = [
    ...(values.epoch > plan.epoch ? [`the configuration is in epoch ${values.epoch}`] : []),
    ...(values.epoch === plan.epoch && values.activeSite !== plan.to
      ? [`epoch ${plan.epoch} is ${values.activeSite}'s`]
      : []),
    ...Object.entries(seen.servers).flatMap(([name, reading]) => {
      const epoch = known(reading)?.token?.epoch ?? 0;
      return epoch > plan.epoch ? [`${name} has admitted epoch ${epoch}`] : [];
    }),
    ...Object.entries(seen.servers).flatMap(([name, reading]) => {
      const server = known(reading);
      const open = accepts(server) && server?.token?.epoch === plan.epoch;
      return byHand && open ? [`the configuration has that complete, and ${name} takes writes in it`] : [];
    }),
    ...((known(seen.lease)?.epoch ?? 0) > plan.epoch ? [`the lease is in epoch ${known(seen.lease)?.epoch}`] : []),
  ];
  if (later.length === 0) return;
  throw new StandbyError(
    'Superseded',
    `run ${plan.id} brings epoch ${plan.epoch}, but ${later.join(', ')}: somebody has gone further; end it with standby abort --abandon "reason"`,
    { exit: 'person' },
  );
}

class Run {
  private failure: { readonly step: StepId; readonly cause: unknown } | undefined;

  constructor(
    private readonly session: Session,
    private readonly seen: Observation,
    private readonly table: StepTable,
  ) {}

  async toEnd(): Promise<RunResult> {
    const { plan } = this.session.state;
    const over = new Set<StepId>();
    const running = new Map<StepId, Promise<StepId>>();
    const waiting = new Map(plan.steps.map((step) => [step.id, step]));
    for (;;) {
      const ready = this.failure ? [] : [...waiting.values()].filter(({ after }) => after.every((id) => over.has(id)));
      for (const step of ready) {
        waiting.delete(step.id);
        running.set(step.id, this.settle(step));
      }
      if (running.size === 0) break;
      const ended = await Promise.race(running.values());
      running.delete(ended);
      over.add(ended);
    }
    return this.failure ? this.failed(this.failure) : this.ended(waiting.size);
  }

  /** The first failure counts; what goes on beside it may end. */
  private async settle(step: PlannedStep): Promise<StepId> {
    try {
      await this.perform(step);
    } catch (cause) {
      this.failure ??= { step: step.id, cause };
    }
    return step.id;
  }

  private async ended(left: number): Promise<RunResult> {
    if (left > 0) throw new StandbyError('PlanInvalid', 'steps of the plan wait for each other: make the plan again');
    const { session } = this;
    await session.record({ type: 'end', outcome: 'done' });
    const { startedAt, last } = session.state;
    const result: RunResult = { outcome: 'done', seconds: (last.at - startedAt) / 1000 };
    session.emit({ code: 'RunEnded', result });
    return result;
  }

  private failed({ step, cause }: { readonly step: StepId; readonly cause: unknown }): RunResult {
    if (!(cause instanceof StandbyError)) throw cause;
    const result: RunResult = {
      ...{ outcome: 'failed', step, error: cause.code, message: cause.message },
      ...{ resumable: true, next: nextCommands(this.session.state), exit: this.exitOf(cause) },
    };
    this.session.emit({ code: 'RunEnded', result });
    return result;
  }

  private exitOf(cause: StandbyError): Exit {
    if (cause.exit === 'person') return 'person';
    const { session } = this;
    return session.isHarmless() && session.state.plan.kind !== 'failover' ? 'safe' : 'resumable';
  }

  /** The proof of the fence is made again when a run goes on: nobody knows what happened in between. */
  private isOver({ id }: PlannedStep): boolean {
    const { session, table } = this;
    if (session.stateOf(id).state !== 'done') return false;
    const closed = session.stateOf('open-database').state === 'waiting';
    return !(table[id].renewed && closed);
  }

  private async perform(step: PlannedStep): Promise<void> {
    const { session, table, seen } = this;
    const { id } = step;
    if (this.isOver(step)) return session.emit({ code: 'StepSkipped', step: id, why: 'done before' });
    session.mayAct();
    const why = await this.already(step);
    if (why !== undefined) {
      await session.record({ type: 'result', step: id, facts: {}, skipped: why });
      return session.emit({ code: 'StepSkipped', step: id, why });
    }
    const { clock } = session.ports;
    const started = clock.now();
    const act = async (call: Call) => {
      const context = session.context(step, seen, call);
      const { bothSites } = table[id];
      if (bothSites === 'first' || (bothSites && context.again)) await checkAnswers(context, session.isHarmless());
      return table[id].run(context);
    };
    const facts = await session.attempt(step, act, {
      begin: async () => {
        const attempt = session.stateOf(id).attempts + 1;
        await session.record({ type: 'intent', step: id, attempt });
        session.emit({ code: 'StepStarted', step: id, attempt });
      },
      failed: async ({ code, message }, pauseMs) => {
        await session.record({ type: 'failure', step: id, error: code, message });
        const retry = pauseMs === undefined ? {} : { retryInSeconds: pauseMs / 1000 };
        session.emit({ code: 'StepFailed', step: id, error: code, message, ...retry });
      },
      goOn: () => this.failure === undefined,
    });
    await session.record({ type: 'result', step: id, facts });
    session.emit({ code: 'StepDone', step: id, seconds: (clock.now() - started) / 1000, facts });
  }

  /** @returns why there is nothing to do. Where that can't be told the step runs: it is repeatable. */
  private async already(step: PlannedStep): Promise<string | undefined> {
    const { session, table, seen } = this;
    const { done } = table[step.id];
    if (!done) return undefined;
    try {
      return await session.within(step, step.limitSeconds * 1000, (call) => done(session.context(step, seen, call)));
    } catch (cause) {
      if (asFault(cause).code === 'Fault') throw cause;
      return undefined;
    }
  }
}

/**
 * One look can miss what is there.
 * @throws StandbyError SiteSilent
 */
async function checkAnswers({ plan, step, ports, call, lost }: StepContext, harmless: boolean): Promise<void> {
  // Of a preview: the switch that the run has brought about.
  const values = step.args['values'] ?? (plan.after as unknown as Json);
  const isWhole =
    typeof values === 'object' && values !== null && 'unreachable' in values && values.unreachable === 'none';
  if (!isWhole || lost !== undefined) return;
  const silentIn = ({ sites: seen, at }: Observation) =>
    (Object.keys(seen) as Site[]).find((site) => fresh(seen[site].cluster, at) === undefined);
  let seen = await ports.observer.observe(call.signal);
  if (silentIn(seen)) seen = await ports.observer.observe(call.signal, true);
  const site = silentIn(seen);
  if (!site) return;
  const isLost = harmless
    ? `if it is lost, say standby abort --site-is-lost "reason", then standby failover --to ${plan.to}`
    : 'if it is lost, say standby resume --site-is-lost "reason"';
  const next = site === plan.from ? isLost : 'or go back with standby abort';
  throw new StandbyError(
    'SiteSilent',
    `the cluster of ${site} ${whyUnknown(seen.sites[site].cluster, seen.at)}, and ${step.id} needs it: wait until it answers, then standby resume; ${next}`,
    { exit: 'resumable' },
  );
}
