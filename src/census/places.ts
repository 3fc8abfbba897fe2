import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, type PageBatch, type SortedTable } from '../page/index.ts'

/** A scanned guest as the source needs it. */
export interface ScannedGuest {
  readonly memory: GuestMemory
  readonly table: SortedTable
  /** The page number of entry `index` of the table. */
  numberAt(index: number): number
  isStable(index: number): boolean
}

/** Wanted pages of one guest, in memory order: page numbers, and each page's index in the batch. */
export interface Places {
  count: number
  numbers: Uint32Array
  indices: Uint32Array
}

const NONE = -1

/**
 * Finds a location for each missing page of a batch, a stable one if there is one. Leaves out guests that have none.
 */
export function findPlaces(
  batch: PageBatch, guests: readonly ScannedGuest[],
): { guest: ScannedGuest; places: Places }[] {
  const guestOf = new Int32Array(batch.count).fill(NONE)
  const numberOf = new Uint32Array(batch.count)
  const counts = new Uint32Array(guests.length)
  const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
  for (let index = 0; index < batch.count; index++) {
    if (batch.isFilled(index)) continue
    const high = ids.readUInt32BE(index * ID_BYTES)
    const low = ids.readUInt32BE(index * ID_BYTES + 4)
    for (let guest = 0; guest < guests.length; guest++) {
      const entry = guests[guest]!.table.indexOf(high, low)
      if (entry < 0) continue
      guestOf[index] = guest
      numberOf[index] = guests[guest]!.numberAt(entry)
      if (guests[guest]!.isStable(entry)) break
    }
    if (guestOf[index] !== NONE) counts[guestOf[index]!]! += 1
  }
  return guests.flatMap((guest, position) => {
    const count = counts[position]!
    return count === 0 ? [] : [{ guest, places: placesOf(position, count, guestOf, numberOf) }]
  })
}

function placesOf(guest: number, count: number, guestOf: Int32Array, numberOf: Uint32Array): Places {
  // Page number and index packed into one number: this sorts without a comparison function and without objects.
  const keys = new Float64Array(count)
  let found = 0
  for (let index = 0; index < guestOf.length; index++) {
    if (guestOf[index] === guest) keys[found++] = numberOf[index]! * guestOf.length + index
  }
  keys.sort()
  const numbers = new Uint32Array(count)
  const indices = new Uint32Array(count)
  for (let place = 0; place < count; place++) {
    numbers[place] = Math.floor(keys[place]! / guestOf.length)
    indices[place] = keys[place]! % guestOf.length
  }
  return { count, numbers, indices }
}
