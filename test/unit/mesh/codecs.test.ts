import assert from 'node:assert/strict'

import fc from 'fast-check'
import { concat } from 'uint8arrays/concat'

import { announcedLane, defaultLane, dialableLane, parseLaneAddress } from '../../../src/mesh/lanes/laneaddress.ts'
import { ANNOUNCEMENT_LIMITS, decodeAnnouncement, encodeAnnouncement } from '../../../src/mesh/members/announcement.ts'
import { backoffMs } from '../../../src/mesh/members/redialer.ts'
import { encodeMessageFrame, FrameDecoder, FrameTooLongError } from '../../../src/mesh/streams/framing.ts'

describe('message frames', () => {
  it('come back however the bytes were cut', () => {
    fc.assert(fc.property(
      fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = concat(messages.map(encodeMessageFrame))
        const decoder = new FrameDecoder(100)
        const received: Uint8Array[] = []
        for (let offset = 0, i = 0; offset < bytes.length; i++) {
          const end = offset + cuts[i % cuts.length]!
          received.push(...decoder.push(bytes.subarray(offset, end)))
          offset = end
        }
        assert.deepEqual(received.map((message) => [...message]), messages.map((message) => [...message]))
      },
    ))
  })

  it('are refused by their announced length, before their bytes arrive', () => {
    const decoder = new FrameDecoder(100)
    assert.throws(() => decoder.push(Uint8Array.of(0, 0, 0, 101)), FrameTooLongError)
    assert.throws(() => new FrameDecoder(100).push(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), {
      name: 'FrameTooLongError', message: 'a frame announces 4294967295 bytes', lengthBytes: 0xffff_ffff,
    })
  })
})

describe('announcements', () => {
  const own = { version: 1 as const, name: 'a', peerId: '12D3Koo', addresses: ['/ip4/10.0.0.1/tcp/4001'] }

  it('come back as they went, without loopback where there is anything else', () => {
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(own)), own)
    const both = { ...own, addresses: ['/ip4/127.0.0.1/tcp/4001', '/ip4/10.0.0.1/tcp/4001'] }
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(both)), own)
    const loopback = { ...own, addresses: ['/ip4/127.0.0.1/tcp/4001'] }
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(loopback)), loopback)
  })

  it('are taken up to every limit, and tell no more addresses than that', () => {
    const { addresses: countMax, addressCharacters, peerIdCharacters } = ANNOUNCEMENT_LIMITS
    const longest = `/dns4/${'a'.repeat(addressCharacters - '/dns4//tcp/1'.length)}/tcp/1`
    const full = { ...own, peerId: 'p'.repeat(peerIdCharacters), addresses: Array<string>(countMax).fill(longest) }
    assert.deepEqual(decodeAnnouncement(Buffer.from(JSON.stringify(full))), full)
    const more = { ...own, addresses: Array.from({ length: 12 }, (_, n) => `/ip4/10.0.0.1/tcp/${n + 1}`) }
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(more))!.addresses, more.addresses.slice(0, countMax))
    const loopback = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1', '/dns4/localhost/tcp/1']
    const mixed = { ...own, addresses: [...loopback, ...own.addresses] }
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(mixed))!.addresses, own.addresses)
    const lane = `${'a'.repeat(addressCharacters - 2)}:1`
    for (const own of [{ ...full, lane }, { ...full, lane: '[fd00::1]:4002' }]) {
      assert.deepEqual(decodeAnnouncement(encodeAnnouncement(own)), own)
    }
    assert.deepEqual(ANNOUNCEMENT_LIMITS, { bytes: 4096, addresses: 8, addressCharacters: 128, peerIdCharacters: 96 })
    const text = JSON.stringify(own)
    const padded = (bytes: number): Buffer => Buffer.from(text + ' '.repeat(bytes - text.length))
    assert.deepEqual(decodeAnnouncement(padded(ANNOUNCEMENT_LIMITS.bytes)), own)
    assert.equal(decodeAnnouncement(padded(ANNOUNCEMENT_LIMITS.bytes + 1)), undefined)
  })

  it('are refused above every limit and in any other shape', () => {
    const refused: unknown[] = [
      null, [], 'x', {}, { ...own, version: 0 }, { ...own, version: 2 }, { ...own, version: '1' },
      { ...own, name: 'a b' }, { ...own, peerId: '/' },
      { ...own, peerId: 1 },
      { ...own, peerId: 'p'.repeat(ANNOUNCEMENT_LIMITS.peerIdCharacters + 1) },
      { ...own, addresses: '/ip4/10.0.0.1/tcp/1' }, { ...own, addresses: [1] }, { ...own, addresses: ['/unix/tmp/x'] },
      { ...own, addresses: Array(ANNOUNCEMENT_LIMITS.addresses + 1).fill('/ip4/10.0.0.1/tcp/1') },
      { ...own, addresses: [`/dns4/${'a'.repeat(ANNOUNCEMENT_LIMITS.addressCharacters)}/tcp/1`] },
      { ...own, lane: 1 }, { ...own, lane: '' }, { ...own, lane: '10.0.0.1' }, { ...own, lane: '10.0.0.1:x' },
      { ...own, lane: `${'a'.repeat(ANNOUNCEMENT_LIMITS.addressCharacters - 1)}:1` },
    ]
    for (const value of refused) assert.equal(decodeAnnouncement(Buffer.from(JSON.stringify(value))), undefined)
    const padded = Buffer.from(JSON.stringify(own) + ' '.repeat(ANNOUNCEMENT_LIMITS.bytes))
    assert.equal(decodeAnnouncement(padded), undefined)
    fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeAnnouncement(bytes) === undefined))
  })
})

