import { HOLDERS_MAX } from '../popularrun.ts'
import { REST_LIMIT } from '../slice.ts'

/** Bytes of one page: its rest, guests and hosts, and its holders as places in the view's table of tags. */
const PAGE_STATE_BYTES = 8 + 2 + 2 + 2 * HOLDERS_MAX
/** Guesses before the search falls back to halving: chosen prefixes need not be evenly spread. */
const GUESSES_MAX = 16

/**
 * The popular pages of some neighbouring slices, in order of slice and rest, as columns of one buffer. The view knows
 * where each slice begins. Spare room is at most an eighth of the room in use.
 */
export class ViewBucket {
  count = 0
  rests!: Float64Array<ArrayBuffer>
  guests!: Uint16Array<ArrayBuffer>
  hosts!: Uint16Array<ArrayBuffer>
  /** HOLDERS_MAX places a page; 0: none. */
  holders!: Uint16Array<ArrayBuffer>

  constructor() {
    this.#makeRoom(0)
  }

  /** A bucket with the pages of `parts`, one after the other. */
  static of(parts: readonly { bucket: ViewBucket; start: number; end: number }[]): ViewBucket {
    const made = new ViewBucket()
    made.#makeRoom(roomFor(parts.reduce((sum, { start, end }) => sum + end - start, 0)))
    for (const { bucket, start, end } of parts) {
      made.#copyFrom(bucket, start, end, made.count)
      made.count += end - start
    }
    return made
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.rests.buffer.byteLength
  }

  /** Index of the page with this rest between `start` and `end`, where the rests rise, or -1. */
  find(rest: number, start: number, end: number): number {
    const rests = this.rests
    let first = start
    let last = end - 1
    let below = 0
    let above = REST_LIMIT
    for (let guesses = 0; first <= last; guesses++) {
      const share = guesses < GUESSES_MAX ? (rest - below) / (above - below) : 0.5
      const index = Math.min(last, first + Math.trunc(share * (last - first + 1)))
      const found = rests[index]!
      if (found === rest) return index
      if (found < rest) {
        first = index + 1
        below = found
      } else {
        last = index - 1
        above = found
      }
    }
    return -1
  }

  /** Index of the first page between `start` and `end` whose rest is `rest` or more; `end` if there is none. */
  firstFrom(rest: number, start: number, end: number): number {
    let first = start
    let behind = end
    while (first < behind) {
      const middle = (first + behind) >>> 1
      if (this.rests[middle]! < rest) first = middle + 1
      else behind = middle
    }
    return first
  }

  /** Moves the pages from `end` on to `newEnd`: pages in between are lost, or a gap is made. */
  moveTail(end: number, newEnd: number): void {
    const count = this.count + newEnd - end
    const room = this.rests.length
    if (count > room || isTooMuch(room, count)) {
      const made = new ViewBucket()
      made.#makeRoom(roomFor(count))
      made.#copyFrom(this, 0, Math.min(end, newEnd), 0)
      made.#copyFrom(this, end, this.count, newEnd)
      this.rests = made.rests
      this.guests = made.guests
      this.hosts = made.hosts
      this.holders = made.holders
    } else if (newEnd !== end) {
      this.rests.copyWithin(newEnd, end, this.count)
      this.guests.copyWithin(newEnd, end, this.count)
      this.hosts.copyWithin(newEnd, end, this.count)
      this.holders.copyWithin(newEnd * HOLDERS_MAX, end * HOLDERS_MAX, this.count * HOLDERS_MAX)
    }
    this.count = count
  }

  /** Copies page `from` over page `to`. */
  copyPage(from: number, to: number): void {
    this.rests[to] = this.rests[from]!
    this.guests[to] = this.guests[from]!
    this.hosts[to] = this.hosts[from]!
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      this.holders[to * HOLDERS_MAX + holder] = this.holders[from * HOLDERS_MAX + holder]!
    }
  }

  #copyFrom(other: ViewBucket, start: number, end: number, to: number): void {
    this.rests.set(other.rests.subarray(start, end), to)
    this.guests.set(other.guests.subarray(start, end), to)
    this.hosts.set(other.hosts.subarray(start, end), to)
    this.holders.set(other.holders.subarray(start * HOLDERS_MAX, end * HOLDERS_MAX), to * HOLDERS_MAX)
  }

  #makeRoom(pages: number): void {
    const buffer = new ArrayBuffer(pages * PAGE_STATE_BYTES)
    this.rests = new Float64Array(buffer, 0, pages)
    this.guests = new Uint16Array(buffer, pages * 8, pages)
    this.hosts = new Uint16Array(buffer, pages * 10, pages)
    this.holders = new Uint16Array(buffer, pages * 12, pages * HOLDERS_MAX)
  }
}

/** Room for `count` pages and some more, so that not every new page moves all others. */
function roomFor(count: number): number {
  return count + (count >>> 4)
}

function isTooMuch(room: number, count: number): boolean {
  return room > count + (count >>> 3)
}
