import assert from 'node:assert/strict'
import fc from 'fast-check'

import { beginningOf } from '../../src/relay/firstbytes.ts'
import { formatRelayAddress, mayDial, parseDialRule, parseRelayAddress } from '../../src/relay/index.ts'
import {
  decodeRelayOffer, DESTINATION_LANGUAGE, encodeRelayOffer, SOURCE_LANGUAGE, type FromDestination, type FromSource,
} from '../../src/relay/messages.ts'
import { unlessRefused } from './refused.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 1500)

const TICKET = { address: '10.0.0.1:4002', id: 'ab', key: 'cd' }
const OFFER = encodeRelayOffer({
  id: 'ab'.repeat(16), guest: 'web', manager: 'libvirt', address: { kind: 'tcp', host: '10.0.0.2', port: 49_152 },
  ticket: TICKET,
})
const SUMMARY = {
  streamBytes: 1, peerBytes: 2, releaseMs: 0, spent: { report: 1, gossip: 2, swap: 3 },
  refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 },
}
const FROM_SOURCE: FromSource[] = [
  { kind: 'channel', number: 3, ticket: TICKET }, { kind: 'end' }, { kind: 'census', body: Buffer.from('abc') },
  { kind: 'outcome', outcome: { status: 'unknown', mode: 'postcopy', code: 'not-ended', reason: 'It lives.' } },
]
const FROM_DESTINATION: FromDestination[] = [
  { kind: 'opened', number: 0 }, { kind: 'refused', number: 1, code: 'not-dialled', message: 'No.' },
  { kind: 'summary', isUnloaded: true, summary: SUMMARY }, { kind: 'bitmap', body: Buffer.from('abc') },
]

/** Values that a message never has in that place. */
const odd = fc.oneof(
  fc.jsonValue(), fc.integer(), fc.double(), fc.string({ maxLength: 20 }), fc.constantFrom('../x', '\0', '__proto__'),
)

/** A message with damaged bytes, or with another value in one of its fields; or no message at all. */
function damaged(messages: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const place = fc.double({ min: 0, max: 1, noNaN: true })
  const struck = fc.tuple(fc.constantFrom(...messages), fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 4 }))
    .map(([message, strikes]) => {
      const bytes = Buffer.from(message)
      for (const [at, value] of strikes) if (bytes.length > 0) bytes[Math.floor(at * (bytes.length - 1))] = value
      return bytes
    })
  const cut = fc.tuple(fc.constantFrom(...messages), place)
    .map(([message, at]) => Buffer.from(message).subarray(0, Math.floor(at * message.length)))
  const objects = messages.map(objectOf).filter((value) => value !== undefined)
  const changed = fc.tuple(fc.constantFrom(...objects), place, odd).map(([object, at, value]) => {
    const names = Object.keys(object)
    return Buffer.from(JSON.stringify({ ...object, [names[Math.floor(at * names.length)] ?? 'more']: value }))
  })
  const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  return fc.oneof({ weight: 3, arbitrary: struck }, cut, { weight: 6, arbitrary: changed }, random)
}

function objectOf(message: Uint8Array): Record<string, unknown> | undefined {
  const text = Buffer.from(message).toString()
  return text.startsWith('{') ? JSON.parse(text) as Record<string, unknown> : undefined
}

