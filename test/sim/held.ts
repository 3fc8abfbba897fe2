import type { SyntheticGuest } from '../../peers/model.ts'
import type { PrefixRun } from '../../src/page/index.ts'
import type { HeldPages } from '../../src/popularity/index.ts'

/** Bits of a content that make up the low half of its prefix; the other 32 make up the high half. */
const LOW_BITS = 21
const LOW_FACTOR = 2 ** LOW_BITS

/** The halves of a content's prefix: 64 bits, of which the last 11 repeat others. */
export function prefixHigh(content: number): number {
  return Math.floor(content / LOW_FACTOR)
}

export function prefixLow(content: number): number {
  const bits = content % LOW_FACTOR
  return ((bits << (32 - LOW_BITS)) | (Math.imul(bits, 0x9e3779b1) >>> LOW_BITS)) >>> 0
}

/**
 * The pages of a simulated host's guests, as of its last census. As in the real census, a page counts after two looks
 * have shown it unchanged.
 */
export class SimHeld implements HeldPages {
  generation = 0
  /** Contents in rising order, each once, and how many guests of this host hold each. */
  contents = new Float64Array(0)
  guests = new Uint16Array(0)

  /** Looks at the guests; `seen` is how often each was looked at before on this host. */
  look(guests: ReadonlyMap<SyntheticGuest, number>, lookNumber: number): void {
    const known = [...guests].filter(([, seen]) => seen > 0).map(([guest]) => guest)
    const all = new Float64Array(known.reduce((sum, guest) => sum + guest.pages, 0))
    let count = 0
    for (const guest of known) count += guest.stableContents(lookNumber, all, count)
    const sorted = all.subarray(0, count).sort()
    let distinct = 0
    for (let i = 0; i < count; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) distinct += 1
    this.contents = new Float64Array(distinct)
    this.guests = new Uint16Array(distinct)
    let index = -1
    for (let i = 0; i < count; i++) {
      if (i === 0 || sorted[i] !== sorted[i - 1]) this.contents[++index] = sorted[i]!
      this.guests[index]! += 1
    }
    this.generation += 1
  }

  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun): void {
    const end = (lastHigh + 1) * LOW_FACTOR
    for (let i = this.#firstAt(firstHigh * LOW_FACTOR); i < this.contents.length && this.contents[i]! < end; i++) {
      into.push(prefixHigh(this.contents[i]!), prefixLow(this.contents[i]!), this.guests[i]!)
    }
  }

  /** Index of the first content that is not below `content`. */
  #firstAt(content: number): number {
    let first = 0
    let last = this.contents.length
    while (first < last) {
      const middle = (first + last) >>> 1
      if (this.contents[middle]! < content) first = middle + 1
      else last = middle
    }
    return first
  }
}
