import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, PAGE_BYTES, type PageBatch, type PageSource, type PrefixTable } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** A scanned guest as the source needs it. */
export interface ScannedGuest {
  readonly memory: GuestMemory
  readonly table: PrefixTable
  isStable(pageNumber: number): boolean
}

/** Unwanted pages that are read along rather than begin another read. */
const GAP_PAGES_MAX = 4
/** Pages of one read. */
const RUN_PAGES_MAX = 64

/**
 * Pages out of the guests' memory as it is now. Where a page moved or changed since the scan, other bytes come:
 * wrap it in `verified`. A guest that vanishes while it is read is a miss.
 */
export function residentSource(guests: () => Iterable<ScannedGuest>): PageSource {
  return {
    kind: 'resident',
    async fill(batch, signal) {
      for (const [guest, places] of placesByGuest(batch, guests())) {
        signal.throwIfAborted()
        try {
          await fillFrom(guest.memory, places, batch, signal)
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof PagemeshError)) throw error
        }
      }
    },
  }
}

/** Wanted pages of one guest: page numbers in rising order, and each one's index in the batch. */
interface Places {
  numbers: number[]
  indices: number[]
}

/** Finds a place for each missing page; a place that did not change lately goes before one that did. */
function placesByGuest(batch: PageBatch, guests: Iterable<ScannedGuest>): Map<ScannedGuest, Places> {
  const candidates = [...guests]
  const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
  const found = new Map<ScannedGuest, { number: number; index: number }[]>()
  for (const index of batch.missing()) {
    const high = ids.readUInt32BE(index * ID_BYTES)
    const low = ids.readUInt32BE(index * ID_BYTES + 4)
    let best: ScannedGuest | undefined
    let number = -1
    for (const guest of candidates) {
      const place = guest.table.get(high, low)
      if (place < 0) continue
      best = guest
      number = place
      if (guest.isStable(place)) break
    }
    if (best === undefined) continue
    const list = found.get(best)
    if (list === undefined) found.set(best, [{ number, index }])
    else list.push({ number, index })
  }
  const places = new Map<ScannedGuest, Places>()
  for (const [guest, list] of found) {
    list.sort((a, b) => a.number - b.number)
    places.set(guest, { numbers: list.map((place) => place.number), indices: list.map((place) => place.index) })
  }
  return places
}

async function fillFrom(memory: GuestMemory, places: Places, batch: PageBatch, signal: AbortSignal): Promise<void> {
  const resident = new Uint8Array(RUN_PAGES_MAX)
  const pages = Buffer.alloc(RUN_PAGES_MAX * PAGE_BYTES)
  let next = 0
  let firstNumber = 0
  for (const [block, { bytes }] of memory.blocks.entries()) {
    const endNumber = firstNumber + Math.floor(bytes / PAGE_BYTES)
    while (next < places.numbers.length && places.numbers[next]! < endNumber) {
      signal.throwIfAborted()
      const behind = runBehind(places.numbers, next, endNumber)
      const start = places.numbers[next]!
      const count = places.numbers[behind - 1]! - start + 1
      await memory.resident(block, start - firstNumber, count, resident)
      await readResident(memory, block, start - firstNumber, resident, count, pages)
      for (; next < behind; next++) {
        const offset = places.numbers[next]! - start
        if (resident[offset] === 0) continue
        const index = places.indices[next]!
        pages.copy(batch.bytes, index * PAGE_BYTES, offset * PAGE_BYTES, (offset + 1) * PAGE_BYTES)
        batch.markFilled(index, 'resident')
      }
    }
    firstNumber = endNumber
  }
}

/** Index behind the last place that is read together with the one at `first`. */
function runBehind(numbers: readonly number[], first: number, endNumber: number): number {
  let behind = first + 1
  while (behind < numbers.length) {
    const number = numbers[behind]!
    const tooFar = number - numbers[behind - 1]! > GAP_PAGES_MAX + 1 || number - numbers[first]! >= RUN_PAGES_MAX
    if (tooFar || number >= endNumber) break
    behind += 1
  }
  return behind
}

/** Reads each stretch of resident pages at its offset into `pages`, and never one that went since the scan. */
async function readResident(
  memory: GuestMemory, block: number, firstPage: number, resident: Uint8Array, count: number, pages: Buffer,
): Promise<void> {
  for (let start = 0; start < count; start++) {
    if (resident[start] === 0) continue
    let end = start + 1
    while (end < count && resident[end] !== 0) end += 1
    await memory.read(block, firstPage + start, end - start, pages.subarray(start * PAGE_BYTES, end * PAGE_BYTES))
    start = end
  }
}
