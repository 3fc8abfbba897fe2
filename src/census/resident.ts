import { BufferPool } from '../bytes/bufferpool.ts'
import type { GuestMemory } from '../guest/index.ts'
import {
  isStraight, PAGE_BYTES, runEnd, type PageBatch, type PageSource, type Places,
} from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { findPlaces, type ScannedGuest } from './places.ts'

/** A gap of up to this many unwanted pages is read along: cheaper than another read. */
const GAP_PAGES_MAX = 4
/** Most pages of one read. */
const RUN_PAGES_MAX = 64
/** Most pages of one pagemap query. For the kernel, one query costs as much as 50 pages of another. */
const WINDOW_PAGES = 512
/** A longer gap between wanted pages starts another pagemap query. */
const WINDOW_GAP_PAGES_MAX = 64
/** Read buffers kept for concurrent fills; further fills allocate their own. */
const SPARES_MAX = 8

/**
 * Reads pages from the guests' current memory. If a page moved or changed since the scan, the bytes are wrong: wrap
 * the source in `verified`. A guest that ends while it is read is a miss.
 */
export function residentSource(guests: () => Iterable<ScannedGuest>): PageSource {
  const rooms = new BufferPool(RUN_PAGES_MAX * PAGE_BYTES, SPARES_MAX)
  return {
    kind: 'resident',
    async fill(batch, signal) {
      const room = rooms.take()
      try {
        for (const { guest, places } of findPlaces(batch, [...guests()])) {
          signal.throwIfAborted()
          await fillFrom(guest.memory, places, batch, room, signal)
        }
      } finally {
        rooms.give(room)
      }
    },
  }
}

async function fillFrom(
  memory: GuestMemory, places: Places, batch: PageBatch, room: Buffer, signal: AbortSignal,
): Promise<void> {
  const reading = new GuestRead(memory, places, batch, room)
  try {
    await reading.run(signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof PagemeshError)) throw error
  }
}

/** Reads the wanted pages of one guest, in the order of its memory. */
class GuestRead {
  readonly #memory: GuestMemory
  /** Those of the guest up to the end of the block that is read. */
  readonly #places: Places
  /** As many of the places as there are. */
  readonly #count: number
  readonly #batch: PageBatch
  readonly #room: Buffer
  readonly #resident = new Uint8Array(WINDOW_PAGES)
  /** The block that is read: its index, and the number of its first page. */
  #block = 0
  #firstNumber = 0

  constructor(memory: GuestMemory, places: Places, batch: PageBatch, room: Buffer) {
    this.#memory = memory
    this.#places = { ...places, count: 0 }
    this.#count = places.count
    this.#batch = batch
    this.#room = room
  }

  async run(signal: AbortSignal): Promise<void> {
    const places = this.#places
    let next = 0
    let endNumber = 0
    for (const [block, { bytes }] of this.#memory.blocks.entries()) {
      this.#block = block
      this.#firstNumber = endNumber
      endNumber += Math.floor(bytes / PAGE_BYTES)
      while (places.count < this.#count && places.numbers[places.count]! < endNumber) places.count += 1
      while (next < places.count) {
        signal.throwIfAborted()
        next = await this.#fillWindow(next)
      }
    }
  }

  /** Fills the places from `first` on that one pagemap query covers; returns the index after the last. */
  async #fillWindow(first: number): Promise<number> {
    const { numbers } = this.#places
    const behind = runEnd(this.#places, first, WINDOW_GAP_PAGES_MAX, WINDOW_PAGES)
    const window = numbers[first]!
    const pageCount = numbers[behind - 1]! - window + 1
    await this.#memory.resident(this.#block, window - this.#firstNumber, pageCount, this.#resident)
    for (let next = first; next < behind;) {
      const runBehind = Math.min(behind, runEnd(this.#places, next, GAP_PAGES_MAX, RUN_PAGES_MAX))
      await this.#fillRun(next, runBehind, window)
      next = runBehind
    }
    return behind
  }

  /** Fills the places from `first` to `behind`, which lie close together. */
  async #fillRun(first: number, behind: number, window: number): Promise<void> {
    const { numbers, indices } = this.#places
    const start = numbers[first]!
    const pageCount = numbers[behind - 1]! - start + 1
    // Pages that lie in the batch as they lie in the guest are read into it, all others past it.
    const isDirect = isStraight(this.#places, first, behind)
    const into = isDirect ? this.#batch.bytes : this.#room
    await this.#readResident(start, pageCount, window, into, isDirect ? indices[first]! : 0)
    for (let place = first; place < behind; place++) {
      const number = numbers[place]!
      if (this.#resident[number - window] === 0) continue
      const index = indices[place]!
      if (!isDirect) {
        const from = (number - start) * PAGE_BYTES
        this.#room.copy(this.#batch.bytes, index * PAGE_BYTES, from, from + PAGE_BYTES)
      }
      this.#batch.markFilled(index, 'resident')
    }
  }

  /** Reads the resident ones of `pageCount` pages, each at its distance from page `firstPage` of `into`. */
  async #readResident(
    start: number, pageCount: number, window: number, into: Buffer, firstPage: number,
  ): Promise<void> {
    const resident = this.#resident
    const offset = start - window
    for (let page = 0; page < pageCount; page++) {
      if (resident[offset + page] === 0) continue
      let end = page + 1
      while (end < pageCount && resident[offset + end] !== 0) end += 1
      const room = into.subarray((firstPage + page) * PAGE_BYTES, (firstPage + end) * PAGE_BYTES)
      await this.#memory.read(this.#block, start - this.#firstNumber + page, end - page, room)
      page = end
    }
  }
}
