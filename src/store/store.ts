/** What the store does for the rest of the agent. */
import type { PageSource, Prefixes } from '../page/index.ts'

/**
 * Why a page is kept, the better reason first: every host keeps it, some hosts do, or a guest that left had it. Only
 * the last kind gives way to the others by itself when the store is full.
 */
export type PageKind = 'head' | 'tail' | 'departed'

/** Pages to keep: `count` ids of 16 bytes and as many pages of 4096 bytes, in the same order. */
export interface PagesToKeep {
  ids: Uint8Array
  bytes: Uint8Array
  count: number
}

/** What became of the pages of one batch; together they are all of them. */
export interface PutCounts {
  /** Kept from now on. */
  stored: number
  /** Kept already: they took the better kind and the newer time. */
  known: number
  /** Not kept: the store is full, or busy, or its disk cannot be written to. */
  refused: number
}

export interface Store {
  readonly pages: number
  /** Pages that there is room for. */
  readonly pagesMax: number
  /** Disk that is taken, and its bound; everything is counted. */
  readonly bytes: number
  readonly bytesMax: number
  /** Memory that the tables take. */
  readonly memoryBytes: number
  /** Pages that were found damaged since start, and dropped. */
  readonly damagedPages: number
  /** Fills what is kept. Every page is hashed here: `verified` has nothing to add. */
  readonly source: PageSource
  /**
   * Opens what is there, or begins anew; may be called again. A start that fails leaves nothing open.
   * Throws PagemeshError `store-in-use` while another agent has it, `store-unusable` if the directory cannot be used.
   */
  start(): Promise<void>
  /** Finishes what is being read and written, and closes. What still waits to be put is refused. */
  stop(): Promise<void>
  /** Whether a page whose id begins with these bits is kept. `prefixBits` from 32 to 64. */
  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean
  /**
   * Keeps pages, in batches of 64 and more; `ids` and `bytes` stay untouched until it resolves. One batch is written at
   * a time, few may wait, and more are refused. Ids are believed: who puts pages has hashed them. Never rejects.
   */
  put(pages: PagesToKeep, kind: PageKind): Promise<PutCounts>
  /**
   * Drops pages, after what was put before; resolves to how many of them were kept: none, and nothing is done, if too
   * much waits already. Never rejects.
   */
  remove(prefixes: Prefixes): Promise<number>
  /** Visits every page that is kept, in no order. `time` is when it was last put, in seconds since the Unix epoch. */
  forEach(visit: (high: number, low: number, kind: PageKind, time: number) => void): void
}
