import assert from 'node:assert/strict'

import {
  decodeRelayOffer, DESTINATION_LANGUAGE, encodeRelayOffer, SOURCE_LANGUAGE, type FromDestination, type FromSource,
  type RelayOffer,
} from '../../../src/relay/messages.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { Chance } from '../../support/chance.ts'

const TICKET = { address: '127.0.0.1:1', id: 'ab', key: 'cd' }
const OFFER: RelayOffer = {
  id: 'ab'.repeat(16), guest: 'web', manager: 'libvirt', ticket: TICKET,
  address: { kind: 'tcp', host: '127.64.0.2', port: 20_500 },
}
const SUMMARY = {
  streamBytes: 1, peerBytes: 2, releaseMs: 0, spent: { report: 1, gossip: 2, swap: 3 },
  refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 },
}
const SAID: FromSource[] = [
  { kind: 'census', body: Buffer.from('a') }, { kind: 'order', body: Buffer.from('b') },
  { kind: 'channel', number: 3, ticket: TICKET }, { kind: 'end' },
  { kind: 'outcome', outcome: { status: 'completed', mode: 'precopy' } },
  { kind: 'outcome', outcome: { status: 'unknown', mode: 'postcopy', code: 'not-ended', reason: 'It lives.' } },
]
const HEARD: FromDestination[] = [
  { kind: 'bitmap', body: Buffer.from('a') }, { kind: 'fetched', body: Buffer.from('b') },
  { kind: 'opened', number: 0 }, { kind: 'refused', number: 1, code: 'not-dialled', message: 'No.' },
  { kind: 'summary', summary: SUMMARY, isUnloaded: false }, { kind: 'summary', summary: SUMMARY, isUnloaded: true },
]

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

describe('a relay\'s offer', () => {
  it('arrives as it was made', () => {
    for (const guest of ['web', undefined]) {
      for (const manager of ['libvirt', 'proxmox', undefined] as const) {
        const offer = { ...OFFER, guest, manager }
        assert.deepEqual(decodeRelayOffer(encodeRelayOffer(offer)), offer)
      }
    }
  })

  it('names no manager that is not known here', () => {
    const good = JSON.parse(Buffer.from(encodeRelayOffer(OFFER)).toString()) as Record<string, unknown>
    for (const manager of ['vmware', 7, { length: 1 }]) {
      assert.equal(decodeRelayOffer(json({ ...good, manager })).manager, undefined)
    }
  })

  const good = JSON.parse(Buffer.from(encodeRelayOffer(OFFER)).toString()) as Record<string, unknown>
  for (const [name, value] of Object.entries({
    version: 2, id: 'AB'.repeat(16), guest: '', address: '/run/../x', ticket: { address: 'a' },
  })) {
    it(`with an odd ${name} is refused`, () => {
      assert.throws(() => decodeRelayOffer(json({ ...good, [name]: value })), { code: 'bad-offer' })
    })
  }

  it('that is none is refused', () => {
    const odd = json({ ...good, version: { toString: {} } })
    for (const bytes of [Buffer.from('x'), json([]), json(null), json({}), odd]) {
      assert.throws(() => decodeRelayOffer(bytes), { code: 'bad-offer' })
    }
  })
})

describe('a relay\'s message', () => {
  it('arrives as it was said', () => {
    for (const message of SAID) {
      const body = Buffer.from(SOURCE_LANGUAGE.encode(message))
      assert.deepEqual(DESTINATION_LANGUAGE.decode(message.kind, body), message)
      const { bytesMin, bytesMax } = SOURCE_LANGUAGE.said[message.kind]
      assert.ok(body.length >= bytesMin && body.length <= bytesMax)
    }
    for (const message of HEARD) {
      const body = Buffer.from(DESTINATION_LANGUAGE.encode(message))
      assert.deepEqual(SOURCE_LANGUAGE.decode(message.kind, body), message)
    }
  })

  it('has its limits', () => {
    const [TEXT, MIB] = [4096, 2 ** 20]
    assert.deepEqual(SOURCE_LANGUAGE.said, {
      census: { kind: 1, bytesMin: 0, bytesMax: 64 * MIB }, order: { kind: 2, bytesMin: 0, bytesMax: 32 * MIB },
      channel: { kind: 3, bytesMin: 2, bytesMax: TEXT }, end: { kind: 4, bytesMin: 0, bytesMax: 0 },
      outcome: { kind: 5, bytesMin: 2, bytesMax: TEXT },
    })
    assert.deepEqual(DESTINATION_LANGUAGE.said, {
      bitmap: { kind: 32, bytesMin: 0, bytesMax: 4 * MIB }, fetched: { kind: 33, bytesMin: 0, bytesMax: 65_536 },
      opened: { kind: 34, bytesMin: 2, bytesMax: TEXT }, refused: { kind: 35, bytesMin: 2, bytesMax: TEXT },
      summary: { kind: 36, bytesMin: 2, bytesMax: TEXT },
    })
  })

  it('fits its frame, whatever a sentence is', () => {
    const reason = '\u20ac'.repeat(5000)
    for (const [language, message] of [
      [SOURCE_LANGUAGE, { kind: 'outcome', outcome: { status: 'failed', mode: 'precopy', code: 'c', reason } }],
      [DESTINATION_LANGUAGE, { kind: 'refused', number: 17, code: 'c', message: reason }],
    ] as const) {
      assert.ok(language.encode(message as never).length <= 4096)
    }
  })

  it('that is odd is refused as a bad frame', () => {
    const odd: [FromSource['kind'], unknown][] = [
      ['channel', {}], ['channel', { number: -1, ticket: TICKET }], ['channel', { number: 1.5, ticket: TICKET }],
      ['channel', { number: 1 }], ['outcome', {}],
      ['outcome', { status: 'moved', mode: 'precopy' }], ['outcome', { status: 'failed', mode: 'x' }],
    ]
    for (const [kind, value] of odd) {
      assert.throws(() => DESTINATION_LANGUAGE.decode(kind, json(value)), { code: 'bad-frame' })
    }
    const oddBack: [FromDestination['kind'], unknown][] = [
      ['opened', {}], ['opened', { number: '0' }], ['refused', { number: 0 }],
      ['refused', { number: 0, code: 'A\n', message: 'm' }],
      ['refused', { code: 'c', message: 'm' }], ['summary', { ...SUMMARY, streamBytes: -1 }],
    ]
    for (const [kind, value] of oddBack) {
      assert.throws(() => SOURCE_LANGUAGE.decode(kind, json(value)), { code: 'bad-frame' })
    }
  })

  it('of any bytes is read, or refused, and nothing else happens', () => {
    const random = new Chance(7)
    const kinds = Object.keys(DESTINATION_LANGUAGE.heard) as FromSource['kind'][]
    const back = Object.keys(SOURCE_LANGUAGE.heard) as FromDestination['kind'][]
    for (let round = 0; round < 2000; round++) {
      const whole = Buffer.from(encodeRelayOffer(OFFER))
      const body = round % 2 === 0 ? Buffer.from(random.bytes(round % 64)) : whole
      body[round % Math.max(1, body.length)] = round & 0xff
      for (const read of [
        () => DESTINATION_LANGUAGE.decode(kinds[round % kinds.length]!, body),
        () => SOURCE_LANGUAGE.decode(back[round % back.length]!, body),
        () => decodeRelayOffer(body),
      ]) {
        try {
          read()
        } catch (error) {
          assert.ok(error instanceof PagemeshError && error.fault === 'peer', String(error))
        }
      }
    }
  })
})
