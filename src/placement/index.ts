/**
 * Which pages this host should keep. The head of what is popular is kept by every host, the tail on a few hosts each,
 * by rendezvous hashing; below both, the stable pages of guests that left. The decision is a pure function; a keeper
 * carries it out through swap and store, under their budgets.
 *
 * Nothing implements this yet: here stands what the rest may expect of it.
 */

/** What is to be done; ids of 16 bytes, one after the other, the most urgent first. */
export interface PlacementPlan {
  fetch: Uint8Array
  drop: Uint8Array
}

/** Pages, for `agent.status()`. `pending` are those of `wanted` that are neither held nor given up. */
export interface PlacementTotals {
  wanted: number
  held: number
  pending: number
}
