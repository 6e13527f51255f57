import type { Given } from './state';

interface Passing {
  /** @default - the policy's defaults */
  readonly settings?: object;
  readonly given: readonly Given[];
}

interface Violating extends Passing {
  /** Parts of the message. */
  readonly says: readonly string[];
}

/** A policy, with what it lets pass and what it refuses. */
export interface Case {
  readonly policy: string;
  readonly passes: Readonly<Record<string, Passing>>;
  readonly violations: Readonly<Record<string, Violating>>;
}
