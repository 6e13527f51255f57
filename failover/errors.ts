/** Faults that a person is told in one line, each with the exit code that says what to do next. */

/** What a command ends with. The table in the README says what to do about each. */
export const exitCodes = {
  done: 0,
  /** A defect of ours, or something nobody foresaw. */
  fault: 1,
  /** The command line itself is wrong; nothing was looked at. */
  usage: 2,
  /** A precondition does not hold; nothing was changed. */
  refused: 3,
  /** The run stopped half-way; `standby resume` goes on. */
  resumable: 4,
  /** The run failed, and the business runs where it ran before. */
  safe: 5,
  /** Something that only a person can decide or put right; the message says what. */
  person: 6,
} as const;
export type Exit = keyof typeof exitCodes;

interface Options extends ErrorOptions {
  readonly exit?: Exit;
  /** The same call may succeed a moment later. @default - false */
  readonly retryable?: boolean;
}

/** `code` is stable, PascalCase. `message` is one line: what, the value got, what is allowed, how to fix it. Never a secret. */
export class StandbyError extends Error {
  override readonly name = 'StandbyError';
  readonly exit: Exit;
  readonly retryable: boolean;

  constructor(
    readonly code: string,
    message: string,
    { exit = 'refused', retryable = false, ...options }: Options = {},
  ) {
    super(message, options);
    this.exit = exit;
    this.retryable = retryable;
  }
}
