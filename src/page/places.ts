/** Pages of a batch by where they stand, in rising order: each one's number there, and its index in the batch. */
export interface Places {
  count: number
  numbers: Uint32Array
  indices: Uint32Array
}

/** Numbers by index in a batch, -1 where there is none, as places. */
export function placesOf(numbers: Int32Array): Places {
  const { length } = numbers
  // Number and index in one value: sorting plain numbers needs no function, and no object a page.
  const keys = new Float64Array(length)
  let count = 0
  for (let index = 0; index < length; index++) {
    if (numbers[index]! >= 0) keys[count++] = numbers[index]! * length + index
  }
  const sorted = keys.subarray(0, count).sort()
  const places: Places = { count, numbers: new Uint32Array(count), indices: new Uint32Array(count) }
  for (let place = 0; place < count; place++) {
    places.numbers[place] = Math.floor(sorted[place]! / length)
    places.indices[place] = sorted[place]! % length
  }
  return places
}

/** The index behind the last place that one read or write should cover, from place `first` on. */
export function runEnd({ numbers, count }: Places, first: number, gapMax: number, pagesMax: number): number {
  const behindAll = Math.min(count, first + pagesMax)
  let behind = first + 1
  while (behind < behindAll && numbers[behind]! - numbers[behind - 1]! <= gapMax + 1 &&
    numbers[behind]! - numbers[first]! < pagesMax) behind += 1
  return behind
}

/** Whether the pages of these places lie in the batch as their numbers do, with no gap. */
export function isStraight({ numbers, indices }: Places, first: number, behind: number): boolean {
  for (let place = first + 1; place < behind; place++) {
    if (numbers[place] !== numbers[place - 1]! + 1 || indices[place] !== indices[place - 1]! + 1) return false
  }
  return true
}
