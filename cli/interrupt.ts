/** Ctrl-C and a polite kill stop a run where it can be taken up again; a second one ends the process at once. */
import { exitCodes, StandbyError } from '../failover/errors';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @param said - called at the first signal. @returns what was made of the act. */
export async function interruptible<T>(
  act: (signal: AbortSignal) => Promise<T>,
  said: () => void = () => undefined,
): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(exitCodes.resumable);
    said();
    stop.abort(
      new StandbyError('Interrupted', 'stopped as asked: `standby status` says where things are', {
        exit: 'resumable',
      }),
    );
  };
  for (const name of signals) process.on(name, onSignal);
  try {
    return await act(stop.signal);
  } finally {
    for (const name of signals) process.removeListener(name, onSignal);
  }
}
