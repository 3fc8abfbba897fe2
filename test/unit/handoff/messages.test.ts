import assert from 'node:assert/strict'

import type { CopyNews, IncomingMessage, OutgoingMessage, Verdict } from '../../../src/conversation/conversation.ts'
import type { IncomingSummary } from '../../../src/conversation/index.ts'
import {
  decodeIncoming, decodeOffer, decodeOutgoing, decodeQuestion, decodeVerdict, encodeMessage,
  encodeOffer, encodeQuestion, encodeVerdict, HANDOFF_VERSION, INCOMING_FRAMES, knownRunState, OUTGOING_FRAMES,
  type HandoffOffer,
} from '../../../src/handoff/messages.ts'
import { decodeRelayOffer } from '../../../src/relay/messages.ts'
import { ID } from '../../support/bothends.ts'
import { MACHINE } from '../../support/fakeguest.ts'

/** Both ends' frames: a lane carries those of either. */
const CONVERSATION_FRAMES = { ...OUTGOING_FRAMES, ...INCOMING_FRAMES }
const TICKET = { address: '127.0.0.1:1', id: 'ab', key: 'cd' }
const OFFER: HandoffOffer = {
  version: HANDOFF_VERSION, id: ID, guest: 'web', mode: 'precopy', plan: 'move', machine: MACHINE,
  beside: { multifd: 2, preempt: false }, ticket: TICKET,
}
const SUMMARY: IncomingSummary = {
  streamBytes: 5, refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 },
  peerBytes: 6, releaseMs: 7,
  spent: { report: 8, gossip: 9, swap: 10 },
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

describe('an offer', () => {
  it('arrives as it was made, whatever it is for', () => {
    for (const plan of ['move', 'dryRun', 'rejoin'] as const) {
      for (const mode of ['precopy', 'postcopy'] as const) {
        assert.deepEqual(decodeOffer(encodeOffer({ ...OFFER, plan, mode })), { ...OFFER, plan, mode })
      }
    }
    const ticket = { address: 'a'.repeat(255), id: 'i'.repeat(64), key: 'k'.repeat(128) }
    const long = { ...OFFER, guest: 'x'.repeat(255), ticket }
    assert.deepEqual(decodeOffer(encodeOffer(long)), long)
  })

  const odd: Record<string, object> = {
    'an older version': { version: HANDOFF_VERSION - 1 }, 'a newer version': { version: HANDOFF_VERSION + 1 },
    'no version': { version: undefined }, 'a version that cannot be text': { version: { toString: {} } },
    'an id that is none': { id: 'AB'.repeat(16) }, 'a short id': { id: 'ab' }, 'a long id': { id: 'ab'.repeat(33) },
    'no id': { id: 7 }, 'no name': { guest: '' },
    'a long name': { guest: 'x'.repeat(256) }, 'an unknown mode': { mode: 'warm' }, 'an unknown plan': { plan: 'copy' },
    'no machine': { machine: undefined }, 'a machine without blocks': { machine: { ...MACHINE, blocks: undefined } },
    'no channels': { beside: undefined }, 'too many channels': { beside: { multifd: 17, preempt: false } },
    'no ticket': { ticket: null }, 'a ticket without address': { ticket: { ...TICKET, address: '' } },
    'a ticket without id': { ticket: { ...TICKET, id: 1 } }, 'a ticket without key': {
      ticket: { ...TICKET, key: undefined },
    },
    'a key that is too long': { ticket: { ...TICKET, key: 'k'.repeat(129) } },
    'an address that is too long': { ticket: { ...TICKET, address: 'a'.repeat(256) } },
    'a ticket\'s id that is too long': { ticket: { ...TICKET, id: 'i'.repeat(65) } },
    'a ticket that is none': { ticket: 'ab' },
  }
  for (const [what, more] of Object.entries(odd)) {
    it(`with ${what} is refused`, () => {
      assert.throws(
        () => decodeOffer(json({ ...OFFER, ...more })), { code: 'bad-offer', fault: 'peer', phase: 'offer' },
      )
    })
  }

  it('of another version names both', () => {
    assert.throws(() => decodeOffer(json({ ...OFFER, version: 1 })), /version 1 of the handoff protocol, this host 3/)
    // Deeper than what can be written again.
    const deep = Buffer.from(`{"version": ${'['.repeat(30_000)}${']'.repeat(30_000)}}`)
    assert.throws(() => decodeOffer(deep), { code: 'bad-offer', message: /version unknown/ })
    assert.throws(() => decodeRelayOffer(deep), { code: 'bad-offer', message: /version unknown/ })
  })

  it('that is no JSON object is refused', () => {
    const noText = Buffer.from(encodeOffer(OFFER))
    noText[noText.indexOf('web')] = 0xff
    const broken = [Buffer.from([0xff, 0xfe]), Buffer.from('{"a":'), Buffer.from(''), noText]
    for (const bytes of [...broken, json(null), json([OFFER]), json(5)]) {
      assert.throws(() => decodeOffer(bytes), { code: 'bad-offer' })
    }
  })
})

