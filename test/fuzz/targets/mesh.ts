/** What strangers and members send before and around everything else. */
import assert from 'node:assert/strict'

import {
  decodeFrameLength, decodeProofMessage, encodeFrame, encodeProofMessage, PROOF_LIMITS,
} from '../../../src/mesh/admission/proofcodec.ts'
import {
  decodeAnswer, decodeHello, encodeHello, encodeRefusal, encodeWelcome,
} from '../../../src/mesh/invitation/exchange.ts'
import { decodeToken, encodeToken } from '../../../src/mesh/invitation/token.ts'
import { decodePreamble, encodePreamble } from '../../../src/mesh/lanes/lanepreamble.ts'
import { ANNOUNCEMENT_LIMITS, decodeAnnouncement, encodeAnnouncement } from '../../../src/mesh/members/announcement.ts'
import { encodeMessageFrame, FrameDecoder, FrameTooLongError } from '../../../src/mesh/streams/framing.ts'
import type { Target } from '../target.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const PEER_ID = '12D3KooWAbcdefGhijk'
const FRAME_BYTES_MAX = 5000
const PIECE_BYTES = 7

export const MESH_TARGETS: readonly Target[] = [
  {
    name: 'proof',
    seeds: [
      encodeProofMessage({ kind: 'hello', version: 1, nonce: new Uint8Array(32).fill(7), name: 'host-a' }),
      encodeProofMessage({ kind: 'mac', mac: new Uint8Array(32).fill(9) }),
      encodeProofMessage({ kind: 'verdict', verdict: { code: 'accepted' } }),
      encodeProofMessage({
        kind: 'verdict', verdict: { code: 'name-taken', holderName: 'host-b', holderPeerId: PEER_ID },
      }),
    ].map(encodeFrame),
    bytesMax: 1024, room: 16 * 1024,
    decode(input) {
      const length = input.length < 2 ? undefined : decodeFrameLength(input)
      if (length === undefined) return undefined
      assert.ok(length >= 1 && length <= PROOF_LIMITS.messageBytes)
      const message = decodeProofMessage(input.subarray(2, 2 + length))
      if (message?.kind === 'hello') assert.match(message.name, NAME)
      if (message !== undefined) {
        assert.deepEqual(encodeProofMessage(message), new Uint8Array(input.subarray(2, 2 + length)), 'it has one form')
      }
      return message
    },
  },
  {
    name: 'announcement',
    seeds: [
      encodeAnnouncement({ version: 1, name: 'host-a', peerId: PEER_ID, addresses: ['/ip4/10.0.0.1/tcp/4001'] }),
      encodeAnnouncement({
        version: 1, name: 'b', peerId: PEER_ID, lane: '[fd00::1]:4002',
        addresses: ['/ip6/fd00::1/tcp/4001', '/dns4/host-b.example/tcp/4001'],
      }),
    ],
    words: ['/ip4/', '/dns6/', '/tcp/', '/p2p/', '65536', '::ffff:10.0.0.1'],
    bytesMax: ANNOUNCEMENT_LIMITS.bytes + 100,
    decode(input) {
      const said = decodeAnnouncement(input)
      if (said === undefined) return undefined
      assert.match(said.name, NAME)
      assert.ok(said.addresses.length <= ANNOUNCEMENT_LIMITS.addresses)
      assert.ok([...said.addresses, said.lane ?? ''].every((text) => /^[0-9A-Za-z.:/[\]-]{0,128}$/.test(text)))
      return said
    },
  },
  {
    name: 'preamble', seeds: [encodePreamble('lane', 'ab'.repeat(16)), encodePreamble('join', '01'.repeat(16))],
    bytesMax: 64, room: 16 * 1024,
    decode(input) {
      const read = decodePreamble(input)
      if (read !== undefined) assert.deepEqual(encodePreamble(read.use, read.id), input)
      return read
    },
  },
  {
    name: 'token',
    seeds: [encodeToken({ id: 'ab'.repeat(16), secret: new Uint8Array(32).fill(1), mark: new Uint8Array(16).fill(2) })],
    refusals: ['token-malformed'], bytesMax: 1000,
    decode(input) {
      const text = input.toString()
      const token = decodeToken(text)
      assert.equal(encodeToken(token), text, 'a token has one form')
      return token
    },
  },
  {
    name: 'newcomer', seeds: [encodeHello('host-c').trimEnd()], refusals: ['bad-question'], bytesMax: 1024,
    decode(input) {
      const name = decodeHello(input.toString())
      assert.match(name, NAME)
      return name
    },
  },
  {
    name: 'welcome', refusals: ['bad-answer'], bytesMax: 1024,
    seeds: [
      encodeWelcome({ clusterKey: new Uint8Array(32).fill(3), host: 'host-a', meshPort: 4001 }).trimEnd(),
      encodeRefusal('expired').trimEnd(),
    ],
    decode(input) {
      const answer = decodeAnswer(input.toString())
      if (typeof answer === 'string') return answer
      assert.ok(answer.clusterKey.length === 32 && NAME.test(answer.host) && answer.meshPort <= 65_535)
      return answer
    },
  },
  {
    // An empty message is an object of its own, for four bytes.
    name: 'message-frames', bytesMax: 20_000, growth: 1024,
    seeds: [Buffer.concat([encodeMessageFrame(Buffer.from('abc')), encodeMessageFrame(new Uint8Array(0))])],
    decode(input) {
      // Whole, and in pieces: the same messages.
      const whole = framesOf(input, input.length)
      const pieces = framesOf(input, PIECE_BYTES)
      assert.equal(whole.isTooLong, pieces.isTooLong)
      if (!whole.isTooLong) assert.deepEqual(pieces.lengths, whole.lengths)
      return whole
    },
  },
]

function framesOf(input: Buffer, pieceBytes: number): { lengths: number[]; isTooLong: boolean } {
  const decoder = new FrameDecoder(FRAME_BYTES_MAX)
  const lengths: number[] = []
  try {
    for (let at = 0; at < input.length; at += pieceBytes) {
      for (const message of decoder.push(input.subarray(at, at + pieceBytes))) lengths.push(message.length)
    }
    assert.ok(lengths.every((length) => length <= FRAME_BYTES_MAX))
    return { lengths, isTooLong: false }
  } catch (error) {
    if (!(error instanceof FrameTooLongError)) throw error
    return { lengths, isTooLong: true }
  }
}
