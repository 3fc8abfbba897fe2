import { mix } from './owners.ts'
import { HOLDERS_MAX, type PopularRun } from './popularrun.ts'

const EMPTY = -1
const COUNT_MAX = 0xffff
/** A nearly empty table with more slots than this is replaced by a smaller one: each slice clears all slots. */
const SLOTS_KEPT = 2 ** 10
const CROWDED_SHARE = 1 / 8

/**
 * Sums the hosts of one slice's pages: guests and hosts of each page, and the tags of some hosts. Which hosts are named
 * is drawn by page and host, so that requests spread over all holders.
 */
export class SliceSum {
  /** Rests by slot, open addressing. */
  #keys!: Float64Array
  #guests!: Uint16Array
  #hosts!: Uint16Array
  #holders!: Uint32Array
  #size = 0
  readonly #seed: number

  /** @param seed secret, so that nobody can choose prefixes that collide in one slot. */
  constructor(seed: number, expectedPages = 32) {
    this.#seed = seed
    this.#make(slotsFor(expectedPages))
  }

  clear(): void {
    const size = this.#size
    const slots = this.#keys.length
    this.#size = 0
    if (slots > SLOTS_KEPT && size < slots * CROWDED_SHARE) return this.#make(slotsFor(size * 2))
    if (size === 0) return
    this.#keys.fill(EMPTY)
    this.#guests.fill(0)
    this.#hosts.fill(0)
    this.#holders.fill(0)
  }

  /** Adds one host's guests of a page. Each host is added once per page. */
  add(rest: number, guests: number, tag: number): void {
    if (this.#size * 2 >= this.#keys.length) this.#grow()
    const slot = this.#slotOf(rest)
    if (this.#keys[slot] === EMPTY) {
      this.#keys[slot] = rest
      this.#size += 1
    }
    this.#guests[slot] = Math.min(COUNT_MAX, this.#guests[slot]! + guests)
    this.#hosts[slot] = Math.min(COUNT_MAX, this.#hosts[slot]! + 1)
    this.#offerHolder(slot, rest, tag)
  }

  /** Adds the pages of at least `minHosts` hosts to `into`, in rising order. */
  popular(minHosts: number, into: PopularRun): void {
    const rests = this.#keys.filter((rest, slot) => rest !== EMPTY && this.#hosts[slot]! >= minHosts).sort()
    for (const rest of rests) {
      const slot = this.#slotOf(rest)
      const index = into.push(rest, this.#guests[slot]!, this.#hosts[slot]!)
      for (let holder = 0; holder < HOLDERS_MAX; holder++) {
        into.holders[index * HOLDERS_MAX + holder] = this.#holders[slot * HOLDERS_MAX + holder]!
      }
    }
  }

  /** Keeps the HOLDERS_MAX hosts with the greatest draws, the greatest first. */
  #offerHolder(slot: number, rest: number, tag: number): void {
    const low = rest % 2 ** 32
    const draw = mix(low ^ tag)
    const base = slot * HOLDERS_MAX
    let place = HOLDERS_MAX
    while (place > 0) {
      const other = this.#holders[base + place - 1]!
      if (other !== 0 && mix(low ^ other) >= draw) break
      place -= 1
    }
    if (place === HOLDERS_MAX) return
    for (let last = HOLDERS_MAX - 1; last > place; last--) this.#holders[base + last] = this.#holders[base + last - 1]!
    this.#holders[base + place] = tag
  }

  #slotOf(rest: number): number {
    const mask = this.#keys.length - 1
    let slot = mix((rest % 2 ** 32) ^ mix(Math.floor(rest / 2 ** 32) ^ this.#seed)) & mask
    while (this.#keys[slot] !== rest && this.#keys[slot] !== EMPTY) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const [keys, guests, hosts, holders] = [this.#keys, this.#guests, this.#hosts, this.#holders]
    this.#make(keys.length * 2)
    for (let from = 0; from < keys.length; from++) {
      if (keys[from] === EMPTY) continue
      const to = this.#slotOf(keys[from]!)
      this.#keys[to] = keys[from]!
      this.#guests[to] = guests[from]!
      this.#hosts[to] = hosts[from]!
      this.#holders.set(holders.subarray(from * HOLDERS_MAX, (from + 1) * HOLDERS_MAX), to * HOLDERS_MAX)
    }
  }

  #make(slots: number): void {
    this.#keys = new Float64Array(slots).fill(EMPTY)
    this.#guests = new Uint16Array(slots)
    this.#hosts = new Uint16Array(slots)
    this.#holders = new Uint32Array(slots * HOLDERS_MAX)
  }
}

/** Slots of a table for this many pages: at most half of them are used. */
function slotsFor(pages: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, pages * 2)))
}