describe('whatever a member sends to have a connection relayed', () => {
  it('an offer is one that can be encoded again, or refused', () => {
    let taken = 0
    fc.assert(fc.property(damaged([OFFER]), (bytes) => {
      const offer = unlessRefused('bad-offer', () => decodeRelayOffer(bytes))
      if (offer === undefined) return
      taken += 1
      assert.deepEqual(decodeRelayOffer(encodeRelayOffer(offer)), offer)
      assert.ok(offer.guest === undefined || offer.guest.length <= 255)
      assert.ok(offer.manager === undefined || ['libvirt', 'proxmox'].includes(offer.manager))
    }), { numRuns: RUNS })
    assert.ok(taken > 0, 'some damage leaves an offer')
  })

  for (const [from, messages, said, heard] of [
    ['source', FROM_SOURCE, SOURCE_LANGUAGE, DESTINATION_LANGUAGE],
    ['destination', FROM_DESTINATION, DESTINATION_LANGUAGE, SOURCE_LANGUAGE],
  ] as const) {
    it(`a message of the ${from}'s end is one that can be encoded again, or a bad frame`, () => {
      const bodies = messages.map((message) => said.encode(message as never))
      const kinds = fc.constantFrom(...messages.map(({ kind }) => kind))
      let taken = 0
      fc.assert(fc.property(kinds, damaged(bodies), (kind, bytes) => {
        const decode = heard.decode as (kind: string, body: Buffer) => FromSource | FromDestination
        const message = unlessRefused('bad-frame', () => decode(kind, bytes))
        if (message === undefined) return
        taken += 1
        const again = Buffer.from(said.encode(message as never))
        assert.deepEqual(decode(kind, again), message)
        const [{ bytesMax }] = [said.said[kind as never]]
        assert.ok(again.length <= bytesMax, `${kind} of ${again.length} bytes`)
      }), { numRuns: RUNS })
      assert.ok(taken > RUNS / 20, 'some damage leaves a message')
    })
  }
})

describe('whatever address is asked for', () => {
  const OWN = { hosts: new Set(['10.0.0.2', 'fd00::2']), ports: new Set([4001]), paths: ['/run/pagemesh/control.sock'] }
  const rules = ['/run/vms/*.sock', '127.64.0.0/16:20000-30999'].map((text) => parseDialRule(text)!)
  const own = { kind: 'own', first: 49_152, last: 49_215 } as const
  const piece = fc.constantFrom(
    '/', '/run', '/run/vms/', 'web', '.sock', '..', '.', '//', '*', '[', ']', ':', '::', '127.64.0.2', '10.0.0.2',
    '10.0.0.3', '[fd00::2]', '[::ffff:10.0.0.2]', '0.0.0.0', 'localhost', ':20500', ':49152', ':4001', '%eth0', '\0',
    ' ', '0x7f.1', '127.1', '/run/pagemesh/control.sock', '\n', 'é',
  )
  const text = fc.oneof(fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')), fc.string())

  it('it has one form, and nothing is dialled but what was allowed', () => {
    let allowed = 0
    fc.assert(fc.property(text, (asked) => {
      const address = parseRelayAddress(asked)
      if (address === undefined) return
      assert.deepEqual(parseRelayAddress(formatRelayAddress(address)), address)
      if (!mayDial(address, { rules: [...rules, own], own: OWN })) return
      allowed += 1
      const isAllowed = address.kind === 'unix' ? /^\/run\/vms\/[^/]+\.sock$/.test(address.path)
        : /^127\.64\.\d+\.\d+$/.test(address.host) && address.port >= 20_000 && address.port <= 30_999 ||
          OWN.hosts.has(address.host) && address.port >= own.first && address.port <= own.last
      assert.ok(isAllowed, asked)
    }), { numRuns: 20 * RUNS })
    assert.ok(allowed > 0, 'some are allowed')
  })

  it('what a connection begins with is one of four, and nothing is read past it', () => {
    const magic = fc.constantFrom('5145564d', '1122334400000001', '08000a', '080009', '')
    fc.assert(fc.property(magic, fc.uint8Array({ maxLength: 40 }), (begin, rest) => {
      const beginning = beginningOf(Buffer.concat([Buffer.from(begin, 'hex'), rest]))
      assert.ok(['main', 'multifd', 'resumed', 'other'].includes(beginning.kind))
      if (beginning.kind === 'multifd') assert.match(beginning.uuid, /^[0-9a-f]{32}$/)
    }), { numRuns: RUNS })
  })
})
