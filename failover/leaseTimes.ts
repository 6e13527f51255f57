/** The times of the writer lease, in milliseconds. docs/decisions/0007-writer-lease.md says why they are safe. */
export const times = {
  /** How often an agent decides. */
  tickMs: 250,
  renewEveryMs: 1_000,
  /** An answer that takes longer is none. */
  answerMs: 1_500,
  /** Without a renewal for so long, the other site and the other agent are asked as well. */
  doubtAfterMs: 1_700,
  /** Without a confirmation for so long (since it was asked for) the site is fenced, … */
  fenceAfterMs: 4_000,
  /** … and the fence is complete. */
  fencedByMs: 7_000,
  /** An agent that has just started does not know how old the last confirmation is. */
  newcomerMs: 2_000,
  /** By the store's clock: an older lease may be taken. */
  takeAfterMs: 10_000,
  /** The store tells its times in whole seconds. */
  storeResolutionMs: 1_000,
  /** Clocks run at the same pace within this share. */
  drift: 0.01,
  /** Again and again: what its fellow opened before it went must not stay open. */
  repeatFenceMs: 2_000,
  /** From the server's time before the lease was confirmed to the latest moment at which the server opens. */
  openWithinMs: 3_000,
  retryAdmissionMs: 5_000,
  lookEveryMs: 2_000,
  /** An agent that has not seen the lease for so long, three looks, could not hold it either. */
  blindAfterMs: 7_000,
  boardEveryMs: 5_000,
  /** Who claims has so long to look at the lease; a claim of which nothing came is forgotten after the second. */
  claimUsableMs: 20_000,
  claimLapsesMs: 60_000,
} as const;