describe('a message of the conversation', () => {
  const outgoing: OutgoingMessage[] = [
    { kind: 'hello', id: ID }, { kind: 'census', body: Buffer.from('census') }, {
      kind: 'order', body: Buffer.alloc(0),
    },
    { kind: 'channel', number: 0, ticket: TICKET }, { kind: 'switchover', runState: 'paused' },
    { kind: 'givenUp', runState: 'unknown' }, { kind: 'kept', reason: 'cancelled' },
  ]
  for (const message of outgoing) {
    it(`of the outgoing end arrives as it was said: ${message.kind}`, () => {
      assert.deepEqual(decodeOutgoing(message.kind, Buffer.from(encodeMessage(message))), message)
    })
  }
  const incoming: IncomingMessage[] = [
    { kind: 'bitmap', body: Buffer.from('map') }, { kind: 'fetched', body: Buffer.from('numbers') },
    { kind: 'trouble', reason: 'disk full' }, { kind: 'whole' },
    { kind: 'arrived', state: 'running', summary: SUMMARY },
    { kind: 'arrived', state: 'running', summary: { ...SUMMARY, urgentBytes: 8 } },
    { kind: 'arrived', state: 'paused', summary: undefined },
    { kind: 'unfit', reason: 'locked' },
    { kind: 'broken', reason: 'failed' }, { kind: 'fell', reason: 'killed' },
  ]
  for (const message of incoming) {
    it(`of the incoming end arrives as it was said: ${message.kind}`, () => {
      assert.deepEqual(decodeIncoming(message.kind, Buffer.from(encodeMessage(message))), message)
    })
  }

  it('carries a sentence that fits its frame', () => {
    const body = encodeMessage({ kind: 'kept', reason: '\u20ac'.repeat(5000) })
    assert.ok(body.length <= OUTGOING_FRAMES.kept.bytesMax)
    assert.deepEqual(decodeOutgoing('kept', Buffer.from(body)), { kind: 'kept', reason: '\u20ac'.repeat(1000) })
  })

  it('has a number that never changes, as an agent of another version reads it, and what it says at least', () => {
    const rules = Object.entries(CONVERSATION_FRAMES).map(([name, { kind, bytesMin }]) => [name, kind, bytesMin])
    assert.deepEqual(rules, [
      ['hello', 1, 2], ['census', 2, 0], ['order', 3, 0], ['channel', 4, 2], ['switchover', 5, 2], ['givenUp', 6, 2],
      ['kept', 7, 2],
      ['bitmap', 32, 0], ['fetched', 33, 0], ['trouble', 34, 2], ['whole', 35, 2], ['arrived', 36, 2],
      ['unfit', 37, 2], ['broken', 38, 2], ['fell', 39, 2],
    ])
  })

  it('has a kind of its own at either end', () => {
    const kinds = Object.values(CONVERSATION_FRAMES).map(({ kind }) => kind)
    assert.equal(new Set(kinds).size, Object.keys(OUTGOING_FRAMES).length + Object.keys(INCOMING_FRAMES).length)
    for (const { bytesMin, bytesMax } of Object.values(CONVERSATION_FRAMES)) assert.ok(bytesMin < bytesMax)
  })

  it('takes a census of 4 Mi pages, an order of 2 Mi, and a page of text, and nothing larger', () => {
    const large = { census: 2 ** 26, order: 2 ** 25, bitmap: 2 ** 22, fetched: 2 ** 16 } as Record<string, number>
    for (const [kind, { bytesMax }] of Object.entries(CONVERSATION_FRAMES)) {
      assert.equal(bytesMax, large[kind] ?? 4096, kind)
    }
  })

  const oddOutgoing: [OutgoingMessage['kind'], unknown][] = [
    ['hello', {}], ['hello', { id: '' }], ['hello', []], ['channel', { number: -1, ticket: TICKET }],
    ['channel', { number: 0.5, ticket: TICKET }], ['channel', { number: '0', ticket: TICKET }], [
      'channel', { number: 0 },
    ],
    ['channel', { number: 0, ticket: { ...TICKET, id: '' } }], ['switchover', {}], [
      'switchover', { runState: 'asleep' },
    ],
    ['givenUp', { runState: 5 }], ['kept', {}], ['kept', { reason: 'x'.repeat(5000) }],
  ]
  const oddIncoming: [IncomingMessage['kind'], unknown][] = [
    ['trouble', {}], ['whole', 5], ['arrived', {}], ['arrived', { state: 'unknown' }], ['arrived', { state: 'asleep' }],
    ['arrived', { state: 'running', report: null }], [
      'arrived', { state: 'running', report: { ...SUMMARY, streamBytes: -1 } },
    ],
    ['arrived', { state: 'running', report: { ...SUMMARY, urgentBytes: '8' } }],
    ['arrived', { state: 'running', report: { ...SUMMARY, peerBytes: 0.5 } }],
    ['arrived', { state: 'running', report: { ...SUMMARY, releaseMs: '7' } }],
    ['arrived', { state: 'running', report: { ...SUMMARY, refsFilledBy: {} } }],
    ['arrived', { state: 'running', report: { ...SUMMARY, refsFilledBy: null } }],
    ['arrived', { state: 'running', report: { ...SUMMARY, spent: { ...SUMMARY.spent, swap: 2 ** 53 } } }],
    ['unfit', { reason: '' }], ['broken', { reason: 5 }], ['fell', null],
  ]
  it('that is not whole is refused', () => {
    for (const [kind, body] of oddOutgoing) {
      assert.throws(() => decodeOutgoing(kind, json(body)), { code: 'bad-frame' }, `${kind} ${JSON.stringify(body)}`)
    }
    for (const [kind, body] of oddIncoming) {
      assert.throws(() => decodeIncoming(kind, json(body)), { code: 'bad-frame' }, `${kind} ${JSON.stringify(body)}`)
    }
    assert.throws(() => decodeOutgoing('hello', Buffer.from([0xff])), { code: 'bad-frame' })
  })

  it('takes of a summary what is one, and nothing else', () => {
    const body = json({ state: 'running', report: { ...SUMMARY, more: 1, spent: { ...SUMMARY.spent, more: 1 } } })
    assert.deepEqual(decodeIncoming('arrived', body), { kind: 'arrived', state: 'running', summary: SUMMARY })
  })
})

