import { concernsOf, movesOf, pastOf, totalsOf, type Move, type Past } from '../daemon/cluster/index.ts'
import type { ClusterView } from '../index.ts'
import { formatBytes, formatRate } from '../text/units.ts'
import { alignColumns } from './table.ts'

const PAST_MAX = 5

/** A cluster for people, a line a host. Pure. */
export function renderCluster(view: ClusterView): string {
  const { hosts, settledHosts, guests, moving, queued, savedBytes, spentBytes } = totalsOf(view)
  return [
    `${hosts} hosts, ${settledHosts} settled; ${guests} guests, ${moving} on their way, ${queued} wait; ` +
      `${formatBytes(Math.round(savedBytes))} saved, ${formatBytes(Math.round(spentBytes))} spent`,
    ...concernsOf(view).flatMap(({ level, about, what, advice }) => [`${level}: ${about}: ${what}`, `  ${advice}`]),
    '',
    alignColumns([['HOST', 'VERSION', 'STATE', 'GUESTS', 'FREE MEMORY', 'STORE', 'NET'], ...hostRows(view)]),
    '',
    section('Moves', movesOf(view).map(moveRow)),
    section('Last handoffs', pastOf(view, PAST_MAX).map(pastRow)),
  ].join('\n')
}

function hostRows({ hosts, silent }: ClusterView): string[][] {
  return [
    ...hosts.map(({ host, version, settled, guestCount, memory, store, ledger }) => [
      host, version, settled ? 'settled' : 'not settled', String(guestCount),
      `${formatBytes(memory.availableBytes)} of ${formatBytes(memory.totalBytes)}`,
      `${formatBytes(store.bytes)} of ${formatBytes(store.maxBytes)}`, formatBytes(ledger.netBytes),
    ]),
    ...silent.map(({ host }) => [host, '-', 'does not answer']),
  ]
}

function moveRow({ guest, from, to, phase, why, percent, wireBytes, wireBytesPerSecond }: Move): string[] {
  if (phase === 'queued') return [guest, `${from} to ${to}`, phase, why ?? '']
  return [
    guest, `${from} to ${to}`, phase, percent === null ? '-' : `${Math.floor(percent)} %`,
    `${formatBytes(wireBytes)} sent`, ...wireBytesPerSecond === null ? [] : [formatRate(wireBytesPerSecond)],
  ]
}

function pastRow({ guest, from, to, mode, status, totalMs, endedAt }: Past): string[] {
  return [guest, `${from} to ${to}`, `${status}, ${mode}`, `${(totalMs / 1000).toFixed(1)} s`, endedAt]
}

function section(title: string, rows: readonly string[][]): string {
  return rows.length === 0 ? `${title}: none` : `${title}\n${alignColumns(rows, '  ')}`
}
