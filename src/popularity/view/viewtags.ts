/** Places in the table; place 0 means no holder. */
const PLACES_MAX = 2 ** 16
const PLACES_MIN = 16
const CROWDED_SHARE = 15 / 16

/**
 * The tags of hosts that a view names, each with a place of 16 bits. The table does not know which tags are in use:
 * when it is full, the view marks those and lets `keep` drop the others.
 */
export class HolderTags {
  #tags = new Uint32Array(PLACES_MIN)
  /** Open addressing from tag to place; twice as many slots as places, 0 marks an empty one. */
  #slots = new Uint16Array(2 * PLACES_MIN)
  #count = 1

  /** Places in use, place 0 included. */
  get count(): number {
    return this.#count
  }

  /** Whether few places are left. */
  get isCrowded(): boolean {
    return this.#count > PLACES_MAX * CROWDED_SHARE
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#tags.byteLength + this.#slots.byteLength
  }

  tagAt(place: number): number {
    return this.#tags[place]!
  }

  /** The place of `tag`, a new one if it has none; 0 for tag 0, and for a new tag when the table is full. */
  placeOf(tag: number): number {
    if (tag === 0) return 0
    const slot = this.#slotOf(tag)
    const place = this.#slots[slot]!
    if (place !== 0 || this.#count === PLACES_MAX) return place
    if (this.#count === this.#tags.length) {
      this.#resize(this.#count * 2)
      return this.placeOf(tag)
    }
    this.#tags[this.#count] = tag
    this.#slots[slot] = this.#count
    return this.#count++
  }

  /** Drops the tags whose place is not marked in `used`; returns the new place of each old one. */
  keep(used: Uint8Array): Uint16Array {
    const places = new Uint16Array(this.#count)
    let count = 1
    for (let place = 1; place < this.#count; place++) {
      if (used[place] === 0) continue
      this.#tags[count] = this.#tags[place]!
      places[place] = count++
    }
    this.#count = count
    this.#resize(Math.max(PLACES_MIN, 2 ** Math.ceil(Math.log2(count))))
    return places
  }

  #resize(places: number): void {
    const tags = new Uint32Array(places)
    tags.set(this.#tags.subarray(0, this.#count))
    this.#tags = tags
    this.#slots = new Uint16Array(places * 2)
    for (let place = 1; place < this.#count; place++) this.#slots[this.#slotOf(tags[place]!)] = place
  }

  /** The slot of the tag, or the empty slot for it. */
  #slotOf(tag: number): number {
    const mask = this.#slots.length - 1
    let slot = (Math.imul(tag, 0x9e37_79b1) >>> 15) & mask
    for (let place = this.#slots[slot]!; place !== 0 && this.#tags[place] !== tag; place = this.#slots[slot]!) {
      slot = (slot + 1) & mask
    }
    return slot
  }
}
