/** One line for each thing worth knowing afterwards, as JSON; never a secret. */
export type Log = (what: string, facts?: Readonly<Record<string, unknown>>) => void;

export const log: Log = (what, facts = {}) => {
  console.log(JSON.stringify({ at: new Date().toISOString(), what, ...facts }));
};

/** @returns what went wrong, in one line. */
export const messageOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '';
