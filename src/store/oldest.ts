import type { Slots } from './slots.ts'

const DIGIT_BITS = 8
const DIGITS = 2 ** DIGIT_BITS

/**
 * The slots of this state that were put longest ago, at most `countMax`, the oldest first. Passes over the columns and
 * counts, digit by digit of the time, so that nothing but the few that are wanted is ever sorted.
 */
export function oldestSlots(slots: Slots, state: number, countMax: number): Uint32Array {
  const { states, times, count } = slots
  const last = lastTime(slots, state, countMax)
  const found = new Uint32Array(Math.min(countMax, slots.counts[state]!))
  let size = 0
  // Those of the last second are as good as each other: they take the room that the older ones leave.
  for (const isWanted of [(time: number) => time < last, (time: number) => time === last]) {
    for (let slot = 0; slot < count && size < found.length; slot++) {
      if (states[slot] === state && isWanted(times[slot]!)) found[size++] = slot
    }
  }
  return found.subarray(0, size).sort((a, b) => times[a]! - times[b]!)
}

/** The time of the `rank`-th oldest slot of this state; the newest there is if there are fewer. */
function lastTime({ states, times, count }: Slots, state: number, rank: number): number {
  let last = 0
  let left = rank
  for (let shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    const counts = new Uint32Array(DIGITS)
    const span = 2 ** (shift + DIGIT_BITS)
    for (let slot = 0; slot < count; slot++) {
      if (states[slot] !== state) continue
      const rest = times[slot]! - last
      if (rest >= 0 && rest < span) counts[rest >>> shift]! += 1
    }
    let digit = 0
    while (digit < DIGITS - 1 && counts[digit]! < left) left -= counts[digit++]!
    last += digit * 2 ** shift
  }
  return last
}
