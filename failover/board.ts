/**
 * What the agents of one site share: whether somebody takes over for this site, and how often they have told the other site that
 * nobody does. It lies in the site's own cluster and is changed by compare-and-swap only, so that a claim ends all confirmations.
 */
export interface Board {
  /** Epoch that is claimed for this site; 0 when none is. */
  readonly claim: number;
  /** Grows with every claim, also of the same epoch. */
  readonly claims: number;
  /** Grows with every "nobody claims" told to the other site. */
  readonly confirmations: number;
}

export const emptyBoard: Board = { claim: 0, claims: 0, confirmations: 0 };

export const claimed = (board: Board, epoch: number): Board => ({
  ...board,
  claim: Math.max(board.claim, epoch),
  claims: board.claims + 1,
});
export const confirmed = (board: Board): Board => ({ ...board, confirmations: board.confirmations + 1 });
export const unclaimed = (board: Board): Board => ({ ...board, claim: 0 });

/** What one agent knows of the board, by its own clock. */
export interface BoardView {
  readonly board: Board;
  /** Since when no confirmation was given, at the latest: when this number of them was seen first. */
  readonly quietSince: number;
  /** When this claim was seen first. */
  readonly claimSince: number;
}

/** @param at - own clock, when the answer that had the board was in. */
export function seeBoard(view: BoardView | undefined, board: Board, at: number): BoardView {
  const sameSilence = view?.board.confirmations === board.confirmations;
  const sameClaim = view?.board.claims === board.claims;
  return {
    board,
    quietSince: sameSilence ? view.quietSince : at,
    claimSince: sameClaim ? view.claimSince : at,
  };
}
