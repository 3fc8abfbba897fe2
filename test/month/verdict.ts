/** What must hold after the month. Pure. */
import { slopeOf, type FigureName, type Figures } from './figures.ts'

/** The figures of each agent, a day each. */
export type Days = Record<string, Figures[]>

export interface Slope {
  host: string
  figure: FigureName
  /** What the line through the days after the first part rises by from their first to their last. */
  rise: number
  riseMax: number
}

/** Caches fill and code is compiled in this part of the days. */
const WARM_SHARE = 0.25
/**
 * Of a whole month. What is remembered on purpose has its limits: the last 200 handoffs, members' names. Outside the
 * heap lie the buffers of passages, which are kept for the next ones. A host that left is dialled for ten minutes, with
 * a timer of its own.
 */
const RISE_MAX: Partial<Record<FigureName, number>> = {
  heapBytes: 4 * 2 ** 20, externalBytes: 48 * 2 ** 20, descriptors: 3, sockets: 3, timers: 12, threads: 1,
}
/** In fewer days one that is not like the others bends the line of the bytes: by so much more. */
const DAYS = 30
const BYTES: readonly FigureName[] = ['heapBytes', 'externalBytes']

export function slopesOf(days: Days): Slope[] {
  return Object.entries(days).flatMap(([host, figures]) => {
    const warm = figures.slice(Math.floor(figures.length * WARM_SHARE))
    return (Object.keys(RISE_MAX) as FigureName[]).map((figure) => ({
      host, figure, rise: slopeOf(warm.map((each) => each[figure])) * (warm.length - 1),
      riseMax: RISE_MAX[figure]! * (BYTES.includes(figure) ? Math.max(1, Math.sqrt(DAYS / figures.length)) : 1),
    }))
  })
}

/** What rises too much, a phrase each. */
export function faultsOf(days: Days): string[] {
  return slopesOf(days).filter(({ rise, riseMax }) => rise > riseMax)
    .map(({ host, figure, rise, riseMax }) =>
      `${figure} of ${host} rises by ${rise.toFixed(1)}, above ${riseMax.toFixed(1)}`)
}

/** The 99th percentiles of the days' lags, of all agents. */
export function lagOf(days: Days): { medianMs: number; highestMs: number } {
  const all = Object.values(days).flat().map(({ lagP99Ms }) => lagP99Ms).sort((left, right) => left - right)
  return { medianMs: all[Math.floor(all.length / 2)] ?? 0, highestMs: all.at(-1) ?? 0 }
}
