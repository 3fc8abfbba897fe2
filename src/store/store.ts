/** What the store does for the rest of the agent. */
import type { PageSource, Prefixes } from '../page/index.ts'

/**
 * Why a page is kept, the better reason first: every host keeps it, some hosts do, or a guest that left had it. When
 * the store is full, pages of the last kind give way to the others.
 */
export type PageKind = 'head' | 'tail' | 'departed'

/** Pages to keep: `count` ids of 16 bytes and as many pages of 4096 bytes, in the same order. */
export interface PagesToKeep {
  ids: Uint8Array
  bytes: Uint8Array
  count: number
}

/** The counts of one batch's pages; together they are all of them. */
export interface PutCounts {
  /** Kept from now on. */
  stored: number
  /** Kept already: they got the better kind and the newer time. */
  known: number
  /** Not kept: the store is full, or busy, or its disk cannot be written to. */
  refused: number
}

export interface Store {
  readonly pages: number
  /** Room in pages. */
  readonly pagesMax: number
  /** Disk space in use, and its bound, all files included. */
  readonly bytes: number
  readonly bytesMax: number
  /** Memory of the tables, bytes. */
  readonly memoryBytes: number
  /** Pages found damaged and dropped since start. */
  readonly damagedPages: number
  /** Fills pages from the store. Every page is hashed here already: `verified` would add nothing. */
  readonly source: PageSource
  /**
   * Opens the existing files, or new ones; may be called again. A failed start leaves nothing open. Throws
   * PagemeshError `store-in-use` while another agent has it, `store-unusable` if the directory cannot be used.
   */
  start(): Promise<void>
  /** Finishes running reads and writes, and closes. Waiting puts are refused. */
  stop(): Promise<void>
  /** Whether the store has a page whose id begins with these bits. `prefixBits` from 32 to 64. */
  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean
  /**
   * Keeps pages, best in batches of 64 and more; `ids` and `bytes` must not change until it resolves. One batch is
   * written at a time, few may wait, and more are refused, as are pages that are of no live scope. Never rejects.
   */
  put(pages: PagesToKeep, kind: PageKind): Promise<PutCounts>
  /**
   * Drops pages, after earlier puts; resolves to how many of them were kept. If too much waits already, it does nothing
   * and resolves to 0. Never rejects.
   */
  remove(prefixes: Prefixes): Promise<number>
  /** Visits every kept page, in no order. `time` is when it was last put, in seconds since the Unix epoch. */
  forEach(visit: (high: number, low: number, kind: PageKind, time: number) => void): void
}
