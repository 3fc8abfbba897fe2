/** What the census tells the rest of the agent. */
import type { Guest } from '../guest/index.ts'
import type { PageSource, PrefixRun, SortedTable } from '../page/index.ts'

/** What a scan of one guest found. */
export interface GuestCensus {
  guest: string
  residentPages: number
  zeroPages: number
  distinctPages: number
  /** Pages that were left out of `table` because the census was full. */
  omittedPages: number
  scans: number
  /** Clock time of the end of the last whole scan, ms. */
  scannedAt: number
  /** 64-bit prefixes of the ids; what their values say is the census' own affair. Zero pages are left out. */
  table: SortedTable
  /** One place of the page at `index` of the table: its number, counted through the guest's blocks in order. */
  numberAt(index: number): number
  /** Whether there was a scan before to compare with; if not, nobody knows what stays, and all counts as stable. */
  isCompared: boolean
  /** Whether the page at `index` of the table was in its place already when scanned before. */
  isStable(index: number): boolean
}

export interface CensusTotals {
  /** Different pages over all guests; beyond a quarter of a million, estimated from a sample. */
  distinctPages: number
  /** Pages that were left out because the census was full. */
  omittedPages: number
  /** Whole scans since start. */
  scans: number
  /** Memory held. */
  bytes: number
}

export interface Census {
  /** Begins to scan `guest`, now and at every interval. */
  add(guest: Guest): void
  /** Forgets a guest; a scan of it that runs is abandoned. */
  remove(guestName: string): void
  /** Tells that a guest that waited for a migration runs here now: its first scan is owed, once it has run a while. */
  arrived(guestName: string): void
  of(guestName: string): GuestCensus | undefined
  /** What is known of every guest that has been scanned. */
  all(): GuestCensus[]
  readonly totals: CensusTotals
  /** True once every guest was scanned since it appeared; one that waits for a migration counts once it runs. */
  readonly settled: boolean
  /** Whether a page with this prefix was resident here when last scanned. `prefixBits` from 32 to 64. */
  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean
  /** Changes whenever what `stablePages` says may have changed. */
  readonly generation: number
  /**
   * Adds to `into`, in rising order, the stable pages whose prefix has a high half from `firstHigh` to `lastHigh`,
   * each once, with the number of guests of this host that hold it. A page is stable if it stayed in its place in some
   * guest; a guest that was scanned only once counts where another one shows that the page is stable.
   */
  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun): void
  /** Pages out of the guests' memory as it is now: what it fills must be verified. */
  readonly resident: PageSource
  /** Makes scans wait while something more urgent needs the CPU; returns how to let them go on. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
