/** Takes a run back, step by step in reverse order, as long as there is a way back. */
import { StandbyError } from './errors';
import { ending, nextCommands } from './messages';
import { known, type Observation, type PlannedStep, type RunResult } from './model';
import type { JournalEntry, Ports } from './ports';
import { whyUnknown } from './readings';
import { Session, type SessionOptions } from './session';
import { accepts } from './situation';
import { steps as everyStep, type StepTable } from './steps';

export interface AbortOptions extends SessionOptions {
  readonly who: string;
  /** A person ends the run where it stands, and puts right what is left. Nothing is touched. */
  readonly abandon?: string;
  /** @default - the real ones */
  readonly table?: StepTable;
}

/**
 * @param entries - of the run; the journal is read again under the lock.
 * @returns how it ended: aborted, or failed where it stopped; the same command goes on from there.
 * @throws StandbyError when nothing may be touched: PointOfNoReturn when the only way out is forward, RunOver when the run has ended,
 * Superseded when the business runs beyond it already, Unknown when nobody can tell.
 */
export async function abort(entries: readonly JournalEntry[], ports: Ports, options: AbortOptions): Promise<RunResult> {
  const run = entries[0]?.run ?? '';
  const lock = await ports.lock.acquire(run);
  try {
    const session = new Session(ports, [...(await ports.journal.read(run))], lock.lost, options);
    checkAbort(session, options);
    if (options.abandon === undefined) await checkWorld(session, lock.lost, options);
    const { who, lost, abandon } = options;
    await session.record({
      ...{ type: 'resume', who },
      ...(lost === undefined ? {} : { lost }),
      ...(abandon === undefined ? {} : { abandon }),
    });
    session.emit({ code: 'RunStarted', plan: session.state.plan, resumed: true });
    const failure = abandon === undefined ? await takeBack(session, options) : undefined;
    if (failure) {
      session.emit({ code: 'RunEnded', result: failure });
      return failure;
    }
    await session.record({ type: 'end', outcome: 'aborted' });
    const { startedAt, last, abandoned } = session.state;
    const seconds = (last.at - startedAt) / 1000;
    const result: RunResult = { outcome: 'aborted', seconds, ...(abandoned === undefined ? {} : { abandoned }) };
    session.emit({ code: 'RunEnded', result });
    return result;
  } finally {
    // What can't be given back runs out.
    await lock.release().catch(() => undefined);
  }
}

function checkAbort({ state: { run, outcome, abandoned, committed, plan } }: Session, { abandon }: AbortOptions): void {
  if (outcome) {
    throw new StandbyError(
      'RunOver',
      `run ${run} has ended (${ending({ outcome, abandoned })}): there is nothing to take back`,
    );
  }
  if (!committed || abandon !== undefined) return;
  const step = plan.steps.find(({ pointOfNoReturn }) => pointOfNoReturn);
  throw new StandbyError(
    'PointOfNoReturn',
    `run ${run} has begun to ${step?.title ?? 'change roles'}, and there is no way back from that: go on with standby resume; standby failback leads home afterwards`,
    { exit: 'resumable' },
  );
}

/** What a person did by hand is in no record, nor is what a machine wrote to its own disk alone. A refusal rests on two looks. */
async function checkWorld(session: Session, lost: AbortSignal, { signal }: AbortOptions): Promise<void> {
  const { observer } = session.ports;
  const look = async (again: boolean) =>
    refusal(session, await observer.observe(signal ? AbortSignal.any([lost, signal]) : lost, again));
  const refused = (await look(false)) && (await look(true));
  session.mayAct();
  if (refused) throw refused;
}

