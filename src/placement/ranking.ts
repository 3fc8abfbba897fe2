/** Ranking of pages by counting: time grows with their number alone, and nothing is compared. */
import { inTurns } from './turns.ts'

/** What pages are ranked by: two whole numbers from 0 to their greatest value, the first one first. */
export interface RankKeys {
  firstOf: (page: number) => number
  firstMax: number
  secondOf: (page: number) => number
  secondMax: number
}

/** Puts `pages` in order, the greatest keys first; pages with equal keys stay in the order in which they were. */
export function* rankPages(pages: Uint32Array, keys: RankKeys): Generator<void> {
  const bySecond = new Uint32Array(pages.length)
  yield* pass(pages, bySecond, keys.secondOf, keys.secondMax)
  yield* pass(bySecond, pages, keys.firstOf, keys.firstMax)
}

function* pass(
  from: Uint32Array, into: Uint32Array, keyOf: (page: number) => number, keyMax: number,
): Generator<void> {
  /** By key: how many pages have it, and then where the next of them goes. */
  const next = new Uint32Array(keyMax + 1)
  yield* inTurns(from.length, (i) => { next[keyOf(from[i]!)]! += 1 })
  let place = 0
  for (let key = keyMax; key >= 0; key--) {
    const count = next[key]!
    next[key] = place
    place += count
  }
  yield* inTurns(from.length, (i) => { into[next[keyOf(from[i]!)]!++] = from[i]! })
}
