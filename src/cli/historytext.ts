import type { HandoffRecord } from '../index.ts'
import { formatBytes } from '../text/units.ts'
import { seconds } from './handofftext.ts'
import { alignColumns } from './table.ts'

/** Handoffs that have ended as text, in the order given. Pure. */
export function renderHistory(handoffs: readonly HandoffRecord[]): string {
  if (handoffs.length === 0) return 'No handoff from or to this host has ended yet.'
  return alignColumns([
    ['ENDED', 'GUEST', 'WAY', 'DRIVER', 'MODE', 'OUTCOME', 'TIME', 'DOWN', 'WIRE', 'WHY'],
    ...handoffs.map(rowOf),
  ])
}

function rowOf(handoff: HandoffRecord): string[] {
  const { endedAt, guest, direction, from, to, mode, status, arrivedState, totalMs, downtimeMs, wireBytes } = handoff
  // The destination of an agent's handoff does not measure it: the source's history has its time and bytes.
  const isUnmeasured = direction === 'incoming' && handoff.driver !== 'relay' && wireBytes === 0
  const isAtRest = status === 'completed' && typeof arrivedState === 'string' && arrivedState !== 'running'
  return [
    // Drops the milliseconds of `2026-11-26T13:42:37.123Z`.
    endedAt.replace(/\.\d+Z$/, 'Z'),
    guest,
    direction === 'outgoing' ? `to ${to}` : `from ${from}`,
    handoff.driver === 'relay' ? handoff.manager ?? 'manager' : 'agent',
    mode,
    isAtRest ? `${status}, ${arrivedState}` : status,
    isUnmeasured ? '-' : seconds(totalMs),
    typeof downtimeMs === 'number' ? `${Math.round(downtimeMs)} ms` : '-',
    isUnmeasured ? '-' : formatBytes(wireBytes),
    handoff.reason ?? '',
  ]
}