describe('lane addresses', () => {
  it('are host and port, or an error that says how to write them', () => {
    assert.deepEqual(parseLaneAddress('[fd00::1]:4002'), { host: 'fd00::1', port: 4002 })
    assert.throws(() => parseLaneAddress('10.0.0.1'), {
      code: 'address-malformed', fault: 'usage', data: { address: '10.0.0.1' },
    })
  })

  it('pass over loopback addresses that only this host reaches, if there is another', () => {
    const listen = ['/ip4/127.0.0.1/tcp/5001', '/dns4/localhost/tcp/1', '/ip6/::1/tcp/1', '/ip4/10.0.0.1/tcp/4001']
    assert.equal(defaultLane(listen), '10.0.0.1:4002')
    assert.equal(defaultLane(listen.slice(0, 3)), '127.0.0.1:5002')
  })

  it('are told at the announced host, at the port after the announced one or at the chosen one', () => {
    const announce = ['/unix/x', '/ip4/203.0.113.5/tcp/14001', '/ip4/10.0.0.1/tcp/4001']
    assert.equal(announcedLane('10.0.0.1:4002', announce, false), '203.0.113.5:14002')
    assert.equal(announcedLane('10.0.0.1:5000', announce, true), '203.0.113.5:5000')
    assert.equal(announcedLane('10.0.0.1:4002', ['/ip6/fd00::1/tcp/0'], false), '[fd00::1]:4002')
    assert.equal(announcedLane('10.0.0.1:4002', [], false), '10.0.0.1:4002')
  })

  it('follow the first listen address by default', () => {
    assert.equal(defaultLane(['/unix/x', '/ip4/10.0.0.1/tcp/4001']), '10.0.0.1:4002')
    assert.equal(defaultLane(['/ip6/::1/tcp/0']), '[::1]:0')
    assert.equal(defaultLane([]), '0.0.0.0:0')
    const mesh = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1', '/unix/x']
    assert.equal(dialableLane('10.0.0.9:4002', mesh), '10.0.0.9:4002')
    assert.equal(dialableLane('0.0.0.0:4002', mesh), '10.0.0.1:4002')
    assert.equal(dialableLane('[::]:4002', ['/unix/x', ...mesh.slice(0, 1)]), '127.0.0.1:4002')
    assert.equal(dialableLane('0.0.0.0:4002', []), '0.0.0.0:4002')
  })
})

describe('the wait before a peer is dialed again', () => {
  it('doubles, is spread, and never exceeds 4 s', () => {
    assert.equal(backoffMs(1, 0), 125)
    assert.equal(backoffMs(2, 0), 250)
    for (const failures of [1, 5, 50, 5_000]) assert.ok(backoffMs(failures, 0.999) <= 4_000)
    assert.equal(backoffMs(5_000, 0), 2_000)
  })
})
