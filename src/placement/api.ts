/** What placement does for the rest of the agent. */
import type { GuestMemory } from '../guest/index.ts'

/**
 * Pages, for `agent.status()`. `pending` are those of `wanted` that are neither held nor given up; while the first plan
 * is still to be made, or the view has grown since the last one, at least one.
 */
export interface PlacementTotals {
  wanted: number
  held: number
  pending: number
}

/** Which pages of a guest's memory are worth keeping: those that stayed as they were when it was scanned last. */
export interface StablePages {
  /** Distinct pages that were there then. */
  readonly count: number
  /** Calls `visit` with the page number of each, counted through the guest's blocks in order. */
  forEachNumber(visit: (pageNumber: number) => void): void
  /** Whether a page of this id is one of them. */
  has(high: number, low: number): boolean
}

export interface Keeper {
  readonly totals: PlacementTotals
  /**
   * Keeps the stable pages of a guest that was handed away, out of its memory as it stands. Resolves when they are kept
   * or there is no more to be done: the store is full of better pages, or the guest's process has ended. Never rejects.
   */
  keepDeparted(memory: GuestMemory, pages: StablePages): Promise<void>
  /**
   * Names of other members that may have this page: whose guests hold it, and who may keep it for all. A little work
   * for each member.
   */
  holdersOf(high: number, low: number): string[]
  /** Makes it wait while something more urgent needs CPU and disk; returns how to let it go on. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
