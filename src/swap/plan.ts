import { assert } from '../runtime/assert.ts'
import type { WantedPages } from './api.ts'

/** Pages of the window: the most urgent unfinished ones. It bounds the memory of a plan. */
export const WINDOW_PAGES = 8192
/** Holders tried per page, the first named. */
const TRIES_MAX = 8

const STATE = { over: 0, open: 1, underWay: 2 } as const
const NOBODY = 0xffff

/**
 * What a fetch still has to do: which pages are open, which are under way, and which holders were tried for each. A
 * pure table; holders are numbers here. The window moves on when its first page is finished, so that at most
 * WINDOW_PAGES pages wait behind a slow one. 28 bytes a page of the window.
 */
export class FetchPlan {
  readonly #wanted: WantedPages
  readonly #numberOf: (holder: string) => number
  readonly #state = new Uint8Array(WINDOW_PAGES)
  readonly #holders = new Uint16Array(WINDOW_PAGES * TRIES_MAX)
  readonly #tried = new Uint8Array(WINDOW_PAGES)
  /** Open pages that a holder could be asked for, by its number. */
  readonly #openOf: number[] = []
  #begin = 0
  #end = 0
  #open = 0
  #underWay = 0
  #fetched = 0
  #missing = 0
  #isGivenUp = false

  /** @param numberOf a small number for a holder that may be asked, -1 for one that may not. */
  constructor(wanted: WantedPages, numberOf: (holder: string) => number) {
    this.#wanted = wanted
    this.#numberOf = numberOf
    this.#advance()
  }

  get fetched(): number {
    return this.#fetched
  }

  /** Pages with no holder left to ask. */
  get missing(): number {
    return this.#missing
  }

  get open(): number {
    return this.#open
  }

  get underWay(): number {
    return this.#underWay
  }

  get isOver(): boolean {
    return this.#begin === this.#wanted.count
  }

  /** Open pages of the window for which this holder was not tried. */
  openOf(holder: number): number {
    return this.#openOf[holder] ?? 0
  }

