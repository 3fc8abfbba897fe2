/** Pages of a batch in the order of their slots: slots, and each page's index in the batch. */
export interface SlotList {
  count: number
  slots: Uint32Array
  indices: Uint32Array
}

/** Slots by index in a batch (-1: none) as a list of slots. */
export function slotListOf(slots: Int32Array): SlotList {
  const { length } = slots
  // Slot and index in one value: sorting plain numbers needs no compare function, and no object per page.
  const keys = new Float64Array(length)
  let count = 0
  for (let index = 0; index < length; index++) {
    if (slots[index]! >= 0) keys[count++] = slots[index]! * length + index
  }
  const sorted = keys.subarray(0, count).sort()
  const list: SlotList = { count, slots: new Uint32Array(count), indices: new Uint32Array(count) }
  for (let entry = 0; entry < count; entry++) {
    list.slots[entry] = Math.floor(sorted[entry]! / length)
    list.indices[entry] = sorted[entry]! % length
  }
  return list
}

/** End (exclusive) of the entries that one read or write should cover, from entry `first` on. */
export function runEnd({ slots, count }: SlotList, first: number, gapMax: number, slotsMax: number): number {
  const behindAll = Math.min(count, first + slotsMax)
  let behind = first + 1
  while (behind < behindAll && slots[behind]! - slots[behind - 1]! <= gapMax + 1 &&
    slots[behind]! - slots[first]! < slotsMax) behind += 1
  return behind
}

/** Whether the pages of these entries lie in the batch in the order of the slab, with no gap. */
export function isStraight({ slots, indices }: SlotList, first: number, behind: number): boolean {
  for (let entry = first + 1; entry < behind; entry++) {
    if (slots[entry] !== slots[entry - 1]! + 1 || indices[entry] !== indices[entry - 1]! + 1) return false
  }
  return true
}
