/** What must hold after a round, with any striker: a pure function from observations to faults. */
import { isDeepStrictEqual } from 'node:util'

import type { HandoffResult } from '../../src/index.ts'
import type { Settings } from './witness.ts'

export const FAULT_KINDS = ['lost', 'doubled', 'wedged', 'wrongWords', 'settingsLeft'] as const
export type FaultKind = typeof FAULT_KINDS[number]

export interface Fault {
  kind: FaultKind
  what: string
}

/** A guest that the agent holds because the state of the other copy is unknown. */
export interface Held {
  guest: string
  from: string
  sinceMs: number
  why: string
}

/** One QEMU at rest. */
export interface Seen {
  host: string
  /** Its run state: running, paused, postmigrate, inmigrate, ...; `gone` when the process ended. */
  state: string
  /** Settings that the agent must restore, before and after; undefined for a QEMU that is gone. */
  settings?: { before: Settings; after: Settings }
  /** Whether all of the guest arrived here. */
  hasArrived: boolean
  /** Whether a client told this QEMU to quit. */
  wasQuit: boolean
}

/** What a move said of itself. */
export type MoveWords = Pick<HandoffResult, 'status' | 'downtimeMs'>
  & Partial<Pick<HandoffResult, 'code' | 'reason' | 'arrivedState'>>

export interface Observation {
  guest: string
  source: Seen
  destination: Seen
  /** How long both copies ran at the same time, ms. */
  overlapMs: number
  /** The run state of the guest wherever it lives; absent: running. */
  lives?: 'running' | 'paused'
  /**
   * How `pagemesh migrate` ended; undefined if it never did. `unheard`: a strike took away who would have told, or
   * what was told.
   */
  move: { exit: number; words: MoveWords | undefined } | 'unheard' | undefined
  /** How `pagemesh cancel` ended, if it was run; exit undefined if it never did. */
  cancel?: { exit: number | undefined }
  /** Final status of both agents; undefined for one that does not answer. */
  agents: Record<string, { handoffs: number; held: Held[] } | undefined>
  /** The statuses with which the move may end. */
  mayEnd: readonly MoveWords['status'][]
  /** The source QEMU was killed before it could report that it has given the guest up: then the guest may be lost. */
  mayBeLost: boolean
}

const SAYS_AT_SOURCE = /\b(runs|goes|lives|stays|is)( on)? (at the source|here|where it was)\b/i
const SAYS_LOST = /\blost\b|no whole copy|not whole|nowhere|\bgone\b|has ended|ended before|died/i
const MIGRATE_EXITS = { completed: 0, failed: 1, cancelled: 130 } as const

/** All faults; an empty list means that all is right. */
export function judge(seen: Observation): Fault[] {
  return [...judgeCopies(seen), ...judgeAgents(seen), ...judgeWords(seen), ...judgeSettings(seen)]
}

function judgeCopies(seen: Observation): Fault[] {
  const { guest, source, destination, overlapMs, mayBeLost, lives = 'running' } = seen
  const states = `${source.host} (source): ${source.state}, ${destination.host} (destination): ${destination.state}`
  const faults: Fault[] = []
  const running = [source, destination].filter(({ state }) => state === lives)
  if (running.length === 2 || overlapMs > 0) {
    const what = `two copies of ${guest} ran at once for ${overlapMs.toFixed(1)} ms; ${states}`
    faults.push({ kind: 'doubled', what })
  }
  if (destination.hasArrived && destination.wasQuit && running.length === 0) {
    faults.push({ kind: 'lost', what: `the whole copy of ${guest} at ${destination.host} was ended; ${states}` })
  } else if (running.length === 0 && !(mayBeLost && !destination.hasArrived)) {
    faults.push({ kind: 'lost', what: `${guest} runs nowhere; ${states}` })
  }
  // A QEMU that still waits is as good as one that ended; a loaded copy beside the running one is not.
  if (source.state === lives && !['gone', 'inmigrate', lives].includes(destination.state)) {
    faults.push({ kind: 'wedged', what: `a copy is left at ${destination.host} beside the one that runs; ${states}` })
  }
  return faults
}

