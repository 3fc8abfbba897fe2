import { BufferPool } from '../bytes/bufferpool.ts'
import type { GuestMemory } from '../guest/index.ts'
import { PAGE_BYTES, type PageBatch, type PageSource } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { findPlaces, type Places, type ScannedGuest } from './places.ts'

/** Unwanted pages that are read along rather than begin another read. */
const GAP_PAGES_MAX = 4
/** Pages of one read. */
const RUN_PAGES_MAX = 64
/** Pages whose residency is asked at once, at most: to read of 50 costs the kernel as much as another question. */
const WINDOW_PAGES = 512
/** A longer stretch without a wanted page begins another question. */
const WINDOW_GAP_PAGES_MAX = 64
/** Fills that run side by side, each with room of its own, beyond which room is made anew. */
const SPARES_MAX = 8

/**
 * Pages out of the guests' memory as it is now. Where a page moved or changed since the scan, other bytes come:
 * wrap it in `verified`. A guest that vanishes while it is read is a miss.
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
  readonly #places: Places
  readonly #batch: PageBatch
  readonly #room: Buffer
  readonly #resident = new Uint8Array(WINDOW_PAGES)
  /** The block that is read: its index, and the number of its first page and of the one behind its last. */
  #block = 0
  #firstNumber = 0
  #endNumber = 0

  constructor(memory: GuestMemory, places: Places, batch: PageBatch, room: Buffer) {
    this.#memory = memory
    this.#places = places
    this.#batch = batch
    this.#room = room
  }

  async run(signal: AbortSignal): Promise<void> {
    const { numbers, count } = this.#places
    let next = 0
    for (const [block, { bytes }] of this.#memory.blocks.entries()) {
      this.#block = block
      this.#firstNumber = this.#endNumber
      this.#endNumber = this.#firstNumber + Math.floor(bytes / PAGE_BYTES)
      while (next < count && numbers[next]! < this.#endNumber) {
        signal.throwIfAborted()
        next = await this.#fillWindow(next)
      }
    }
  }

  /** Fills the places from `first` on whose residency one question tells; returns the index behind the last. */
  async #fillWindow(first: number): Promise<number> {
    const { numbers } = this.#places
    const behind = this.#behind(first, WINDOW_GAP_PAGES_MAX, WINDOW_PAGES)
    const window = numbers[first]!
    const pageCount = numbers[behind - 1]! - window + 1
    await this.#memory.resident(this.#block, window - this.#firstNumber, pageCount, this.#resident)
    for (let next = first; next < behind;) {
      const runBehind = Math.min(behind, this.#behind(next, GAP_PAGES_MAX, RUN_PAGES_MAX))
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
    const isStraight = this.#isStraight(first, behind)
    const into = isStraight ? this.#batch.bytes : this.#room
    await this.#readResident(start, pageCount, window, into, isStraight ? indices[first]! : 0)
    for (let place = first; place < behind; place++) {
      const number = numbers[place]!
      if (this.#resident[number - window] === 0) continue
      const index = indices[place]!
      if (!isStraight) {
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

  #isStraight(first: number, behind: number): boolean {
    const { numbers, indices } = this.#places
    for (let place = first + 1; place < behind; place++) {
      if (numbers[place] !== numbers[place - 1]! + 1 || indices[place] !== indices[place - 1]! + 1) return false
    }
    return true
  }

  /** Index behind the last place of the block that lies close enough to those before it, from `first` on. */
  #behind(first: number, gapPagesMax: number, pagesMax: number): number {
    const { numbers, count } = this.#places
    const end = Math.min(this.#endNumber, numbers[first]! + pagesMax)
    let behind = first + 1
    while (behind < count) {
      const number = numbers[behind]!
      if (number >= end || number - numbers[behind - 1]! > gapPagesMax + 1) break
      behind += 1
    }
    return behind
  }
}
