import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, placesOf, type PageBatch, type Places, type SortedTable } from '../page/index.ts'

/** A scanned guest as the source needs it. */
export interface ScannedGuest {
  readonly memory: GuestMemory
  readonly table: SortedTable
  /** The page number of entry `index` of the table. */
  numberAt(index: number): number
  isStable(index: number): boolean
}

const NONE = -1

/**
 * Finds a place for each missing page of a batch, by its page number in the guest; a place that did not change lately
 * goes before one that did. Guests without any are left out.
 */
export function findPlaces(
  batch: PageBatch, guests: readonly ScannedGuest[],
): { guest: ScannedGuest; places: Places }[] {
  const guestOf = new Int32Array(batch.count).fill(NONE)
  const numberOf = new Int32Array(batch.count)
  const isWanted = new Uint8Array(guests.length)
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
    if (guestOf[index] !== NONE) isWanted[guestOf[index]!] = 1
  }
  return guests.flatMap((guest, position) => {
    if (isWanted[position] === 0) return []
    const own = numberOf.map((number, index) => (guestOf[index] === position ? number : NONE))
    return [{ guest, places: placesOf(own) }]
  })
}
