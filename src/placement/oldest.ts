import type { Prefixes } from '../page/index.ts'
import type { PageKind, Store } from '../store/index.ts'

/** Seconds after which the pages of a guest that left are dropped: a guest that returns later has changed. */
export const DEPARTED_SECONDS_MAX = 3 * 24 * 3600

/**
 * Pages of guests that left: the `count` oldest of those stored before `before`, and all that were stored before
 * `since`. Times are seconds since the Unix epoch.
 */
export function oldestDeparted(
  store: Pick<Store, 'forEach'>, count: number, { before, since }: { before: number; since: number },
): Prefixes {
  const times: number[] = []
  forEachDeparted(store, (_high, _low, time) => { if (time < before) times.push(time) })
  times.sort((a, b) => a - b)
  const last = Math.max(since, times[Math.min(count, times.length) - 1] ?? -Infinity)
  const gone = times.filter((time) => time <= last).length
  const prefixes = { high: new Uint32Array(gone), low: new Uint32Array(gone), count: 0 }
  forEachDeparted(store, (high, low, time) => {
    if (time > last || time >= before) return
    prefixes.high[prefixes.count] = high
    prefixes.low[prefixes.count++] = low
  })
  return prefixes
}

function forEachDeparted(
  store: Pick<Store, 'forEach'>, visit: (high: number, low: number, time: number) => void,
): void {
  store.forEach((high: number, low: number, kind: PageKind, time: number) => {
    if (kind === 'departed') visit(high, low, time)
  })
}
