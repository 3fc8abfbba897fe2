/**
 * One walk through a guest's memory. The same function runs in the worker thread and, for memories that only exist
 * in this thread, here.
 */
import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, isZeroPage, PAGE_BYTES, PrefixTable, type PageHasher } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { HoldFlag } from '../runtime/holdflag.ts'
import type { Throttle } from '../runtime/throttle.ts'
import { nextTurn } from '../runtime/turn.ts'

/** What one walk found. */
export interface ScanResult {
  residentPages: number
  zeroPages: number
  /** Distinct pages that found room in the table, and those that did not. */
  distinctPages: number
  omittedPages: number
  /** 64-bit prefix of the id -> page number, counted through the blocks in order; zero pages are left out. */
  table: PrefixTable
  /** What each page held, for the next scan to compare with. */
  fingerprints: Fingerprints
  /** One bit a page number: set for those in the table of which some copy did not change since the scan before. */
  stableBits: Uint8Array<ArrayBuffer>
}

/** 32 bits of each page's id by page number; 0 where no page was resident, or only zeros. */
export type Fingerprints = Uint32Array<ArrayBuffer>

export interface ScanInit {
  /** The table does not grow beyond this; pages that no longer fit are counted as omitted. */
  tableBytesMax: number
  /** From the scan before, if there was one and it is still at hand. */
  previous?: Fingerprints
}

/** Pages hashed between two looks at the rate and the signal. */
const BATCH_PAGES = 256
/** Pages whose residency is asked at once; a whole hole of that size costs one question. */
const WINDOW_PAGES = 16 * 1024

const FULL = 0.75
const SLOT_BYTES = 12

/**
 * Scans `memory` once. Rejects with the signal's reason, or with `guest-gone`. Pages that change under the scan are
 * taken as they were when read: whoever uses a page by its place verifies it.
 */
export async function scanGuest(
  { clock, hasher, hold, throttle }: { clock: Clock; hasher: PageHasher; hold: HoldFlag; throttle: Throttle },
  memory: GuestMemory,
  init: ScanInit,
  signal: AbortSignal,
): Promise<ScanResult> {
  const scan = new Scan(memory, init)
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
        await scan.take(hasher, block, window + start, end - start, firstNumber + window + start)
        unpaidPages += end - start
        start = nextRun(resident, end, count)
        if (unpaidPages < BATCH_PAGES && start < count) continue
        await throttle.take(unpaidPages, signal)
        await hold.released(clock, signal)
        unpaidPages = 0
        // Lets an abort, or in the main thread everybody else, have a turn.
        await nextTurn()
        signal.throwIfAborted()
      }
      await nextTurn()
    }
    firstNumber += pageCount
  }
  return scan.finish()
}

/** How many pages a memory has, resident or not. */
function pageCountOf(memory: Pick<GuestMemory, 'blocks'>): number {
  return memory.blocks.reduce((sum, block) => sum + Math.floor(block.bytes / PAGE_BYTES), 0)
}

/** What is kept of each page of a memory besides its table, bytes: a fingerprint and a bit. */
export function sideBytesOf(memory: Pick<GuestMemory, 'blocks'>): number {
  const pageCount = pageCountOf(memory)
  return pageCount * Uint32Array.BYTES_PER_ELEMENT + Math.ceil(pageCount / 8)
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
  readonly #tableBytesMax: number
  readonly #previous: Fingerprints | undefined
  readonly #fingerprints: Fingerprints
  readonly #stableBits: Uint8Array<ArrayBuffer>
  readonly #table = new PrefixTable()
  readonly #pages = Buffer.alloc(BATCH_PAGES * PAGE_BYTES)
  readonly #offsets = new Uint32Array(BATCH_PAGES)
  readonly #ids = Buffer.alloc(BATCH_PAGES * ID_BYTES)
  #residentPages = 0
  #zeroPages = 0
  #omittedPages = 0

  constructor(memory: GuestMemory, { tableBytesMax, previous }: ScanInit) {
    const pageCount = pageCountOf(memory)
    this.#memory = memory
    this.#tableBytesMax = tableBytesMax
    this.#previous = previous?.length === pageCount ? previous : undefined
    this.#fingerprints = new Uint32Array(pageCount)
    this.#stableBits = new Uint8Array(Math.ceil(pageCount / 8))
  }

  /** Reads `count` resident pages and notes those that are not zero; `number` is the page number of the first. */
  async take(hasher: PageHasher, block: number, firstPage: number, count: number, number: number): Promise<void> {
    await this.#memory.read(block, firstPage, count, this.#pages)
    let kept = 0
    for (let i = 0; i < count; i++) {
      if (!isZeroPage(this.#pages, i * PAGE_BYTES)) this.#offsets[kept++] = i * PAGE_BYTES
    }
    hasher.hashScattered(this.#pages, this.#offsets, kept, this.#ids)
    for (let i = 0; i < kept; i++) this.#note(number + this.#offsets[i]! / PAGE_BYTES, i * ID_BYTES)
    this.#residentPages += count
    this.#zeroPages += count - kept
  }

  finish(): ScanResult {
    return {
      residentPages: this.#residentPages, zeroPages: this.#zeroPages,
      distinctPages: this.#table.size, omittedPages: this.#omittedPages,
      table: this.#table, fingerprints: this.#fingerprints, stableBits: this.#stableBits,
    }
  }

  #note(number: number, idOffset: number): void {
    const high = this.#ids.readUInt32BE(idOffset)
    const low = this.#ids.readUInt32BE(idOffset + 4)
    const fingerprint = low === 0 ? 1 : low
    this.#fingerprints[number] = fingerprint
    let place = this.#table.get(high, low)
    if (place < 0) {
      if (!this.#hasRoom()) {
        this.#omittedPages += 1
        return
      }
      this.#table.add(high, low, number)
      place = number
    }
    // One unchanged copy is enough: the page can be had from there.
    if (this.#previous === undefined || this.#previous[number] === fingerprint) {
      this.#stableBits[place >>> 3]! |= 1 << (place & 7)
    }
  }

  /** Whether one more entry fits; a table that is full doubles. */
  #hasRoom(): boolean {
    const { size, bytes } = this.#table
    return size < (bytes / SLOT_BYTES) * FULL || bytes * 2 <= this.#tableBytesMax
  }
}
