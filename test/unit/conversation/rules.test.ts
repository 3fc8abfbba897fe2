/** The rules of design.md, "No guest is ever lost", as far as the conversation decides: over every state and event. */
import assert from 'node:assert/strict'

import type { IncomingState } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import { verdictOf } from '../../../src/conversation/outgoingend.ts'
import type { OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import { INCOMING_EVENTS, INCOMING_STATES, nameOf, OUTGOING_EVENTS, OUTGOING_STATES, REASON } from './everystep.ts'
import { walkIncoming, walkOutgoing, wordsOf } from './walk.ts'

interface Seen<State> {
  before: State
  event: string
  after: State
  does: string[]
}

const outgoing: Seen<OutgoingState>[] = OUTGOING_STATES.flatMap((before) => OUTGOING_EVENTS.map((event) => {
  const { state, effects } = stepOutgoing(before, event)
  return { before, event: nameOf(event), after: state, does: effects.map(wordsOf) }
}))
const incoming: Seen<IncomingState>[] = INCOMING_STATES.flatMap((before) => INCOMING_EVENTS.map((event) => {
  const { state, effects } = stepIncoming(before, event)
  return { before, event: nameOf(event), after: state, does: effects.map(wordsOf) }
}))

/** `state: event` of the steps that do something, each once. */
function when<State extends { at: string }>(seen: Seen<State>[], does: (words: string) => boolean): string[] {
  const doing = seen.filter((each) => each.does.some(does))
  return [...new Set(doing.map(({ before, event }) => `${before.at}: ${event}`))].sort()
}

const MOVING: OutgoingState = { at: 'moving', link: 'up', copy: 'unknown', runState: 'running', isCancelling: false }

describe('no guest is ever lost', () => {
  it('rule 1: one copy runs at most; the source goes on only when the other copy never will', () => {
    assert.deepEqual(when(outgoing, (words) => words.startsWith('takeBack')), [
      'leaving: asked broken', 'leaving: asked unfit', 'leaving: message broken', 'leaving: message unfit',
      'unconfirmed: asked broken', 'unconfirmed: asked unfit',
    ])
    const taken = outgoing.filter(({ does }) => does.some((words) => words.startsWith('takeBack')))
    assert.ok(taken.every(({ before }) => 'cause' in before && before.cause === 'completed'))
    // From the moment that this is written nobody is told any more that the guest was given up.
    assert.ok(taken.every(({ does }) => does[0] === 'record taking-back first'))
    assert.ok(taken.every(({ after }) => verdictOf(after).verdict === 'pending'))
  })

  it('rule 2: the destination releases a guest only after "given up"', () => {
    assert.deepEqual(when(incoming, (words) => words.startsWith('release')), [
      'cut: answered given-up', 'cut: settle run', 'finishing: qemu completed', 'holding: answered given-up',
      'holding: settle run', 'loaded: message givenUp', 'loading: message givenUp', 'waiting: message givenUp',
    ])
    const early = incoming.filter(({ before, does }) => before.at === 'loading' && before.mode === 'precopy' &&
      does.some((words) => words.startsWith('release')))
    assert.deepEqual(early, [], 'pre-copy has nothing to release while it loads')
    const finishing = incoming.filter(({ before, after }) => before.at !== 'finishing' && after.at === 'finishing')
    assert.ok(finishing.every(({ event }) => event === 'message givenUp'))
  })

  it('rule 2: "given up" means that QEMU completed, cannot go back, or died while the other copy was whole', () => {
    const said = outgoing.filter(({ does }) => does.includes('say givenUp') || does.includes('record given-up'))
    assert.ok(said.length > 0)
    for (const { before, event, after } of said) {
      const isDead = after.at === 'leaving' && after.cause === 'dead'
      const wasWhole = 'copy' in before && (before.copy === 'whole' || event.endsWith(' whole'))
      const isRejoin = 'plan' in before && before.plan.kind === 'rejoin'
      const isSure = 'isCancelling' in before && !(before.isCancelling && before.at !== 'orphaned')
      assert.ok(event === 'qemu completed' || event === 'handedOver' || isRejoin || (isDead && wasWhole && isSure),
        `${JSON.stringify(before)}: ${event}`)
    }
  })

  it('rule 3: the destination ends a copy only after "kept", or as its operator says', () => {
    assert.deepEqual(when(incoming, (words) => words === 'endCopy'), [
      'breaking: late abandon', 'breaking: qemu completed', 'breaking: qemu postcopy-paused', 'cut: answered kept',
      'cut: settle end',
      'ending: late ask', 'holding: answered kept', 'holding: message kept', 'holding: settle end',
      'loaded: message kept',
    ])
    const breaking = incoming.filter(({ before, does }) => before.at === 'breaking' && does.includes('endCopy'))
    assert.ok(breaking.every(({ before }) => before.at === 'breaking' && before.isKept))
  })

  it('rule 3: "kept" is said only after the source QEMU ended its migration without completing', () => {
    assert.deepEqual(when(outgoing, (words) => words === 'say kept' || words === 'record kept'), [
      ...['handingOver', 'moving', 'orphaned', 'stopping'].flatMap((at) => [
        `${at}: failed start`, `${at}: qemu cancelled`, `${at}: qemu failed`,
      ]),
      'takingBack: takenBack',
    ])
    const kept = OUTGOING_STATES.filter((state) => verdictOf(state).verdict === 'kept')
    assert.ok(kept.every((state) => state.at === 'over' && ['kept', 'estimated'].includes(state.ending.as)))
  })

  it('rule 4: a copy that nobody decided for is held, reported and asked for', () => {
    const held = incoming.filter(({ before, after }) => before.at !== 'holding' && after.at === 'holding')
    assert.ok(held.length > 5)
    for (const { after, does } of held) {
      if (after.at !== 'holding' || after.link === 'up') continue
      assert.ok(does.some((words) => words.startsWith('record')) && does.includes('deliver held'), after.why.message)
      assert.deepEqual(does.slice(-1), ['wait ask'])
    }
    const lost = walkIncoming({ at: 'loaded', runState: 'running' }, { kind: 'linkLost', reason: REASON })
    assert.equal(lost.state.at, 'holding')
    const asked = walkIncoming(lost.state, {
      kind: 'answered', asked: 'whole', verdict: { verdict: 'unknown' },
    })
    assert.equal(asked.state.at, 'holding')
    assert.deepEqual(walkIncoming(asked.state, { kind: 'late', wait: 'ask' }).does, ['ask whole', 'wait ask'])
  })

  it('rule 4: an operator is not heard while the source may be taking the guest back', () => {
    const state: IncomingState = {
      at: 'holding', why: REASON, link: 'up', runState: 'running', copy: { kind: 'unfit', reason: 'no disk' },
    }
    for (const decision of ['run', 'end'] as const) {
      assert.deepEqual(walkIncoming(state, { kind: 'settle', decision }), { state, does: [] })
    }
  })

  it('rule 5: a cancel is a request to the source QEMU, whose answer decides', () => {
    assert.deepEqual(walkOutgoing(MOVING, { kind: 'cancel', reason: REASON }).does, ['cancelQemu', 'wait giveUp'])
    const streaming = [
      'moving', 'handingOver', 'stopping', 'orphaned', 'leaving', 'unconfirmed', 'takingBack', 'serving',
    ]
    for (const { before, event, after, does } of outgoing) {
      if (event !== 'cancel' || !streaming.includes(before.at)) continue
      assert.ok(!does.includes('closeDriver') && !does.includes('closeLink'), before.at)
      assert.equal(after.at, before.at === 'moving' ? 'stopping' : before.at)
    }
    const late = walkOutgoing(MOVING, { kind: 'cancel', reason: REASON }, { kind: 'qemu', status: 'completed' })
    assert.equal(late.does[0], 'say givenUp')
  })

  it('rule 6: a guest arrives as it was at switchover, and every setting is put back', () => {
    const moved = walkOutgoing(
      MOVING, { kind: 'switchover', runState: 'guest-panicked' }, { kind: 'qemu', status: 'completed' },
    )
    assert.ok(moved.state.at === 'leaving' && moved.state.runState === 'guest-panicked')
    const held = walkIncoming({ at: 'loaded', runState: 'running' },
      { kind: 'message', message: { kind: 'givenUp', runState: 'shutdown' } })
    assert.equal(held.does[0], 'release shutdown')
    for (const { after, does } of [...outgoing, ...incoming]) {
      const isTold = after.at === 'over' && does.some((words) => words.startsWith('deliver'))
      if (isTold) assert.ok(does.includes('closeDriver'))
    }
  })

  it('rule 7: nothing is touched before both hosts have checked', () => {
    const begun = when(outgoing, (words) => words === 'start')
    assert.deepEqual(begun, ['listing: message bitmap'])
    // In loading it is one beside the main channel.
    assert.deepEqual(when(incoming, (words) => words === 'openChannel'), [
      'loading: message channel', 'waiting: message channel',
    ])
    assert.deepEqual(when(incoming, (words) => words === 'openChannel again'), [
      'releasing: message channel', 'serving: message channel',
    ])
    assert.deepEqual(when(incoming, (words) => words === 'accept'), ['checking: checked'])
  })

  it('rule 8: no end stays wedged: whoever is told a result, what stood back goes on before', () => {
    for (const { before, event, does } of [...outgoing, ...incoming]) {
      const told = does.findIndex((words) => words.startsWith('deliver'))
      if (told !== -1) assert.ok(does.slice(0, told).includes('goOn'), `${before.at}: ${event}`)
    }
  })

  it('rule 9: "completed" is told only when the destination says that the guest arrived', () => {
    const completed = when(outgoing, (words) => words === 'deliver completed')
    assert.ok(completed.length > 5)
    assert.ok(completed.every((each) => /(asked|message) arrived$/.test(each)), completed.join(', '))
    const kept = outgoing.filter(({ does }) => does.includes('deliver kept'))
    assert.ok(kept.every(({ event }) => !event.startsWith('gone')), 'a QEMU that is dead keeps nothing')
    const arrived = incoming.filter(({ does }) => does.includes('deliver arrived'))
    assert.ok(arrived.every(({ event }) => event === 'released' || event === 'qemu completed'))
  })
})
