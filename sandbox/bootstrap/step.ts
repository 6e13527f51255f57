/** Steps of the bootstrap: a line when one is done, a line now and then while one takes long. */

export type Report = (line: string) => void;

/** What every step is given: where to report, and the signal that another step has failed and this one is to stop. */
export interface Context {
  readonly report: Report;
  readonly signal: AbortSignal;
}

export interface Progress {
  /** Sets what is shown while the step runs: "412 packages compiled". */
  readonly at: (what: string) => void;
}

const firstMs = 2_000;
const thenMs = 15_000;

export const secondsSince = (began: number) => `${((Date.now() - began) / 1000).toFixed(1)} s`;

/**
 * Runs one step and reports its result and time.
 * @param work returns the step's value and, in words, what came of it ("PostgreSQL 15.18 in /usr/lib/postgresql/15/bin").
 */
export async function step<T>(
  { report, signal }: Context,
  name: string,
  work: (progress: Progress) => Promise<readonly [value: T, said: string]>,
): Promise<T> {
  signal.throwIfAborted();
  const began = Date.now();
  let what = 'working';
  const tell = () => report(`${name}: ${what} … ${secondsSince(began)}`);
  let every: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    tell();
    every = setInterval(tell, thenMs);
  }, firstMs);
  try {
    const [value, said] = await work({ at: (now) => (what = now) });
    report(`${name}: ${said} (${secondsSince(began)})`);
    return value;
  } finally {
    clearTimeout(first);
    clearInterval(every);
  }
}
