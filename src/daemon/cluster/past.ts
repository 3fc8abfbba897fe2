import type { ClusterView, PastHandoff } from '../../index.ts'

/** Both ends of one handoff write its end down within this time, clocks that differ included. */
const APART_MS_MAX = 120_000

export type Past = Omit<PastHandoff, 'direction'>

/** Handoffs of all hosts that have ended, the newest first. One that both ends tell of is as its source saw it. */
export function pastOf({ hosts }: ClusterView, countMax: number): Past[] {
  const all = hosts.flatMap(({ history }) => history)
  const outgoing = all.filter(({ direction }) => direction === 'outgoing')
  const unmatched = Map.groupBy(outgoing, keyOf)
  const incoming = all.filter((past) => {
    if (past.direction === 'outgoing') return false
    const others = unmatched.get(keyOf(past)) ?? []
    const place = others.findIndex((other) => Math.abs(timeOf(other) - timeOf(past)) <= APART_MS_MAX)
    if (place !== -1) others.splice(place, 1)
    return place === -1
  })
  return [...outgoing, ...incoming].sort((one, other) => timeOf(other) - timeOf(one)).slice(0, countMax)
}

function keyOf({ guest, from, to }: PastHandoff): string {
  return JSON.stringify([guest, from, to])
}

function timeOf({ endedAt }: Past | PastHandoff): number {
  return Date.parse(endedAt)
}
