/** What placement does for the rest of the agent. */
import type { GuestMemory } from '../guest/index.ts'
import type { PageHasher } from '../page/index.ts'

/**
 * Page counts for `agent.status()`. `pending`: pages of `wanted` that are neither held nor given up; at least one while
 * the first plan is still to be made, or the view has grown since the last one.
 */
export interface PlacementTotals {
  wanted: number
  held: number
  pending: number
}

/** The pages of a guest's memory that are worth keeping: those that have not changed since the last scan. */
export interface StablePages {
  /** Hashes pages as that scan did. */
  readonly hasher: PageHasher
  /** Number of distinct pages in that scan. */
  readonly count: number
  /** Calls `visit` with the page number of each, counted through the guest's blocks in order. */
  forEachNumber(visit: (pageNumber: number) => void): void
  /** Whether the page with this prefix is one of them. */
  has(high: number, low: number): boolean
}

export interface Keeper {
  readonly totals: PlacementTotals
  /**
   * Stores the stable pages of a guest that was handed away, from its present memory. Resolves when they are stored,
   * the store is full of better pages, or the guest's process has ended. Never rejects.
   */
  keepDeparted(memory: GuestMemory, pages: StablePages): Promise<void>
  /** Pauses placement while something more urgent needs CPU and disk; returns a function that resumes it. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
