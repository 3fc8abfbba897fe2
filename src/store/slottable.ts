import type { Slots } from './slots.ts'

const SEGMENT_BITS = 8
const SEGMENTS = 2 ** SEGMENT_BITS
/** Bits of the high half that select a bucket within its segment. */
const REST_BITS = 32 - SEGMENT_BITS
const REST_MASK = 2 ** REST_BITS - 1
const CAPACITY_MIN = 8
const LOAD_MAX = 0.75
const GROWTH = 1.25
/** Tags are 1 to 255; 0 marks an empty bucket. */
const TAGS = 255

/** One part of the table: per bucket, a tag of the prefix and the slot. */
interface Segment {
  tags: Uint8Array<ArrayBuffer>
  slots: Uint32Array<ArrayBuffer>
  size: number
}

/**
 * From the 64-bit prefix of a page id to its slot, which may be busy: 5 bytes a bucket, 8.3 bytes a page at most; the
 * prefixes themselves are in the slots. Entries can be removed, and found by their first 32 to 64 bits.
 *
 * Open addressing with linear probing in segments, by the topmost bits of the prefix, which comes from a keyed hash and
 * needs no mixing. Each segment grows by itself, so that no growth takes long. Tags avoid most lookups of passed
 * entries in the slots. Removing an entry moves later ones up.
 */
export class SlotTable {
  readonly #of: Slots
  readonly #segments: Segment[]
  #size = 0
  #bytes = 0

  constructor(slots: Slots) {
    this.#of = slots
    this.#segments = Array.from({ length: SEGMENTS }, () => this.#madeSegment(CAPACITY_MIN))
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The slot of any page whose first `bits` bits (32 to 64) are those given, or -1. */
  find(high: number, low: number, bits = 64): number {
    const lowMask = bits >= 64 ? 0xffff_ffff : bits <= 32 ? 0 : ~(0xffff_ffff >>> (bits - 32)) >>> 0
    const segment = this.#segmentOf(high)
    const place = this.#placeOf(segment, high >>> 0, (low & lowMask) >>> 0, lowMask)
    return segment.tags[place] === 0 ? -1 : segment.slots[place]!
  }

  /** Adds `slot` under its prefix; false if another slot has that prefix already. */
  add(slot: number): boolean {
    const high = this.#of.prefixes[slot * 2]!
    const segment = this.#segmentOf(high)
    if (segment.size + 1 > segment.tags.length * LOAD_MAX) this.#grow(segment)
    const place = this.#placeOf(segment, high, this.#of.prefixes[slot * 2 + 1]!, 0xffff_ffff)
    if (segment.tags[place] !== 0) return false
    segment.tags[place] = tagOf(high)
    segment.slots[place] = slot
    segment.size += 1
    this.#size += 1
    return true
  }

  /** Removes `slot`, which must be in the table. */
  remove(slot: number): void {
    const high = this.#of.prefixes[slot * 2]!
    const segment = this.#segmentOf(high)
    const { tags, slots } = segment
    let hole = this.#placeOf(segment, high, this.#of.prefixes[slot * 2 + 1]!, 0xffff_ffff)
    for (let place = next(hole, tags); tags[place] !== 0; place = next(place, tags)) {
      const home = homeOf(this.#of.prefixes[slots[place]! * 2]!, tags.length)
      // An entry may move up into the hole unless its home lies between the two.
      const isBetween = hole <= place ? home > hole && home <= place : home > hole || home <= place
      if (isBetween) continue
      tags[hole] = tags[place]!
      slots[hole] = slots[place]!
      hole = place
    }
    tags[hole] = 0
    segment.size -= 1
    this.#size -= 1
  }

  #segmentOf(high: number): Segment {
    return this.#segments[high >>> REST_BITS]!
  }

  /** The bucket of the prefix, or the empty bucket where it belongs. */
  #placeOf({ tags, slots }: Segment, high: number, low: number, lowMask: number): number {
    const prefixes = this.#of.prefixes
    const tag = tagOf(high)
    let place = homeOf(high, tags.length)
    for (; tags[place] !== 0; place = next(place, tags)) {
      if (tags[place] !== tag) continue
      const at = slots[place]! * 2
      if (prefixes[at] === high && (prefixes[at + 1]! & lowMask) >>> 0 === low) break
    }
    return place
  }

  #grow(segment: Segment): void {
    const { tags, slots } = segment
    this.#bytes -= tags.byteLength + slots.byteLength
    Object.assign(segment, { ...this.#madeSegment(Math.ceil(tags.length * GROWTH)), size: segment.size })
    for (let place = 0; place < tags.length; place++) {
      if (tags[place] === 0) continue
      let into = homeOf(this.#of.prefixes[slots[place]! * 2]!, segment.tags.length)
      while (segment.tags[into] !== 0) into = next(into, segment.tags)
      segment.tags[into] = tags[place]!
      segment.slots[into] = slots[place]!
    }
  }

  #madeSegment(capacity: number): Segment {
    this.#bytes += capacity * 5
    return { tags: new Uint8Array(capacity), slots: new Uint32Array(capacity), size: 0 }
  }
}

function tagOf(high: number): number {
  return (high % TAGS) + 1
}

/** Home within a segment, in rising order of prefixes; the product stays below 2^53. */
function homeOf(high: number, capacity: number): number {
  return Math.floor(((high & REST_MASK) * capacity) / 2 ** REST_BITS)
}

function next(place: number, tags: Uint8Array): number {
  return place + 1 === tags.length ? 0 : place + 1
}
