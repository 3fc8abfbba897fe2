/** What each state heeds: every event that changes it, or makes it do something but answer. */
import assert from 'node:assert/strict'

import type { IncomingEvent, IncomingState } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import type { OutgoingEvent, OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import { INCOMING_EVENTS, INCOMING_STATES, nameOf, OUTGOING_EVENTS, OUTGOING_STATES } from './everystep.ts'

/** A state, and what else of it decides what it heeds. */
function variantOf(state: OutgoingState | IncomingState): string {
  switch (state.at) {
    case 'preparing': case 'offering': case 'linking': case 'starting': case 'checking': case 'greeting':
    case 'listing': case 'waiting':
      return state.plan.kind === 'rejoin' ? `${state.at} again` : state.at
    case 'orphaned':
      return state.mayHaveGoneOn ? 'orphaned, in doubt' : state.at
    case 'holding':
      return `holding ${state.copy.kind}, link ${state.link}`
    case 'releasing': case 'serving':
      return 'memory' in state ? `${state.at}, memory ${state.memory}` : state.at
    case 'cut':
      if (!('state' in state) || state.state === undefined) return state.at
      return state.isTorn ? 'cut, torn' : 'cut, released'
    case 'over':
      return `over, ${state.ending.as}`
    default:
      return state.at
  }
}

/** `late` and `failed` stand for all of their kind: no state tells them apart by more than one. */
function wordOf(event: OutgoingEvent | IncomingEvent): string {
  return event.kind === 'late' || event.kind === 'failed' ? event.kind : nameOf(event).replace(/^message /, '<')
}

function heededBy<State extends OutgoingState | IncomingState, Event extends OutgoingEvent | IncomingEvent>(
  states: readonly State[], events: readonly Event[],
  step: (state: State, event: Event) => { state: State; effects: readonly { do: string }[] },
): Record<string, string> {
  const heeded = new Map<string, Set<string>>()
  for (const before of states) {
    const variant = variantOf(before)
    const words = heeded.get(variant) ?? new Set()
    heeded.set(variant, words)
    for (const event of events) {
      const { state, effects } = step(before, event)
      const [first] = effects
      const isRefused = first?.do === 'closeLink' && 'reason' in first
      const isSame = JSON.stringify(state) === JSON.stringify(before)
      if (!isRefused && !(isSame && effects.every((effect) => effect.do === 'answer'))) words.add(wordOf(event))
    }
  }
  return Object.fromEntries([...heeded].map(([variant, words]) => [variant, [...words].sort().join(', ')]))
}

/** What the outgoing end heeds; `<` stands before what the other end says. */
const OUTGOING_HEEDS: Record<string, string> = {
  idle: 'begin',
  preparing:
    'cancel, failed, gone, hasten pause, hasten postcopy, late, linkLost, prepared, qemu cancelled, qemu failed',
  offering:
    'accepted, cancel, failed, gone, hasten pause, hasten postcopy, late, linkLost, linked, qemu cancelled, ' +
    'qemu failed',
  linking:
    'cancel, failed, gone, hasten pause, hasten postcopy, late, linkLost, linked, qemu cancelled, qemu failed',
  listing:
    '<bitmap, <broken, <trouble, cancel, failed, gone, hasten pause, hasten postcopy, late, linkLost, ' +
    'qemu cancelled, qemu failed',
  starting:
    '<broken, <fetched, <trouble, begun, cancel, failed, gone, hasten pause, hasten postcopy, late, linkLost, ' +
    'qemu cancelled, qemu failed',
  'preparing again':
    'asked arrived, asked broken, asked fell, asked unfit, cancel, failed, gone, late, linkLost, prepared, ' +
    'qemu cancelled, qemu completed, qemu failed',
  'offering again':
    'accepted, asked arrived, asked broken, asked fell, asked unfit, cancel, failed, gone, late, linkLost, ' +
    'linked, qemu cancelled, qemu completed, qemu failed',
  'linking again':
    'asked arrived, asked broken, asked fell, asked unfit, cancel, failed, gone, late, linkLost, linked, ' +
    'qemu cancelled, qemu completed, qemu failed',
  'listing again':
    '<bitmap, <broken, <trouble, asked arrived, asked broken, asked fell, asked unfit, cancel, failed, gone, ' +
    'late, linkLost, qemu cancelled, qemu completed, qemu failed',
  'starting again':
    '<broken, <fetched, <trouble, asked arrived, asked broken, asked fell, asked unfit, begun, cancel, failed, ' +
    'gone, late, linkLost, qemu cancelled, qemu completed, qemu failed',
  moving:
    '<broken, <fetched, <trouble, <whole, asked arrived, asked broken, asked fell, asked whole, begun, ' +
    'cancel, failed, gone, handedOver, hasten pause, hasten postcopy, late, linkLost, qemu cancelled, ' +
    'qemu cancelling, qemu completed, qemu failed, qemu postcopy-active, qemu postcopy-paused, switchover',
  handingOver:
    '<broken, <fetched, <trouble, <whole, asked arrived, asked broken, asked fell, asked whole, begun, ' +
    'failed, gone, handedOver, late, linkLost, qemu cancelled, qemu cancelling, qemu completed, qemu failed, ' +
    'qemu postcopy-paused, switchover',
  stopping:
    '<broken, <fetched, <trouble, <whole, asked arrived, asked broken, asked fell, asked whole, begun, ' +
    'failed, gone, handedOver, late, linkLost, qemu cancelled, qemu cancelling, qemu completed, qemu failed, ' +
    'qemu postcopy-active, qemu postcopy-paused, switchover',
  orphaned:
    '<broken, <fetched, <whole, asked arrived, asked broken, asked fell, asked partial, asked unfit, ' +
    'asked whole, failed, late, linkLost, qemu cancelled, qemu cancelling, qemu completed, qemu failed, ' +
    'qemu postcopy-paused, switchover',
  'orphaned, in doubt':
    '<broken, <fetched, <whole, asked arrived, asked broken, asked fell, asked partial, asked unfit, ' +
    'asked whole, failed, late, linkLost, qemu cancelled, qemu cancelling, qemu completed, qemu failed, ' +
    'qemu postcopy-paused, switchover',
  leaving:
    '<arrived, <broken, <fell, <unfit, asked arrived, asked broken, asked fell, asked unfit, gone, late, ' +
    'linkLost',
  unconfirmed: 'asked arrived, asked broken, asked fell, asked unfit, gone, linkLost',
  takingBack: '<broken, gone, late, linkLost, notTakenBack, takenBack',
  serving:
    '<arrived, <broken, <fell, <fetched, <unfit, asked arrived, asked broken, asked fell, asked unfit, begun, ' +
    'failed, gone, linkLost, qemu completed, qemu postcopy-paused, switchover',
  cut: 'asked arrived, asked broken, asked fell, asked unfit, gone, qemu completed, rejoin',
  'over, kept': '',
  'over, held': 'asked arrived',
  'over, lost': '',
  'over, estimated': '',
  'over, completed': '',
}

/** What the incoming end heeds. */
const INCOMING_HEEDS: Record<string, string> = {
  idle: 'begin',
  checking: 'checked, failed, gone, late, linkLost, stop',
  linking: 'failed, gone, late, linkLost, linked, stop',
  greeting: '<hello, failed, gone, late, linkLost, stop',
  listing: '<census, failed, gone, late, linkLost, stop',
  waiting: '<channel, <kept, <order, failed, gone, late, linkLost, stop',
  'checking again': 'checked, failed, gone, late, linkLost, qemu completed, stop',
  'linking again': 'failed, gone, late, linkLost, linked, qemu completed, stop',
  'greeting again': '<hello, failed, gone, late, linkLost, qemu completed, stop',
  'listing again': '<census, failed, gone, late, linkLost, qemu completed, stop',
  'waiting again': '<givenUp, <kept, failed, gone, late, linkLost, qemu completed, stop',
  loading:
    '<channel, <givenUp, <kept, <switchover, failed, gone, linkLost, qemu completed, qemu failed, ' +
    'qemu postcopy-paused, stop',
  loaded: '<givenUp, <kept, <switchover, gone, linkLost, stop',
  finishing: '<switchover, gone, late, linkLost, qemu completed, qemu failed, qemu postcopy-paused',
  breaking:
    '<givenUp, <kept, <switchover, answered kept, failed, gone, late, linkLost, qemu completed, qemu failed, ' +
    'qemu postcopy-paused',
  'holding unfit, link up': '<kept, answered kept, gone, late, linkLost',
  'releasing, memory whole': 'gone, late, linkLost, notReleased, released',
  'releasing, memory coming':
    '<channel, failed, gone, late, linkLost, notReleased, qemu completed, qemu postcopy-paused, released',
  'releasing, memory awaited': '<channel, failed, gone, late, linkLost, notReleased, qemu completed, released',
  'releasing, memory cut': 'gone, late, linkLost, notReleased, qemu completed, released',
  'holding unfit, link lost': '<kept, answered kept, gone, late, settle end, settle run',
  'holding whole, link lost': '<kept, answered given-up, answered kept, gone, late, settle end, settle run',
  ending: 'ended, gone, late, notEnded',
  'serving, memory coming': '<channel, failed, gone, linkLost, qemu completed, qemu postcopy-paused, stop',
  'serving, memory awaited': '<channel, failed, gone, linkLost, qemu completed, stop',
  'serving, memory cut': 'failed, gone, linkLost, qemu completed, stop',
  cut: 'answered given-up, answered kept, gone, late, qemu completed, rejoin, settle end, settle run',
  'cut, released': 'answered given-up, gone, late, qemu completed, rejoin',
  'cut, torn': 'gone, qemu completed, rejoin',
  telling: 'answered given-up, answered kept, answered unknown, late',
  'over, failed': '',
}

describe('what a state of a conversation heeds', () => {
  it('is this at the outgoing end', () => {
    assert.deepEqual(heededBy(OUTGOING_STATES, OUTGOING_EVENTS, stepOutgoing), OUTGOING_HEEDS)
  })

  it('is this at the incoming end', () => {
    assert.deepEqual(heededBy(INCOMING_STATES, INCOMING_EVENTS, stepIncoming), INCOMING_HEEDS)
  })
})
