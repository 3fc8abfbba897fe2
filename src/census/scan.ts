/**
 * One walk through a guest's memory. It runs in the worker thread, or in the main thread for memories that only exist
 * there.
 */
import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, isZeroPage, PAGE_BYTES, type PageHasher, type SortedTable } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { HoldFlag } from '../runtime/holdflag.ts'
import type { Throttle } from '../runtime/throttle.ts'
import { nextTurn } from '../runtime/turn.ts'
import { PageCollector } from './collector.ts'
import type { Fingerprints } from './fingerprints.ts'

/** What one walk found. */
export interface ScanResult {
  residentPages: number
  zeroPages: number
  /** Pages that did not fit in the table. */
  omittedPages: number
  /** Whether there was an earlier scan to compare with; without one no page is volatile. */
  isCompared: boolean
  /** 64-bit prefix of the id -> place (see place.ts); zero pages are left out. */
  table: SortedTable
  /** Of all pages, for comparison by the next scan. */
  fingerprints: Fingerprints
}

export interface ScanInit {
  /** Most entries of the table; further pages are counted as omitted. */
  entriesMax: number
  /** Of the scan before, if it saw the same memory. */
  previous?: Fingerprints
}

/** Pages read and hashed between two checks of the rate limit and the signal. */
const BATCH_PAGES = 256
/** Pages of one pagemap query; a hole of this size costs one query. */
const WINDOW_PAGES = 16 * 1024

/**
 * Scans `memory` once. Rejects with the signal's reason, or with `guest-gone`. The guest may change pages during and
 * after the scan: verify a page that is read by its location.
 */
export async function scanGuest(
  { clock, hasher, hold, throttle }: { clock: Clock; hasher: PageHasher; hold: HoldFlag; throttle: Throttle },
  memory: GuestMemory,
  init: ScanInit,
  signal: AbortSignal,
): Promise<ScanResult> {
  const scan = new Scan(memory, hasher, init)
  const resident = new Uint8Array(WINDOW_PAGES)
  let firstNumber = 0
  let unpaidPages = 0
  for (const [block, { bytes }] of memory.blocks.entries()) {
    const pageCount = Math.floor(bytes / PAGE_BYTES)
    for (let window = 0; window < pageCount; window += WINDOW_PAGES) {
      signal.throwIfAborted()
      const count = Math.min(WINDOW_PAGES, pageCount - window)
      await memory.resident(block, window, count, resident)
      for (let start = nextRun(resident, 0, count); start < count;) {
        const end = runEnd(resident, start, Math.min(count, start + BATCH_PAGES))
        await scan.add(block, window + start, end - start, firstNumber + window + start)
        unpaidPages += end - start
        start = nextRun(resident, end, count)
        if (unpaidPages < BATCH_PAGES && start < count) continue
        await throttle.take(unpaidPages, signal)
        await hold.released(clock, signal)
        unpaidPages = 0
        // Lets abort messages, and in the main thread all other work, run.
        await nextTurn()
        signal.throwIfAborted()
      }
      await nextTurn()
    }
    firstNumber += pageCount
  }
  return scan.finish()
}

/** Number of pages of a memory, resident or not. */
export function pageCountOf(memory: Pick<GuestMemory, 'blocks'>): number {
  return memory.blocks.reduce((sum, block) => sum + Math.floor(block.bytes / PAGE_BYTES), 0)
}

/** The first resident page from `from` on, or `count`. */
function nextRun(resident: Uint8Array, from: number, count: number): number {
  let page = from
  while (page < count && resident[page] === 0) page += 1
  return page
}

/** The end of the run of resident pages that begins at `start`. */
function runEnd(resident: Uint8Array, start: number, limit: number): number {
  let page = start
  while (page < limit && resident[page] !== 0) page += 1
  return page
}

class Scan {
  readonly #memory: GuestMemory
  readonly #hasher: PageHasher
  readonly #collector: PageCollector
  readonly #isCompared: boolean
  readonly #resident = new Uint8Array(BATCH_PAGES)
  readonly #pages = Buffer.alloc(BATCH_PAGES * PAGE_BYTES)
  readonly #offsets = new Uint32Array(BATCH_PAGES)
  readonly #ids = Buffer.alloc(BATCH_PAGES * ID_BYTES)
  #residentPages = 0
  #zeroPages = 0

  constructor(memory: GuestMemory, hasher: PageHasher, { entriesMax, previous }: ScanInit) {
    const pageCount = pageCountOf(memory)
    const comparable = previous?.length === pageCount ? previous : undefined
    this.#memory = memory
    this.#hasher = hasher
    this.#isCompared = comparable !== undefined
    this.#collector = new PageCollector(pageCount, entriesMax, comparable)
  }

  /** Reads `count` pages that were resident and notes those that are not zero; `number` is the number of the first. */
  async add(block: number, firstPage: number, count: number, number: number): Promise<void> {
    // Queried again: the guest may have freed pages meanwhile, and reading a hole of shared memory would allocate it.
    await this.#memory.resident(block, firstPage, count, this.#resident)
    let kept = 0
    for (let start = nextRun(this.#resident, 0, count); start < count;) {
      const end = runEnd(this.#resident, start, count)
      if (await this.#read(block, firstPage + start, end - start, start)) {
        const zeroPages = this.#keep(start, end, kept)
        kept += end - start - zeroPages
        this.#residentPages += end - start
        this.#zeroPages += zeroPages
      }
      start = nextRun(this.#resident, end, count)
    }
    this.#hasher.hashScattered(this.#pages, this.#offsets, kept, this.#ids)
    for (let i = 0; i < kept; i++) {
      const high = this.#ids.readUInt32BE(i * ID_BYTES)
      const low = this.#ids.readUInt32BE(i * ID_BYTES + 4)
      this.#collector.note(high, low, number + this.#offsets[i]! / PAGE_BYTES)
    }
  }

  finish(): ScanResult {
    return {
      residentPages: this.#residentPages, zeroPages: this.#zeroPages, omittedPages: this.#collector.omittedPages,
      isCompared: this.#isCompared, table: this.#collector.finish(), fingerprints: this.#collector.fingerprints,
    }
  }

  /** Reads resident pages into the batch at `at`; false if their mapping has changed. */
  async #read(block: number, firstPage: number, count: number, at: number): Promise<boolean> {
    try {
      const room = this.#pages.subarray(at * PAGE_BYTES, (at + count) * PAGE_BYTES)
      await this.#memory.read(block, firstPage, count, room)
      return true
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'guest-memory-moved') return false
      throw error
    }
  }

  /** Lists those pages of the batch from `start` to `end` that are to be hashed; returns how many are zero. */
  #keep(start: number, end: number, kept: number): number {
    let zeroPages = 0
    for (let page = start; page < end; page++) {
      if (isZeroPage(this.#pages, page * PAGE_BYTES)) zeroPages += 1
      else this.#offsets[kept++] = page * PAGE_BYTES
    }
    return zeroPages
  }
}
