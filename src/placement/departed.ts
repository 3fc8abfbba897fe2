/** Reads the stable pages of a guest that left, in memory order. */
import type { GuestMemory } from '../guest/index.ts'
import { closeUp, ID_BYTES, PAGE_BYTES } from '../page/index.ts'
import type { PagesToKeep } from '../store/index.ts'
import type { StablePages } from './api.ts'

/** Pages read, hashed and stored together. */
const BATCH_PAGES = 256
/** Pages of one residency query. */
const WINDOW_PAGES = 4096

/**
 * The stable pages of `memory` that have not changed, in batches whose buffers are reused for the next. Throws
 * PagemeshError `guest-gone` when the guest's process has ended.
 */
export async function* departedPages(
  memory: GuestMemory, stable: StablePages,
): AsyncGenerator<PagesToKeep> {
  const pageCount = memory.blocks.reduce((sum, { bytes }) => sum + bytes / PAGE_BYTES, 0)
  const isWanted = new Uint8Array(pageCount)
  stable.forEachNumber((number) => { isWanted[number] = 1 })
  const batch = new Batch(stable)
  let firstNumber = 0
  for (const [block, { bytes }] of memory.blocks.entries()) {
    const blockPages = bytes / PAGE_BYTES
    for (let first = 0; first < blockPages; first += WINDOW_PAGES) {
      const count = Math.min(WINDOW_PAGES, blockPages - first)
      const wanted = isWanted.subarray(firstNumber + first, firstNumber + first + count)
      if (!wanted.includes(1)) continue
      const resident = new Uint8Array(count)
      await memory.resident(block, first, count, resident)
      for (const [start, end] of runsOf(wanted, resident)) {
        yield await batch.read(memory, block, first + start, end - start)
      }
    }
    firstNumber += blockPages
  }
}

/** Runs of wanted, resident pages, at most a batch long. */
function* runsOf(wanted: Uint8Array, resident: Uint8Array): Generator<[number, number]> {
  for (let start = 0; start < wanted.length;) {
    if (wanted[start] === 0 || resident[start] === 0) {
      start += 1
      continue
    }
    let end = start + 1
    while (end < wanted.length && end - start < BATCH_PAGES && wanted[end] === 1 && resident[end] === 1) end += 1
    yield [start, end]
    start = end
  }
}

class Batch {
  readonly #stable: StablePages
  readonly #bytes = Buffer.alloc(BATCH_PAGES * PAGE_BYTES)
  readonly #ids = Buffer.alloc(BATCH_PAGES * ID_BYTES)

  constructor(stable: StablePages) {
    this.#stable = stable
  }

  /** Reads consecutive pages, and moves those that the census knows to the front. */
  async read(memory: GuestMemory, block: number, first: number, count: number): Promise<PagesToKeep> {
    await memory.read(block, first, count, this.#bytes.subarray(0, count * PAGE_BYTES))
    this.#stable.hasher.hashPages(this.#bytes, 0, count, this.#ids, 0)
    const kept: number[] = []
    for (let page = 0; page < count; page++) {
      const id = page * ID_BYTES
      if (this.#stable.has(this.#ids.readUInt32BE(id), this.#ids.readUInt32BE(id + 4))) kept.push(page)
    }
    closeUp(this.#bytes, kept, PAGE_BYTES)
    closeUp(this.#ids, kept, ID_BYTES)
    const bytes = this.#bytes.subarray(0, kept.length * PAGE_BYTES)
    return { ids: this.#ids.subarray(0, kept.length * ID_BYTES), bytes, count: kept.length }
  }
}