/** @returns why the run must not be taken back: there may be rows already that the server in use before lacks. */
function refusal(session: Session, seen: Observation): StandbyError | undefined {
  const { run, plan, aborting } = session.state;
  const { from, to, branch } = plan;
  const further = signsOf(session, seen);
  if (further.length > 0) {
    return new StandbyError(
      'Superseded',
      `run ${run} can't be taken back without leaving rows behind: ${further.join(', ')}; see standby status: where the business runs again, end the run with standby abort --abandon "reason"${aborting ? '' : ', else go on with standby resume'}`,
      { exit: 'person' },
    );
  }
  const lease = known(seen.lease);
  const server = openedBy(session);
  const reading = seen.servers[server];
  // What was never made has no rows, and a site that has not the lease gets none.
  const made = branch === '1c' || (branch === '1b' && session.stateOf('restore').state === 'done');
  const blind = lease?.holder === to && made && reading !== undefined && 'unknown' in reading;
  if (lease && !blind) return undefined;
  const [what, why] = lease ? [server, reading] : ['the writer lease', seen.lease];
  return new StandbyError(
    'Unknown',
    `${what} ${whyUnknown(why, seen.at)}, and without it nobody can tell whether ${to} has written: wait until it answers, then standby abort; if it is lost, standby abort --abandon "reason", then ${from} in a new epoch by plain Pulumi`,
  );
}

/** What shows that somebody went past the point of no return: the run itself leaves none of it behind before that. */
function signsOf(session: Session, seen: Observation): string[] {
  const { from, to, epoch, branch, after } = session.state.plan;
  const { values } = seen.configuration;
  const lease = known(seen.lease);
  const source = branch === '1a' ? openedBy(session) : after.recoveries.findLast(({ site }) => site === to)?.from;
  const open = Object.entries(seen.servers).flatMap(([name, reading]) => {
    const server = known(reading);
    const now = server?.token?.epoch ?? 0;
    // A way back that was cut off may have opened it, in an epoch of its own.
    const returned = name === source && lease?.holder === from && lease.epoch === now;
    return accepts(server) && now >= epoch && !returned ? [`${name} takes writes in epoch ${now}`] : [];
  });
  const untaken = session.stateOf('take-lease').state === 'waiting' || (lease?.epoch ?? 0) > epoch;
  return [
    ...(values.activeSite === to && values.stage !== 'made' ? [`the configuration has the business at ${to}`] : []),
    ...open,
    ...(lease?.holder === to && untaken ? [`${to} has the lease in epoch ${lease.epoch}, not by this run`] : []),
    ...(Object.values(known(seen.records) ?? {}).includes(seen.ingress[to]) ? [`public names lead to ${to}`] : []),
  ];
}

function openedBy({ state: { plan } }: Session): string {
  const server = plan.steps.find(({ id }) => id === 'open-database')?.args['server'];
  return typeof server === 'string' ? server : '';
}

async function takeBack(session: Session, options: AbortOptions): Promise<RunResult | undefined> {
  const table = options.table ?? everyStep;
  for (const step of [...session.state.plan.steps].reverse()) {
    const { undo } = table[step.id];
    const { state, skipped } = session.stateOf(step.id);
    if (!undo || state === 'waiting' || state === 'undone' || skipped !== undefined) continue;
    try {
      await undoStep(session, step, undo, options);
    } catch (cause) {
      if (!(cause instanceof StandbyError)) throw cause;
      return {
        ...{ outcome: 'failed', step: step.id, error: cause.code, message: cause.message, resumable: true },
        ...{ next: nextCommands(session.state), exit: cause.exit === 'person' ? 'person' : 'resumable' },
      };
    }
  }
  return undefined;
}

async function undoStep(
  session: Session,
  step: PlannedStep,
  undo: NonNullable<StepTable[PlannedStep['id']]['undo']>,
  { lost }: AbortOptions,
): Promise<void> {
  const { id } = step;
  try {
    await session.attempt(step, (call) => undo(session.context(step, undefined, call)), {
      begin: () => session.record({ type: 'undo-intent', step: id }),
      failed: async ({ code, message }, pauseMs) => {
        await session.record({ type: 'failure', step: id, error: code, message });
        const retry = pauseMs === undefined ? {} : { retryInSeconds: pauseMs / 1000 };
        session.emit({ code: 'StepFailed', step: id, error: code, message, ...retry });
      },
      // What is lost does not come back because it is asked again, and whoever waits for this has a failover to begin.
      goOn: () => lost === undefined,
    });
    await session.record({ type: 'undone', step: id });
  } catch (cause) {
    session.mayAct();
    if (lost === undefined || !(cause instanceof StandbyError)) throw cause;
    await session.record({ type: 'undone', step: id, skipped: `${lost}: ${cause.message}` });
  }
  session.emit({ code: 'StepUndone', step: id });
}
