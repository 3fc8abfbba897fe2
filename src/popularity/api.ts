/** What popularity needs of the census, and tells the rest of the agent. */
import type { Prefixes, PrefixRun } from '../page/index.ts'

/** What this host's guests hold, as the census knows it. */
export interface HeldPages {
  /** Changes whenever the result of `stablePages` may have changed. */
  readonly generation: number
  /**
   * Adds to `into`, in rising order, the stable pages whose prefix has a high half from `firstHigh` to `lastHigh`,
   * each once, with the number of guests of this host that hold it.
   */
  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun): void
}

/** Popular pages as columns, best first: entry i is the i-th of each. */
export interface PopularPages {
  count: number
  /** First halves of the 64-bit page id prefixes; `low` has the second halves. */
  high: Uint32Array
  low: Uint32Array
  /** Guests, and hosts, of the mesh that hold each page. */
  guests: Uint16Array
  hosts: Uint16Array
  /** Up to three hosts that hold it, by name. */
  holders: string[][]
}

/** What this host knows of the mesh's popular pages, bounded by `popularity.maxPages`. */
export interface PopularityView {
  readonly pages: number
  /** Bytes of memory in use. */
  readonly bytes: number
  /** How many guests, or hosts, of the mesh hold the page of this prefix; 0 if it is not known to be popular. */
  guestsOf(high: number, low: number): number
  hostsOf(high: number, low: number): number
  /** Up to three hosts that were said to hold the page, by name; those that are not in the mesh are left out. */
  holdersOf(high: number, low: number): string[]
  /**
   * Of prefixes of which only the first `bits` bits are known (32 to 64), those with which a popular page begins: the
   * page's whole prefix, and in `indices` the index of the given prefix.
   */
  among(prefixes: Prefixes, bits: number): Prefixes & { indices: Uint32Array }
  /** Visits every popular page, in the order of their prefixes. */
  forEach(visit: (high: number, low: number, guests: number, hosts: number) => void): void
  /** The `countMax` most popular pages: most hosts first, then most guests. */
  top(countMax: number): PopularPages
}

export interface Popularity {
  readonly view: PopularityView
  /** Time since the oldest part of the view was known to be up to date, ms. */
  readonly viewAgeMs: number
  /** Bytes of reports, of requested views, and of the answers to both. The mesh accounts for gossip. */
  readonly traffic: Record<'report' | 'view', { sentBytes: number; receivedBytes: number }>
  /** What was refused from other members since start, by reason. */
  readonly refusals: Readonly<Record<string, number>>
  /** Sizes of all tables, for status, metrics and the tests that watch for growth. */
  readonly sizes: {
    reportBytes: number
    reportedPages: number
    viewPages: number
    viewBytes: number
    publishedPages: number
  }
  /** Pauses the rounds while something more urgent needs the CPU; returns the function that resumes them. */
  standBack(): () => void
  /** Draws the owners of slices by another key. Until all hosts do, some reports go to hosts that refuse them. */
  rekey(sliceKey: Uint8Array): void
  start(): Promise<void>
  stop(): Promise<void>
}
