/** Takes a run back, step by step in reverse order, as long as there is a way back. */
import { StandbyError } from './errors';
import type { PlannedStep, RunResult } from './model';
import type { JournalEntry, Ports } from './ports';
import { Session, type SessionOptions } from './session';
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
 * @throws StandbyError PointOfNoReturn when the only way out is forward; RunOver when the run has ended.
 */
export async function abort(entries: readonly JournalEntry[], ports: Ports, options: AbortOptions): Promise<RunResult> {
  const run = entries[0]?.run ?? '';
  const lock = await ports.lock.acquire(run);
  try {
    const session = new Session(ports, [...(await ports.journal.read(run))], lock.lost, options);
    checkAbort(session, options);
    await session.record({
      type: 'resume',
      who: options.who,
      ...(options.lost === undefined ? {} : { lost: options.lost }),
    });
    session.emit({ code: 'RunStarted', plan: session.state.plan, resumed: true });
    const failure = options.abandon === undefined ? await takeBack(session, options) : undefined;
    if (failure) {
      session.emit({ code: 'RunEnded', result: failure });
      return failure;
    }
    await session.record({ type: 'end', outcome: 'aborted' });
    const { startedAt, last } = session.state;
    const result: RunResult = { outcome: 'aborted', seconds: (last.at - startedAt) / 1000 };
    session.emit({ code: 'RunEnded', result });
    return result;
  } finally {
    // What can't be given back runs out.
    await lock.release().catch(() => undefined);
  }
}

function checkAbort({ state: { run, outcome, committed, plan } }: Session, { abandon }: AbortOptions): void {
  if (outcome) {
    throw new StandbyError('RunOver', `run ${run} has ended (${outcome}): there is nothing to take back`);
  }
  if (!committed || abandon !== undefined) return;
  const step = plan.steps.find(({ pointOfNoReturn }) => pointOfNoReturn);
  throw new StandbyError(
    'PointOfNoReturn',
    `run ${run} has begun to ${step?.title ?? 'change roles'}, and there is no way back from that: go on with standby resume; standby failback leads home afterwards`,
    { exit: 'resumable' },
  );
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
      const exit = cause.exit === 'person' ? 'person' : 'resumable';
      return { outcome: 'failed', step: step.id, error: cause.code, message: cause.message, resumable: true, exit };
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
