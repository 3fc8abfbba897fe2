/** What must hold of the migrations. */
import type { MoveRecord, RunRecord } from '../record.ts'
import type { Assertion } from './assertion.ts'

export const movesEndAsPlanned: Assertion = {
  name: 'every migration ends as it must, and says why',
  check: ({ moves }) => moves.flatMap((move) => {
    const { planned: { ends, because = '' }, exitStatus, result, errors } = move
    const ended = `${title(move)} ended ${result?.status ?? 'without a result'} (${exitStatus}): ` +
      (result?.reason ?? errors)
    if (result?.status !== ends || exitStatus !== EXIT_STATUS[ends]) return [`${ended} It had to be ${ends}.`]
    if (ends === 'completed') return result.digestMatched === true ? [] : [`${title(move)}: the digests differ`]
    const isNamed = (result.reason ?? '').toLowerCase().includes(because.toLowerCase())
    return isNamed ? [] : [`${ended} The reason had to say "${because}".`]
  }),
}

export const memoryEqual: Assertion = {
  name: 'memory is equal at both ends, byte for byte',
  check: ({ moves }) => moves.filter(isCompleted).flatMap((move) => {
    const { planned, comparison } = move
    if (comparison === undefined) return planned.isCompared ? [`${title(move)}: nothing was compared`] : []
    return comparison.differences.map((difference) => `${title(move)}: ${difference}`)
  }),
}

export const workGoesOn: Assertion = {
  name: 'guests go on with their work where they arrive',
  check: ({ moves }) => moves.filter(isCompleted).flatMap((move) => {
    const { beats } = move
    if (beats === undefined) return [`${title(move)}: no heartbeat came`]
    // A guest that had booted again would count from one.
    return beats.after > beats.before ? [] : [`${title(move)}: heartbeat ${beats.before}, then ${beats.after}`]
  }),
}

export function savedAtLeast(share: number): Assertion {
  return {
    name: `at least ${percent(share)} of what QEMU wrote stays off the wire`,
    check: ({ moves }) => {
      const completed = moves.filter(isCompleted)
      const saved = 1 - sum(completed, wireBytesOf) / sum(completed, qemuBytesOf)
      return saved >= share ? [] : [`it is ${percent(saved)}`]
    },
  }
}

export function noWorseThanPlain(ratio: number): Assertion {
  return {
    name: `no migration takes more than ${ratio} times QEMU's bytes`,
    check: ({ moves }) => moves.filter(isCompleted).flatMap((move) => {
      const taken = wireBytesOf(move) / qemuBytesOf(move)
      return taken <= ratio ? [] : [`${title(move)} takes ${taken.toFixed(3)}`]
    }),
  }
}

export function everyGuestMoved(times: number): Assertion {
  return {
    name: `every guest moves ${times} times`,
    check: ({ moves, guests }) => guests.flatMap(({ name }) => {
      const moved = moves.filter((move) => move.guest === name && isCompleted(move)).length
      return moved === times ? [] : [`${name} moved ${moved} times`]
    }),
  }
}

export const movesOverlapped: Assertion = {
  name: 'the migrations run at the same time',
  check: ({ moves }) => {
    const completed = moves.filter(isCompleted)
    const lastBegin = Math.max(...completed.map(({ beganAtMs }) => beganAtMs))
    const firstEnd = Math.min(...completed.map(({ endedAtMs }) => endedAtMs))
    if (completed.length < 2) return ['fewer than two completed']
    return lastBegin < firstEnd ? [] : ['one had ended when another began']
  },
}

export function filledFromStore(pages: number): Assertion {
  return {
    name: `the last migration has ${pages} pages and more from the destination's store`,
    check: ({ moves }) => {
      const filled = moves.at(-1)?.result?.refsFilledBy?.store ?? 0
      return filled >= pages ? [] : [`it has ${filled}`]
    },
  }
}

const EXIT_STATUS = { completed: 0, failed: 1, cancelled: 130 } as const

function isCompleted({ result }: RunRecord['moves'][number]): boolean {
  return result?.status === 'completed'
}

function title({ guest, from, to, mode }: MoveRecord): string {
  return `${guest} from ${from} to ${to} (${mode})`
}

function wireBytesOf({ result }: MoveRecord): number {
  return (result?.wireBytes ?? 0) + (result?.receivedWireBytes ?? 0)
}

function qemuBytesOf({ result }: MoveRecord): number {
  return result?.qemuBytes ?? 0
}

function sum(moves: readonly MoveRecord[], value: (move: MoveRecord) => number): number {
  return moves.reduce((total, move) => total + value(move), 0)
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
