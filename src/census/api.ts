/** What the census tells the rest of the agent. */
import type { Guest } from '../guest/index.ts'
import type { PageScope, PageSource, PrefixRun, SortedTable } from '../page/index.ts'

/** What a scan of one guest found. */
export interface GuestCensus {
  guest: string
  /** The scope that its pages were hashed in. */
  scope: PageScope
  residentPages: number
  zeroPages: number
  distinctPages: number
  /** Pages that were left out of `table` because the census was full. */
  omittedPages: number
  scans: number
  /** Clock time of the end of the last whole scan, ms. */
  scannedAt: number
  /** 64-bit prefixes of the page ids, without zero pages; the values are internal to the census. */
  table: SortedTable
  /** One location of the page at `index` of the table: its page number, counted through the guest's RAM blocks. */
  numberAt(index: number): number
  /** Whether there was an earlier scan to compare with; without one all pages count as stable. */
  isCompared: boolean
  /** Whether the page at `index` of the table was at the same location in the scan before. */
  isStable(index: number): boolean
}

export interface CensusTotals {
  /** Distinct pages over all guests; estimated from a sample beyond 262 144 table entries. */
  distinctPages: number
  /** Pages that were left out because the census was full. */
  omittedPages: number
  /** Whole scans since start. */
  scans: number
  /** Memory that the census takes. */
  bytes: number
}

export interface Census {
  /** Begins to scan `guest`, now and at every interval. */
  add(guest: Guest): void
  /** Forgets a guest; a scan of it that runs is abandoned. */
  remove(guestName: string): void
  /** Call it when an arrived guest runs here: its first scan becomes due once it has run for a while. */
  arrived(guestName: string): void
  of(guestName: string): GuestCensus | undefined
  /** What is known of every guest that has been scanned. */
  all(): GuestCensus[]
  readonly totals: CensusTotals
  /** True once every guest was scanned since it appeared. A guest that waits for a migration counts once it runs. */
  readonly settled: boolean
  /**
   * Whether a page with this prefix was resident here when last scanned, in a guest of `tenant` if there is one given.
   * `prefixBits` from 32 to 64.
   */
  has(prefixHigh: number, prefixLow: number, prefixBits: number, tenant?: string): boolean
  /** Changes whenever the result of `stablePages` may have changed. */
  readonly generation: number
  /**
   * Adds to `into`, in rising order, the stable pages whose prefix has a high half from `firstHigh` to `lastHigh`, each
   * once, with the number of local guests that hold it; of guests of `tenant` alone if there is one given. A page is
   * stable if some guest had it at the same location in two scans. A guest that was scanned only once makes no page
   * stable, but counts as a holder of stable pages.
   */
  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun, tenant?: string): void
  /** Reads pages from the guests' current memory: they may have changed since the scan, so verify them. */
  readonly resident: PageSource
  /** Pauses scans while something more urgent needs the CPU; returns a function that resumes them. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
