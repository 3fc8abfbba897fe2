import type { Slots } from './slots.ts'

const DIGIT_BITS = 16
const DIGITS = 2 ** DIGIT_BITS
const TIME_BITS = 32

/** The most slots per call: with the time beside it, an index fits a double. */
export const OLDEST_MAX = 2 ** 16

/**
 * The slots of this state that were put longest ago, at most `countMax`, the oldest first. It counts over the columns,
 * digit by digit of the time, so that only the wanted few are ever sorted.
 */
export function oldestSlots(slots: Slots, state: number, countMax: number): Uint32Array {
  const { states, times, count } = slots
  const found = new Uint32Array(Math.min(countMax, OLDEST_MAX, slots.counts[state]!))
  if (found.length === 0) return found
  const { last, olderCount } = lastTime(slots, state, found.length)
  let older = 0
  // Slots of the last second rank equally: they fill the room that older ones leave.
  let equal = olderCount
  for (let slot = 0; slot < count; slot++) {
    if (states[slot] !== state || times[slot]! > last) continue
    if (times[slot]! < last) found[older++] = slot
    else if (equal < found.length) found[equal++] = slot
  }
  return sortedByTime(found, times)
}

/** The time of the `rank`-th oldest slot of this state (there are at least `rank`), and how many are older. */
function lastTime({ states, times, count }: Slots, state: number, rank: number): { last: number; olderCount: number } {
  let last = 0
  let remaining = rank
  for (let shift = TIME_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    const counts = new Uint32Array(DIGITS)
    const span = 2 ** (shift + DIGIT_BITS)
    for (let slot = 0; slot < count; slot++) {
      if (states[slot] !== state) continue
      const rest = times[slot]! - last
      if (rest >= 0 && rest < span) counts[rest >>> shift]! += 1
    }
    let digit = 0
    while (counts[digit]! < remaining) remaining -= counts[digit++]!
    last += digit * 2 ** shift
  }
  return { last, olderCount: rank - remaining }
}

/** Time and index in one value: sorting plain numbers needs no compare function. */
function sortedByTime(slots: Uint32Array, times: Uint32Array): Uint32Array {
  const keys = Float64Array.from(slots, (slot, place) => times[slot]! * OLDEST_MAX + place).sort()
  return Uint32Array.from(keys, (key) => slots[key % OLDEST_MAX]!)
}
