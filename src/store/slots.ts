import type { PageKind } from './store.ts'

/**
 * What a slot holds: nothing, a page of a kind (the best has the lowest number), or a page being written or removed.
 */
export const SLOT = { free: 0, head: 1, tail: 2, departed: 3, busy: 4 } as const
const STATES = 5

const KINDS: readonly PageKind[] = ['head', 'tail', 'departed']
const CAPACITY_MIN = 1024

export function kindNumber(kind: PageKind): number {
  return KINDS.indexOf(kind) + 1
}

export function kindName(number: number): PageKind {
  return KINDS[number - 1]!
}

/** Whether a slot in this state holds a readable page. */
export function holdsPage(state: number): boolean {
  return state >= SLOT.head && state <= SLOT.departed
}

/** The slots as columns: 14 bytes a slot, and an eighth more at most. */
export class Slots {
  /** The most slots. */
  countMax: number
  /** High and low half of each slot's prefix, side by side: they are read together. */
  prefixes: Uint32Array<ArrayBuffer>
  states: Uint8Array<ArrayBuffer>
  /** Positions of the pages' scopes among the store's seals. */
  scopes: Uint8Array<ArrayBuffer>
  /** Seconds since the Unix epoch. */
  times: Uint32Array<ArrayBuffer>
  /** How many slots there are of each state. */
  readonly counts = new Uint32Array(STATES)
  #count = 0
  /** No free slot is below this one. */
  #freeFrom = 0

  constructor(countMax: number) {
    this.countMax = countMax
    const capacity = Math.min(countMax, CAPACITY_MIN)
    this.prefixes = new Uint32Array(capacity * 2)
    this.states = new Uint8Array(capacity)
    this.scopes = new Uint8Array(capacity)
    this.times = new Uint32Array(capacity)
  }

  /** Slots that were ever in use, which is the length of the files. */
  get count(): number {
    return this.#count
  }

  /** Slots that hold a page. */
  get pages(): number {
    return this.counts[SLOT.head]! + this.counts[SLOT.tail]! + this.counts[SLOT.departed]!
  }

  get bytes(): number {
    return this.prefixes.byteLength + this.states.byteLength + this.scopes.byteLength + this.times.byteLength
  }

  /** A free slot, now busy; the lowest first, so that pages of one batch are neighbours. -1: none. */
  take(): number {
    if (this.counts[SLOT.free] === 0) {
      if (this.#count >= this.countMax) return -1
      this.setCount(this.#count + 1)
    }
    const slot = this.states.indexOf(SLOT.free, this.#freeFrom)
    this.#freeFrom = slot + 1
    this.setState(slot, SLOT.busy)
    return slot
  }

  /** Sets the state of a slot; the caller fills a slot before it marks it as holding a page. */
  setState(slot: number, state: number): void {
    this.counts[this.states[slot]!]! -= 1
    this.counts[state]! += 1
    this.states[slot] = state
    if (state === SLOT.free && slot < this.#freeFrom) this.#freeFrom = slot
  }

  fill(slot: number, high: number, low: number, state: number, scope: number, time: number): void {
    this.prefixes[slot * 2] = high
    this.prefixes[slot * 2 + 1] = low
    this.scopes[slot] = scope
    this.times[slot] = time
    this.setState(slot, state)
  }

  /** Additional slots are free; slots that are cut off must be free. */
  setCount(count: number): void {
    if (count > this.states.length) this.#grow(count)
    this.counts[SLOT.free]! += count - this.#count
    this.#count = count
    this.#freeFrom = Math.min(this.#freeFrom, count)
  }

  #grow(count: number): void {
    const capacity = Math.max(count, Math.min(this.countMax, Math.max(CAPACITY_MIN, count + (count >>> 3))))
    this.prefixes = enlarged(new Uint32Array(capacity * 2), this.prefixes)
    this.states = enlarged(new Uint8Array(capacity), this.states)
    this.scopes = enlarged(new Uint8Array(capacity), this.scopes)
    this.times = enlarged(new Uint32Array(capacity), this.times)
  }
}

function enlarged<T extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(larger: T, column: T): T {
  larger.set(column)
  return larger
}
