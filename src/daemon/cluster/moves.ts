import type { ClusterView, HostSummary, MovingGuest } from '../../index.ts'

/** A guest on its way, seen from whichever end knows more. */
export interface Move extends Omit<MovingGuest, 'direction' | 'other'> {
  from: string
  to: string
}

/** What is on its way, as its source says it, or as its destination does where the source says nothing. */
export function movesOf({ hosts }: ClusterView): Move[] {
  const all = hosts.flatMap((host) => host.handoffs.map((moving) => ({ moving, move: moveOf(host, moving) })))
  const outgoing = all.filter(({ moving }) => moving.direction === 'outgoing').map(({ move }) => move)
  const told = new Set(outgoing.map(keyOf))
  const incoming = all.filter(({ moving, move }) => moving.direction === 'incoming' && !told.has(keyOf(move)))
    .map(({ move }) => move)
  // Those that wait stand last, in the order in which their hosts name them.
  return [...outgoing, ...incoming].sort((one, other) => rankOf(one) - rankOf(other))
}

function moveOf({ host }: HostSummary, { direction, other, ...moving }: MovingGuest): Move {
  return direction === 'outgoing' ? { ...moving, from: host, to: other } : { ...moving, from: other, to: host }
}

function keyOf({ guest, from, to }: Move): string {
  return JSON.stringify([guest, from, to])
}

function rankOf({ phase }: Move): number {
  return phase === 'queued' ? 1 : 0
}
