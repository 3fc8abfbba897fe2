import { OLDEST_MAX, oldestSlots } from './oldest.ts'
import { SLOT, type Slots } from './slots.ts'

/**
 * Pages of guests that left, which give way to others, the oldest first. Many are found at once, since that takes
 * passes over all slots: about 50 ms for four million.
 */
export class Victims {
  readonly #slots: Slots
  #found: Uint32Array = new Uint32Array(0)
  #next = 0
  /** The newest time among those found: a slot with a newer time was put since. */
  #timeMax = 0

  constructor(slots: Slots) {
    this.#slots = slots
  }

  /** The slot of the next one, -1 if there is none. The caller must change its state. */
  next(): number {
    const { states, times, counts } = this.#slots
    while (counts[SLOT.departed]! > 0) {
      while (this.#next < this.#found.length) {
        const slot = this.#found[this.#next++]!
        if (states[slot] === SLOT.departed && times[slot]! <= this.#timeMax) return slot
      }
      this.#found = oldestSlots(this.#slots, SLOT.departed, OLDEST_MAX)
      this.#next = 0
      this.#timeMax = times[this.#found.at(-1)!]!
    }
    return -1
  }
}
