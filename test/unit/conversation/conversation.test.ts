import assert from 'node:assert/strict'

import { LIMITS_MS } from '../../../src/conversation/conversation.ts'
import { INCOMING_EXPECTS, type IncomingEffect } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import { OUTGOING_EXPECTS, type OutgoingEffect } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import {
  INCOMING_EVENTS, INCOMING_MESSAGES, INCOMING_STATES, nameOf, OUTGOING_EVENTS, OUTGOING_MESSAGES, OUTGOING_STATES,
} from './everystep.ts'

interface AnyStep {
  state: { at: string }
  effects: (OutgoingEffect | IncomingEffect)[]
}

/** The reason of a connection that ended because of a message out of place. */
function refusalOf({ effects }: AnyStep): string | undefined {
  const [first] = effects
  return first?.do === 'closeLink' ? first.reason?.message : undefined
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  for (const part of Object.values(value)) freeze(part)
  return Object.freeze(value)
}

describe('a message of a conversation', () => {
  it('is taken by the outgoing end where it is expected, and ends the connection anywhere else', () => {
    for (const state of OUTGOING_STATES) {
      for (const message of INCOMING_MESSAGES) {
        const refusal = refusalOf(stepOutgoing(state, { kind: 'message', message }))
        const name = `${message.kind} in ${state.at}`
        if (OUTGOING_EXPECTS[state.at].includes(message.kind)) assert.equal(refusal, undefined, name)
        else assert.equal(refusal, said(message.kind, state.at), name)
      }
    }
  })

  it('is taken by the incoming end where it is expected, and ends the connection anywhere else', () => {
    let taken = 0
    for (const state of INCOMING_STATES) {
      for (const message of OUTGOING_MESSAGES) {
        const refusal = refusalOf(stepIncoming(state, { kind: 'message', message }))
        const name = `${message.kind} in ${JSON.stringify(state)}`
        if (refusal === undefined) taken += 1
        if (refusal === undefined) assert.ok(INCOMING_EXPECTS[state.at].includes(message.kind), name)
        else assert.equal(refusal, said(message.kind, state.at), name)
      }
    }
    assert.ok(taken > 40, `${taken}`)
  })

  function said(kind: string, at: string): string {
    return `The other agent sent ${kind}, which this end does not expect in state ${at}.`
  }

  it('is refused a second time, or before its turn, though its state knows its kind', () => {
    const body = Buffer.alloc(0)
    const order = { kind: 'message', message: { kind: 'order', body } } as const
    const channel = { kind: 'message', message: { kind: 'channel', number: 0, ticket: undefined as never } } as const
    const givenUp = { kind: 'message', message: { kind: 'givenUp', runState: 'running' } } as const
    const move = { kind: 'move', mode: 'precopy' } as const
    const waiting = { at: 'waiting', plan: move, order: 'awaited' } as const
    const ordered = stepIncoming(waiting, order).state
    assert.deepEqual(ordered, { at: 'waiting', plan: move, order: 'taken' })
    assert.match(refusalOf(stepIncoming(ordered, order))!, /sent order,/)
    assert.match(refusalOf(stepIncoming(waiting, channel))!, /sent channel,/)
    assert.match(refusalOf(stepIncoming(ordered, givenUp))!, /sent givenUp,/)
    assert.match(refusalOf(stepIncoming({ ...waiting, plan: { kind: 'dryRun' } }, order))!, /sent order,/)
    const serving = { at: 'serving', state: 'running', memory: 'coming' } as const
    assert.match(refusalOf(stepIncoming(serving, channel))!, /sent channel,/)
  })

  it('out of place never ends a copy, lets none run, and tells nobody that a guest is kept', () => {
    for (const state of OUTGOING_STATES) {
      for (const message of INCOMING_MESSAGES.filter(({ kind }) => !OUTGOING_EXPECTS[state.at].includes(kind))) {
        const { effects } = stepOutgoing(state, { kind: 'message', message })
        const isGrave = effects.some((effect) => effect.do === 'takeBack' || effect.do === 'say')
        assert.ok(!isGrave, `${message.kind} ${state.at}`)
      }
    }
    for (const state of INCOMING_STATES) {
      for (const message of OUTGOING_MESSAGES) {
        const step = stepIncoming(state, { kind: 'message', message })
        if (refusalOf(step) === undefined) continue
        const isGrave = step.effects.some((effect) => effect.do === 'release' || effect.do === 'endCopy')
        assert.ok(!isGrave, `${message.kind} ${state.at}`)
      }
    }
  })
})

describe('a conversation', () => {
  it('waits for each thing as long as it may take, and no longer', () => {
    assert.deepEqual(LIMITS_MS, {
      offer: 20_000, link: 8000, greeting: 60_000, begin: 15_000, channel: 60_000, giveUp: 5000, undecided: 30_000,
      confirm: 30_000, orphan: 60_000, abandon: 3000, break: 30_000, ask: 2000,
    })
  })
})

describe('a step of a conversation', () => {
  const outgoing = OUTGOING_STATES.flatMap((state) => OUTGOING_EVENTS.map((event) => ({
    name: `${JSON.stringify(state)}, ${nameOf(event)}`, step: stepOutgoing(state, event) as AnyStep,
  })))
  const incoming = INCOMING_STATES.flatMap((state) => INCOMING_EVENTS.map((event) => ({
    name: `${JSON.stringify(state)}, ${nameOf(event)}`, step: stepIncoming(state, event) as AnyStep,
  })))
  const all = [...outgoing, ...incoming]

  it('changes no state that it is given', () => {
    for (const state of OUTGOING_STATES.map((each) => freeze(structuredClone(each)))) {
      for (const event of OUTGOING_EVENTS) stepOutgoing(state, event)
    }
    for (const state of INCOMING_STATES.map((each) => freeze(structuredClone(each)))) {
      for (const event of INCOMING_EVENTS) stepIncoming(state, event)
    }
  })

  it('tells a result only after whatever stood back goes on', () => {
    for (const { name, step: { effects } } of all) {
      const told = effects.findIndex((effect) => effect.do === 'deliver')
      const goesOn = effects.findIndex((effect) => effect.do === 'goOn')
      if (told !== -1) assert.ok(goesOn !== -1 && goesOn < told, name)
    }
  })

  it('that comes to rest closes what was open and puts the settings back', () => {
    for (const { name, step: { state, effects } } of all) {
      const isResting = state.at === 'over' || state.at === 'telling'
      if (!isResting || !effects.some((effect) => effect.do === 'deliver')) continue
      const done = effects.map((effect) => effect.do)
      for (const each of ['closeLink', 'closeDriver', 'goOn'] as const) assert.ok(done.includes(each), name)
      // A post-copy that has ended well is left to the two QEMUs: they end their connection themselves.
      const isServed = name.includes('"at":"serving"') && /(message|asked) arrived|qemu completed/.test(name)
      assert.equal(done.includes('stopPassages'), !isServed, name)
    }
  })

  it('says nothing over a connection that is lost', () => {
    for (const { name, step: { state, effects } } of all) {
      if (!('link' in state) || state.link !== 'lost') continue
      const said = effects.find((effect) => effect.do === 'say')
      assert.equal(said, undefined, name)
    }
  })

  it('says what it has to say before it closes the connection', () => {
    for (const { name, step: { effects } } of all) {
      const said = effects.findLastIndex((effect) => effect.do === 'say')
      const closed = effects.findIndex((effect) => effect.do === 'closeLink')
      if (said !== -1 && closed !== -1) assert.ok(said < closed, name)
    }
  })
})