  /**
   * Takes up to `pagesMax` open pages that this holder may have, the most urgent first, and counts them under way.
   * @param accept whether a page may be asked for now; refused ones stay open.
   * @param except another holder, whose pages are left to it; -1 for none.
   * @returns their indices among the wanted.
   */
  choose(
    holder: number, pagesMax: number, accept: (high: number, low: number) => boolean, except = -1,
  ): Uint32Array {
    const chosen = new Uint32Array(Math.min(pagesMax, this.openOf(holder)))
    const { high, low } = this.#wanted
    let count = 0
    for (let index = this.#begin; index < this.#end && count < chosen.length; index++) {
      if (this.#state[slotOf(index)] !== STATE.open || this.#placeOf(index, holder) < 0) continue
      if (except >= 0 && this.#placeOf(index, except) >= 0) continue
      if (!accept(high[index]!, low[index]!)) continue
      this.#setOpen(index, false)
      this.#state[slotOf(index)] = STATE.underWay
      this.#underWay += 1
      chosen[count++] = index
    }
    return chosen.subarray(0, count)
  }

  /** The page arrived, from any holder: it may also be an open one. False if it was finished already. */
  arrived(index: number): boolean {
    if (!this.#leave(index)) return false
    this.#fetched += 1
    this.#advance()
    return true
  }

  /** A page under way did not arrive: it is open again, for other holders only if `isTried`. */
  failed(index: number, holder: number, isTried: boolean): void {
    const slot = slotOf(index)
    if (!this.#isInWindow(index) || this.#state[slot] !== STATE.underWay) return
    this.#state[slot] = STATE.open
    this.#underWay -= 1
    const place = this.#placeOf(index, holder)
    if (isTried && place >= 0) this.#tried[slot]! |= 1 << place
    this.#setOpen(index, true)
    this.#missIfHopeless(index)
    this.#advance()
  }

  /** This holder is not asked any more, for any page. */
  drop(holder: number): void {
    for (let index = this.#begin; index < this.#end && this.openOf(holder) > 0; index++) {
      if (this.#state[slotOf(index)] !== STATE.open) continue
      const place = this.#placeOf(index, holder)
      if (place < 0) continue
      this.#setOpen(index, false)
      this.#tried[slotOf(index)]! |= 1 << place
      this.#setOpen(index, true)
      this.#missIfHopeless(index)
    }
    this.#advance()
  }

  /** Gives up all pages that are not under way, also those beyond the window. */
  giveUp(): void {
    this.#isGivenUp = true
    for (let index = this.#begin; index < this.#end; index++) {
      if (this.#state[slotOf(index)] === STATE.open) this.#miss(index)
    }
    this.#advance()
  }

  /** Visits the pages of the window that have not arrived, open or under way. */
  forEachWaiting(visit: (index: number, high: number, low: number) => void): void {
    const { high, low } = this.#wanted
    for (let index = this.#begin; index < this.#end; index++) {
      if (this.#state[slotOf(index)] !== STATE.over) visit(index, high[index]!, low[index]!)
    }
  }

  #isInWindow(index: number): boolean {
    return index >= this.#begin && index < this.#end
  }

  #leave(index: number): boolean {
    const state = this.#state[slotOf(index)]
    if (!this.#isInWindow(index) || state === STATE.over) return false
    if (state === STATE.open) this.#setOpen(index, false)
    else this.#underWay -= 1
    this.#state[slotOf(index)] = STATE.over
    return true
  }

  #miss(index: number): void {
    if (this.#leave(index)) this.#missing += 1
  }

  #missIfHopeless(index: number): void {
    const slot = slotOf(index)
    for (let place = 0; place < TRIES_MAX && !this.#isGivenUp; place++) {
      if (this.#holders[slot * TRIES_MAX + place] !== NOBODY && (this.#tried[slot]! & (1 << place)) === 0) return
    }
    this.#miss(index)
  }

  /** Moves the window past finished pages, and adds the next ones. */
  #advance(): void {
    for (;;) {
      while (this.#begin < this.#end && this.#state[slotOf(this.#begin)] === STATE.over) this.#begin += 1
      const end = Math.min(this.#wanted.count, this.#begin + WINDOW_PAGES)
      if (this.#end === end) return
      while (this.#end < end) this.#openPage(this.#end++)
    }
  }

  #openPage(index: number): void {
    const slot = slotOf(index)
    const at = slot * TRIES_MAX
    this.#holders.fill(NOBODY, at, at + TRIES_MAX)
    this.#tried[slot] = 0
    let places = 0
    for (const name of this.#isGivenUp ? [] : this.#wanted.holdersOf(index)) {
      if (places === TRIES_MAX) break
      const holder = this.#numberOf(name)
      if (holder >= 0) this.#holders[at + places++] = holder
    }
    this.#state[slot] = STATE.open
    this.#setOpen(index, true)
    if (places === 0) this.#miss(index)
  }

  /** Position of a holder among a page's untried ones, or -1. */
  #placeOf(index: number, holder: number): number {
    const slot = slotOf(index)
    for (let place = 0; place < TRIES_MAX; place++) {
      if (this.#holders[slot * TRIES_MAX + place] !== holder) continue
      return (this.#tried[slot]! & (1 << place)) === 0 ? place : -1
    }
    return -1
  }

  /** Adds a page to, or removes it from, the counts of open pages: the total, and those of its untried holders. */
  #setOpen(index: number, isOpen: boolean): void {
    const change = isOpen ? 1 : -1
    const slot = slotOf(index)
    this.#open += change
    assert(this.#open >= 0, 'no more pages are closed than were open')
    for (let place = 0; place < TRIES_MAX; place++) {
      const holder = this.#holders[slot * TRIES_MAX + place]!
      if (holder === NOBODY || (this.#tried[slot]! & (1 << place)) !== 0) continue
      this.#openOf[holder] = (this.#openOf[holder] ?? 0) + change
    }
  }
}

function slotOf(index: number): number {
  return index & (WINDOW_PAGES - 1)
}
