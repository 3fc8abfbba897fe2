/** Pages between two yields: if each costs little, and if each is looked up in large tables. */
const LIGHT_PAGES = 2 ** 15
const HEAVY_PAGES = 2 ** 12

/** Visits the numbers from 0 to `count` - 1, and yields every few milliseconds. */
export function* inTurns(count: number, visit: (index: number) => void, turnPages = LIGHT_PAGES): Generator<void> {
  for (let start = 0; start < count; start += turnPages) {
    const end = Math.min(count, start + turnPages)
    for (let index = start; index < end; index++) visit(index)
    yield
  }
}

/** As `inTurns`, for expensive visits. */
export function inShortTurns(count: number, visit: (index: number) => void): Generator<void> {
  return inTurns(count, visit, HEAVY_PAGES)
}