function judgeAgents({ agents, move, cancel, mayBeLost, destination }: Observation): Fault[] {
  const faults: Fault[] = []
  if (move === undefined) faults.push({ kind: 'wedged', what: '`pagemesh migrate` never ended' })
  if (cancel !== undefined && cancel.exit === undefined) {
    faults.push({ kind: 'wedged', what: '`pagemesh cancel` never ended' })
  }
  for (const [host, agent] of Object.entries(agents)) {
    if (agent === undefined) faults.push({ kind: 'wedged', what: `the agent of ${host} does not answer` })
    if ((agent?.handoffs ?? 0) > 0) {
      faults.push({ kind: 'wedged', what: `the agent of ${host} still shows a handoff in \`handoffs\`` })
    }
    for (const { guest, why } of agent?.held ?? []) {
      // Part of a guest whose rest is gone: its host says so, and leaves it to the operator.
      if (mayBeLost && host === destination.host && SAYS_LOST.test(why)) continue
      faults.push({ kind: 'wedged', what: `the agent of ${host} still holds ${guest}, though both answer: ${why}` })
    }
  }
  return faults
}

function judgeWords(seen: Observation): Fault[] {
  const { guest, source, destination, move, cancel, mayEnd, mayBeLost, lives = 'running' } = seen
  if (move === undefined || move === 'unheard') return []
  const { exit, words } = move
  const wrong = (what: string): Fault => ({ kind: 'wrongWords', what })
  if (words === undefined) return [wrong(`\`migrate --json\` said nothing, exit status ${exit}`)]
  const faults: Fault[] = []
  const said = `status ${words.status}, arrivedState ${words.arrivedState}, reason ${JSON.stringify(words.reason)}`
  const runsAtSource = source.state === lives
  const runsAtDestination = destination.state === lives
  if (!mayEnd.includes(words.status)) faults.push(wrong(`it can only be ${mayEnd.join(' or ')}, but: ${said}`))
  if (exit !== MIGRATE_EXITS[words.status]) faults.push(wrong(`exit status ${exit} with ${said}`))
  if ((words.status === 'completed') !== runsAtDestination) {
    faults.push(wrong(`${guest} ${runsAtDestination ? 'runs' : 'does not run'} at the destination, but: ${said}`))
  }
  if (words.status === 'cancelled' && !runsAtSource) {
    faults.push(wrong(`${guest} does not run at the source, but: ${said}`))
  }
  if (runsAtDestination && words.status === 'completed') {
    if (words.arrivedState !== lives) faults.push(wrong(`${guest} arrived ${lives}, but: ${said}`))
    // It may be unknown if the source QEMU is gone.
    if (lives === 'running' && typeof words.downtimeMs !== 'number' && source.state !== 'gone') {
      faults.push(wrong(`downtimeMs is ${words.downtimeMs} for a guest that ran`))
    }
  }
  if (words.status !== 'completed' && (words.arrivedState ?? null) !== null) {
    faults.push(wrong(`an arrivedState without an arrival: ${said}`))
  }
  if (!runsAtSource && SAYS_AT_SOURCE.test(words.reason ?? '')) {
    faults.push(wrong(`the reason claims that ${guest} is at the source, where it is ${source.state}: ${said}`))
  }
  if (mayBeLost && !runsAtDestination && !SAYS_LOST.test(words.reason ?? '')) {
    faults.push(wrong(`no copy of ${guest} is left, and the reason does not say so: ${said}`))
  }
  if (cancel?.exit !== undefined && (cancel.exit === 0) !== (words.status === 'cancelled')) {
    faults.push(wrong(`\`cancel\` ended with ${cancel.exit}, but: ${said}`))
  }
  return faults
}

function judgeSettings({ source, destination }: Observation): Fault[] {
  return [source, destination].flatMap(({ host, settings }) => {
    if (settings === undefined) return []
    const left = settingsLeft(settings)
    return left === '' ? [] : [{ kind: 'settingsLeft' as const, what: `at the QEMU of ${host}: ${left}` }]
  })
}

/** Changed settings, as text; empty if there are none. */
export function settingsLeft({ before, after }: { before: Settings; after: Settings }): string {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.filter((name) => !isDeepStrictEqual(before[name], after[name]))
    .map((name) => `${name} was ${JSON.stringify(before[name])} and is ${JSON.stringify(after[name])}`).join(', ')
}