describe('a question, and its verdict', () => {
  const copies: CopyNews[] = [
    { kind: 'whole' }, { kind: 'partial' }, { kind: 'unsaid' }, { kind: 'arrived', state: 'running', summary: SUMMARY },
    { kind: 'arrived', state: 'paused', summary: undefined }, { kind: 'unfit', reason: 'locked' },
    { kind: 'broken', reason: 'failed' }, { kind: 'fell', reason: 'killed' },
  ]
  for (const copy of copies) {
    it(`tell what a copy is: ${copy.kind}`, () => {
      assert.deepEqual(decodeQuestion(encodeQuestion({ id: ID, copy })), { id: ID, copy })
    })
  }

  it('are refused if they are none', () => {
    const odd = [
      { kind: 'whole', copy: '{}' }, { id: ID, kind: 'whole' }, { id: ID, copy: '{}' }, {
        id: ID, kind: 'bitmap', copy: '{}',
      },
      { id: ID, kind: 'trouble', copy: '{"reason":"x"}' }, { id: ID, kind: 5, copy: '{}' },
      { id: 'x'.repeat(65), kind: 'whole', copy: '{}' }, { id: ID, kind: 'whole', copy: `{${' '.repeat(4095)}}` },
    ]
    for (const question of odd) {
      assert.throws(() => decodeQuestion(json(question)), { code: 'bad-question' }, JSON.stringify(question))
    }
    assert.throws(() => decodeQuestion(json({ id: ID, kind: 'unfit', copy: '{}' })), { code: 'bad-frame' })
    const asked = { id: 'x'.repeat(64), kind: 'whole', copy: `{${' '.repeat(4094)}}` }
    assert.deepEqual(decodeQuestion(json(asked)), { id: asked.id, copy: { kind: 'whole' } })
    // A word that is too long is not repeated in a log.
    for (const [length, why] of [[16, /a copy cannot be x/], [17, /it names no handoff or no copy/]] as const) {
      assert.throws(() => decodeQuestion(json({ ...asked, kind: 'x'.repeat(length) })), { message: why })
    }
    for (const verdict of [{}, { verdict: 'given-up' }, { verdict: 'given-up', runState: 'x' }, { verdict: 'yes' }]) {
      assert.throws(() => decodeVerdict(json(verdict)), { code: 'bad-answer' })
    }
  })

  it('say of the other copy what is known', () => {
    const verdicts: Verdict[] = [
      { verdict: 'given-up', runState: 'running' }, { verdict: 'given-up', runState: 'unknown' }, { verdict: 'kept' },
      { verdict: 'given-up', runState: 'running', isTorn: true },
      { verdict: 'pending' }, { verdict: 'unknown' },
    ]
    for (const verdict of verdicts) assert.deepEqual(decodeVerdict(encodeVerdict(verdict)), verdict)
  })
})

describe('a run state', () => {
  it('of a stream is known if QEMU has it today', () => {
    assert.deepEqual(['running', 'suspended', 'unknown', 'hibernated', ''].map(knownRunState),
      ['running', 'suspended', undefined, undefined, undefined])
  })
})
