/** Pages of a batch in the order of their slots: slots, and each page's index in the batch. */
export interface Places {
  count: number
  slots: Uint32Array
  indices: Uint32Array
}

/** Slots by index in a batch (-1: none) as places. */
export function placesOf(slots: Int32Array): Places {
  const { length } = slots
  // Slot and index in one value: sorting plain numbers needs no compare function, and no object per page.
  const keys = new Float64Array(length)
  let count = 0
  for (let index = 0; index < length; index++) {
    if (slots[index]! >= 0) keys[count++] = slots[index]! * length + index
  }
  const sorted = keys.subarray(0, count).sort()
  const places: Places = { count, slots: new Uint32Array(count), indices: new Uint32Array(count) }
  for (let place = 0; place < count; place++) {
    places.slots[place] = Math.floor(sorted[place]! / length)
    places.indices[place] = sorted[place]! % length
  }
  return places
}

/** End (exclusive) of the places that one read or write should cover, from place `first` on. */
export function runEnd({ slots, count }: Places, first: number, gapMax: number, slotsMax: number): number {
  const behindAll = Math.min(count, first + slotsMax)
  let behind = first + 1
  while (behind < behindAll && slots[behind]! - slots[behind - 1]! <= gapMax + 1 &&
    slots[behind]! - slots[first]! < slotsMax) behind += 1
  return behind
}

/** Whether the pages of these places lie in the batch in the order of the slab, with no gap. */
export function isStraight({ slots, indices }: Places, first: number, behind: number): boolean {
  for (let place = first + 1; place < behind; place++) {
    if (slots[place] !== slots[place - 1]! + 1 || indices[place] !== indices[place - 1]! + 1) return false
  }
  return true
}
