/**
 * Which pages this host's guests hold: scans each guest when it appears and at an interval, in a worker
 * thread with a rate limit, and knows for each page one place where it is resident.
 */
import type { Guest } from '../guest/index.ts'
import type { PageSource, PrefixTable } from '../page/index.ts'

export { createCensus, type CensusInit } from './census.ts'

/** What a scan of one guest found. */
export interface GuestCensus {
  guest: string
  residentPages: number
  zeroPages: number
  distinctPages: number
  scans: number
  /** Clock time of the end of the last whole scan, ms. */
  scannedAt: number
  /** 64-bit prefix of the id -> page number, counted through the guest's blocks in order; zero pages are left out. */
  table: PrefixTable
}

export interface Census {
  /** Begins to scan `guest`, now and at every interval. */
  add(guest: Guest): void
  /** Forgets a guest; a scan of it that runs is abandoned. */
  remove(guestName: string): void
  of(guestName: string): GuestCensus | undefined
  readonly totals: { distinctPages: number; scans: number; bytes: number }
  /** True once every guest was scanned since it appeared. */
  readonly settled: boolean
  /** Whether a page with this prefix was resident here when last scanned. `prefixBits` from 32 to 64. */
  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean
  /** Pages out of the guests' memory as it is now: what it fills must be verified. */
  readonly resident: PageSource
  start(): Promise<void>
  stop(): Promise<void>
}
