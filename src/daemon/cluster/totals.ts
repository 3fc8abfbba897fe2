import type { ClusterView, HostSummary, LedgerSample } from '../../index.ts'
import { movesOf } from './moves.ts'

export interface Totals {
  hosts: number
  settledHosts: number
  silentHosts: number
  guests: number
  moving: number
  queued: number
  savedBytes: number
  spentBytes: number
}

/** Sums over all hosts. A byte counts in the ledgers of both ends, so that what they sum up to is halved. */
export function totalsOf(view: ClusterView): Totals {
  const { hosts, silent } = view
  const sum = (of: (host: HostSummary) => number): number => hosts.reduce((total, host) => total + of(host), 0)
  const moves = movesOf(view)
  const queued = moves.filter(({ phase }) => phase === 'queued').length
  return {
    hosts: hosts.length + silent.length,
    settledHosts: hosts.filter(({ settled }) => settled).length,
    silentHosts: silent.length,
    guests: sum(({ guestCount }) => guestCount),
    moving: moves.length - queued,
    queued,
    savedBytes: sum(({ ledger }) => ledger.savedBytes) / 2,
    spentBytes: sum(({ ledger }) => ledger.spentBytes) / 2,
  }
}

/** What all hosts together had saved and spent, at `pointCount` times from the first sample until now. */
export function ledgerOverTime({ hosts }: ClusterView, pointCount: number): LedgerSample[] {
  const ledgers = hosts.map(({ ledger: { savedBytes, spentBytes, series } }) =>
    [...series, { agoMs: 0, savedBytes, spentBytes }].sort((one, other) => other.agoMs - one.agoMs))
  const oldestMs = Math.max(0, ...ledgers.map((ledger) => ledger[0]!.agoMs))
  if (oldestMs === 0) return []
  return Array.from({ length: pointCount }, (_, index) => {
    const agoMs = oldestMs * (1 - index / (pointCount - 1))
    const then = ledgers.map((ledger) => valueAt(ledger, agoMs))
    return {
      agoMs,
      savedBytes: then.reduce((total, { savedBytes }) => total + savedBytes, 0) / 2,
      spentBytes: then.reduce((total, { spentBytes }) => total + spentBytes, 0) / 2,
    }
  })
}

/** Between two samples as if bytes had come evenly; nothing before the first. */
function valueAt(ledger: readonly LedgerSample[], agoMs: number): Omit<LedgerSample, 'agoMs'> {
  const next = ledger.findIndex((sample) => sample.agoMs <= agoMs)
  const after = ledger[next] ?? ledger.at(-1)!
  const before = ledger[next - 1]
  if (before === undefined) return after.agoMs === agoMs ? after : { savedBytes: 0, spentBytes: 0 }
  const share = before.agoMs === after.agoMs ? 1 : (before.agoMs - agoMs) / (before.agoMs - after.agoMs)
  const between = (one: number, other: number): number => one + share * (other - one)
  return {
    savedBytes: between(before.savedBytes, after.savedBytes), spentBytes: between(before.spentBytes, after.spentBytes),
  }
}
