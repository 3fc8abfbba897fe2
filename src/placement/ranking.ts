/** Ranking of pages by counting sort: linear time, without comparisons. */
import { inTurns } from './turns.ts'

/** Sort keys of pages: two whole numbers, from 0 to a greatest value; the first one is the primary key. */
export interface RankKeys {
  firstOf: (page: number) => number
  firstMax: number
  secondOf: (page: number) => number
  secondMax: number
}

/** Sorts `pages`, greatest keys first; stable. */
export function* rankPages(pages: Uint32Array, keys: RankKeys): Generator<void> {
  const bySecond = new Uint32Array(pages.length)
  yield* pass(pages, bySecond, keys.secondOf, keys.secondMax)
  yield* pass(bySecond, pages, keys.firstOf, keys.firstMax)
}

function* pass(
  from: Uint32Array, into: Uint32Array, keyOf: (page: number) => number, keyMax: number,
): Generator<void> {
  /** For each key: first the number of its pages, then the index of the next one. */
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
