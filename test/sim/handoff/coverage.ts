/** Which steps of the two ends occurred in many runs, and which steps of the rules did not. */
import type { IncomingEvent } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import type { OutgoingEvent } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import {
  INCOMING_EVENTS, INCOMING_STATES, nameOf, OUTGOING_EVENTS, OUTGOING_STATES,
} from '../../unit/conversation/everystep.ts'
import type { Side } from './modelqemu.ts'

/** Counts over many runs. */
export interface Visits {
  /** Pairs of the states of both ends. */
  pairs: Set<string>
  /** Names of steps, by `stepName`. */
  steps: Set<string>
}

export function noVisits(): Visits {
  return { pairs: new Set(), steps: new Set() }
}

export function stepName(side: Side, before: string, event: OutgoingEvent | IncomingEvent, after: string): string {
  return `${side} ${before}: ${nameOf(event)} -> ${after}`
}

interface AnyStep {
  state: { at: string }
  effects: { do: string }[]
}

/** The waits that a state sets. */
const WAITS: Record<string, readonly string[]> = {
  'source offering': ['offer'], 'source linking': ['link'], 'source listing': ['greeting'],
  'source starting': ['begin'],
  'source stopping': ['giveUp', 'undecided'], 'source handingOver': ['undecided'], 'source orphaned': ['orphan'],
  'source leaving': ['confirm'], 'source takingBack': ['undecided'],
  'destination linking': ['link'], 'destination greeting': ['greeting'], 'destination listing': ['greeting'],
  'destination waiting': ['channel'], 'destination finishing': ['break'], 'destination breaking': ['break'],
  'destination releasing': ['confirm'], 'destination holding': ['ask'], 'destination telling': ['ask'],
  'destination cut': ['ask'], 'destination ending': ['break', 'ask'],
}
/** What can fail in which state. */
const FAILING: Record<string, readonly string[]> = {
  prepare: ['preparing'], offer: ['offering', 'listing'], start: ['starting', 'stopping'], postcopy: ['moving'],
  pause: ['moving'],
  check: ['checking'], link: ['linking'], channel: ['loading', 'breaking', 'releasing', 'serving'],
  passage: ['starting', 'moving', 'stopping', 'handingOver', 'serving', 'loading', 'breaking', 'releasing'],
}
const UNLINKED = ['idle', 'preparing', 'offering', 'checking', 'cut', 'unconfirmed']

/** Whether the model world can produce this event in this state at all. */
function canBe(side: Side, at: string, event: OutgoingEvent | IncomingEvent): boolean {
  switch (event.kind) {
    case 'late': return WAITS[`${side} ${at}`]?.includes(event.wait) === true
    case 'failed': return FAILING[event.what]!.includes(at) && !(side === 'source' && event.what === 'link')
    case 'linkLost': case 'message': return !UNLINKED.includes(at)
    // A process that ended sends no more events.
    case 'qemu': return at !== 'orphaned'
    default: return true
  }
}

/** Steps that do something: every state with every event, without messages out of place. */
function stepsOf<State extends { at: string }, Event extends OutgoingEvent | IncomingEvent>(
  side: Side, states: readonly State[], events: readonly Event[], step: (state: State, event: Event) => AnyStep,
): string[] {
  return states.flatMap((state) => events.flatMap((event) => {
    if (!canBe(side, state.at, event)) return []
    const next = step(state, event)
    const isOutOfPlace = event.kind === 'message' && next.effects[0]?.do === 'closeLink'
    const isNothing = next.state.at === state.at && next.effects.every((effect) => effect.do === 'answer')
    return isOutOfPlace || isNothing ? [] : [stepName(side, state.at, event, next.state.at)]
  }))
}

export function unseenSteps(visits: Visits): { all: number; unseen: string[] } {
  const all = new Set([
    ...stepsOf('source', OUTGOING_STATES, OUTGOING_EVENTS, stepOutgoing),
    ...stepsOf('destination', INCOMING_STATES, INCOMING_EVENTS, stepIncoming),
  ])
  return { all: all.size, unseen: [...all].filter((step) => !visits.steps.has(step)).sort() }
}

export function formatCoverage(visits: Visits): string {
  const { all, unseen } = unseenSteps(visits)
  const lines = unseen.map((step) => `  ${step}\n`).join('')
  return `${all - unseen.length} of ${all} steps were seen; these were not:\n${lines}`
}
