/** What the two agents of a handoff or a relay say to each other, and what hosts tell each other of themselves. */
import assert from 'node:assert/strict'

import { readFirst, readReached } from '../../../src/agent/reach.ts'
import {
  decodeSummary, decodeSummaryRequest, encodeSummary, encodeSummaryRequest, summaryOf,
} from '../../../src/agent/summary.ts'
import {
  decodeOffer, decodeQuestion, decodeVerdict, encodeOffer, encodeQuestion, encodeVerdict, HANDOFF_VERSION,
  INCOMING_LANGUAGE, OUTGOING_LANGUAGE,
} from '../../../src/handoff/messages.ts'
import { MESSAGE_BYTES_MAX } from '../../../src/mesh/index.ts'
import type { PrefixSet } from '../../../src/page/index.ts'
import { frameHeader, FrameReader } from '../../../src/passage/frames.ts'
import { beginningOf } from '../../../src/relay/firstbytes.ts'
import {
  decodeRelayOffer, DESTINATION_LANGUAGE, encodeRelayOffer, SOURCE_LANGUAGE,
} from '../../../src/relay/messages.ts'
import {
  decodeKeysAnswer, decodeKeysQuestion, encodeKeysAnswer, encodeKeysQuestion,
} from '../../../src/rotation/wire.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import type { Language } from '../../../src/transfer/index.ts'
import { encodeAnswer, requireAccepted } from '../../../src/transfer/offer.ts'
import { decodeHad, encodeHad, PUBLIC_PAGES_MAX } from '../../../src/transfer/publicpages.ts'
import { HELD, progressOf, resultOf, STATUS } from '../../support/fakeagent.ts'
import { MACHINE } from '../../support/fakeguest.ts'
import { publicHasher } from '../../support/publicpages.ts'
import type { Target } from '../target.ts'

const ID = 'ab'.repeat(16)
const TICKET = { address: '10.0.0.1:4002', id: 'ab', key: 'cd' }
const MACHINES = [MACHINE, {
  ...MACHINE, accelerator: 'kvm' as const, cpus: { count: 2, type: 'qemu64-x86_64-cpu' },
  blocks: [{ name: 'pc.ram', bytes: 2 ** 29, bytesMax: 2 ** 29, pageBytes: 4096, backing: 'anonymous' }],
  devices: { listed: [{ type: 'virtio-net-pci', place: 'slot 03.0' }], count: 1, digest: 'ab' },
  capabilities: { 'switchover-ack': false }, blockers: ['no'],
}]
const NONCE = new Uint8Array(32).fill(7)
const KEY_ID = '0123456789abcdef'
const PAGES = { tenant: 'shop', public: true as const, epochs: ['0123456789abcdef'] }
const COUNTS = {
  streamBytes: 1, peerBytes: 2, releaseMs: 0, spent: { report: 1, gossip: 2, swap: 3 },
  refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 },
}
const MOVE = { guest: 'web', to: 'host-b' }
const RECORD = {
  ...resultOf(MOVE, 'completed'), direction: 'outgoing' as const, driver: 'qmp' as const,
  endedAt: '2026-01-02T03:04:05.000Z',
}
const SUMMARY = summaryOf(
  { ...STATUS, handoffs: [{ direction: 'outgoing', driver: 'qmp', ...progressOf(MOVE) }], held: [HELD] },
  {
    history: [RECORD, { ...RECORD, status: 'failed', reason: 'No.' }], parallel: 4, unsettledMs: 0,
    memory: { totalBytes: 4e9, availableBytes: 3e9 }, series: [{ agoMs: 0, savedBytes: 7, spentBytes: 2 }],
  },
)
const JSON_WORDS = [
  '"version"', '"id"', '"guest"', '"ticket"', '"kind"', '"reason"', '"runState"', '"running"', '"number"', '"machine"',
]
/** Frames may be long; here they are told by their heads alone. */
const LINK_BYTES_MAX = 16 * 1024

/** A link's frames, as the other end reads them. */
function link<Said extends { kind: string }, Heard extends { kind: string }>(
  name: string, said: Language<Said, Heard>, heard: Language<Heard, Said>, messages: readonly Said[],
): Target {
  const frameOf = (message: Said): Buffer => {
    const body = said.encode(message)
    return Buffer.concat([frameHeader(said.said[message.kind as Said['kind']].kind, body.length), body])
  }
  return {
    name, seeds: [...messages.map(frameOf), Buffer.concat(messages.map(frameOf))], refusals: ['bad-frame'],
    words: JSON_WORDS, bytesMax: LINK_BYTES_MAX,
    // A head may announce as much as the longest body.
    room: 66 * 2 ** 20,
    decode(input) {
      const came: Said[] = []
      const reader = new FrameReader<Said['kind']>(heard.heard, (kind, body) => came.push(heard.decode(kind, body)))
      reader.push(input)
      for (const message of came) {
        const again = said.encode(message)
        assert.ok(again.length <= said.said[message.kind as Said['kind']].bytesMax)
        assert.deepEqual(heard.decode(message.kind as Said['kind'], Buffer.from(again)), message)
      }
      return came
    },
  }
}

export const TRANSFER_TARGETS: readonly Target[] = [
  {
    name: 'offer', refusals: ['bad-offer'], words: JSON_WORDS,
    seeds: MACHINES.map((machine) => encodeOffer({
      version: HANDOFF_VERSION, id: ID, guest: 'web', mode: 'postcopy', plan: 'move', machine,
      beside: { multifd: 4, preempt: false }, pages: PAGES, ticket: TICKET,
    })),
    decode(input) {
      const offer = decodeOffer(input)
      assert.ok(offer.guest.length <= 255 && offer.beside.multifd <= 16 && /^[0-9a-f]{32}$/.test(offer.id))
      return offer
    },
  },
  {
    name: 'question', refusals: ['bad-question', 'bad-frame'], words: JSON_WORDS,
    seeds: [
      encodeQuestion({ id: ID, copy: { kind: 'whole' } }), encodeQuestion({ id: ID, copy: { kind: 'unsaid' } }),
      encodeQuestion({ id: ID, copy: { kind: 'arrived', state: 'running', summary: COUNTS } }),
      encodeQuestion({ id: ID, copy: { kind: 'unfit', reason: 'No.' } }),
    ],
    decode: (input) => decodeQuestion(input),
  },
  {
    name: 'verdict', refusals: ['bad-answer'], words: JSON_WORDS,
    seeds: [encodeVerdict({ verdict: 'given-up', runState: 'running' }), encodeVerdict({ verdict: 'pending' })],
    decode: (input) => decodeVerdict(input),
  },
  {
    name: 'answer', words: ['"accepted"', '"code"', '"advice"'],
    seeds: [
      encodeAnswer({ accepted: true }), encodeAnswer({ accepted: true, pages: { apart: 'No.' } }),
      encodeAnswer({ accepted: true, pages: { tenant: 'shop', epoch: '0123456789abcdef', public: true } }),
      encodeAnswer({ accepted: false, code: 'bad-offer', message: 'No.', advice: 'Do not.' }),
    ],
    decode(input) {
      try {
        requireAccepted(input, 'host-b')
        return 'accepted'
      } catch (error) {
        // What it was refused with is thrown, whatever that is.
        assert.ok(error instanceof PagemeshError && error.fault === 'peer', String(error))
        assert.ok(error.message.length < 5000)
        return error.code
      }
    },
  },
  {
    name: 'relay-offer', refusals: ['bad-offer'], words: ['"/run/vms/a.sock"', '[::1]:49152', '%eth0', '/../', 'unix:'],
    seeds: [
      { kind: 'tcp' as const, host: '10.0.0.2', port: 49_152 }, { kind: 'unix' as const, path: '/run/vms/web.sock' },
    ].map((address) => encodeRelayOffer({
      id: ID, guest: 'web', manager: 'libvirt', address, pages: PAGES, ticket: TICKET,
    })),
    decode(input) {
      const offer = decodeRelayOffer(input)
      assert.deepEqual(decodeRelayOffer(encodeRelayOffer(offer)), offer)
      return offer
    },
  },
  {
    name: 'keys-question', refusals: ['bad-question'], words: ['"nonce"', '"do"', '"install"', '"key"', '"id"'],
    seeds: [
      encodeKeysQuestion({ nonce: NONCE }), encodeKeysQuestion({ nonce: NONCE, change: { do: 'install', key: NONCE } }),
      encodeKeysQuestion({ nonce: NONCE, change: { do: 'use', id: KEY_ID } }),
    ],
    decode(input) {
      const question = decodeKeysQuestion(input)
      assert.deepEqual(decodeKeysQuestion(encodeKeysQuestion(question)), question)
      return question
    },
  },
  {
    name: 'keys-answer', refusals: ['bad-answer'], words: ['"keys"', '"proof"', '"removed"', '"refused"', '"code"'],
    seeds: [
      encodeKeysAnswer({ keys: [{ id: KEY_ID, proof: NONCE }], removed: [KEY_ID.replace('0', '1')] }),
      encodeKeysAnswer({
        keys: [{ id: KEY_ID, proof: NONCE }], removed: [],
        refused: new PagemeshError('busy', 'No.', { fault: 'peer', advice: 'Do not.' }),
      }),
    ],
    decode(input) {
      const { keys, removed, refused } = decodeKeysAnswer(input)
      assert.ok(keys.length <= 2 && removed.length <= 16)
      return { keys, removed, code: refused?.code }
    },
  },
  {
    name: 'public-answer', refusals: ['bad-prefix-set'],
    seeds: await Promise.all([[], [1, 2, 2 ** 39]].map(async (prefixes) => {
      const list = async (): Promise<PrefixSet> => ({ bits: 40, prefixes: Float64Array.from(prefixes) })
      return await encodeHad(Buffer.alloc(3, 5), { publicHasher }, { areThere: true, list })
    })),
    async decode(input) {
      const { bitmap, pages } = await decodeHad(Buffer.from(input), 20)
      assert.ok(bitmap.length === 3 && pages.prefixes.length <= PUBLIC_PAGES_MAX)
      return pages
    },
  },
  link('said-by-source', OUTGOING_LANGUAGE, INCOMING_LANGUAGE, [
    { kind: 'hello', id: ID }, { kind: 'census', body: Buffer.from('abc') }, { kind: 'kept', reason: 'It failed.' },
    { kind: 'channel', number: 1, ticket: TICKET }, { kind: 'switchover', runState: 'running' },
    { kind: 'givenUp', runState: 'paused', isWhole: true },
  ]),
  link('said-by-destination', INCOMING_LANGUAGE, OUTGOING_LANGUAGE, [
    { kind: 'bitmap', body: Buffer.from('abc') }, { kind: 'fetched', body: Buffer.alloc(8) }, { kind: 'whole' },
    { kind: 'trouble', reason: 'It is slow.' }, { kind: 'arrived', state: 'running', summary: COUNTS },
    { kind: 'broken', reason: 'It ended.' },
  ]),
  link('said-by-relay-source', SOURCE_LANGUAGE, DESTINATION_LANGUAGE, [
    { kind: 'channel', number: 3, ticket: TICKET }, { kind: 'end' }, { kind: 'order', body: Buffer.from('ab') },
    { kind: 'outcome', outcome: { status: 'unknown', mode: 'postcopy', code: 'not-ended', reason: 'It lives.' } },
  ]),
  link('said-by-relay-destination', DESTINATION_LANGUAGE, SOURCE_LANGUAGE, [
    { kind: 'opened', number: 0 }, { kind: 'refused', number: 1, code: 'not-dialled', message: 'No.' },
    { kind: 'summary', summary: COUNTS, isUnloaded: true }, { kind: 'bitmap', body: Buffer.from('abc') },
  ]),
  {
    name: 'first-bytes', bytesMax: 200, room: 16 * 1024,
    seeds: [Buffer.from('5145564d00000003', 'hex'), Buffer.from(`1122334400000001${ID}00`, 'hex'),
      Buffer.from('08000a0000', 'hex'), Buffer.from('0800090000', 'hex')],
    decode(input) {
      const beginning = beginningOf(input)
      if (beginning.kind === 'multifd') assert.match(beginning.uuid, /^[0-9a-f]{32}$/)
      return beginning.kind === 'other' ? undefined : beginning
    },
  },
  {
    name: 'summary-request', seeds: [encodeSummaryRequest({ fresh: true })], refusals: ['bad-question'],
    decode: (input) => decodeSummaryRequest(input),
  },
  {
    name: 'summary', seeds: [encodeSummary(SUMMARY)], refusals: ['bad-answer'],
    words: ['"agoMs"', '"why"', '"endedAt"'],
    decode(input) {
      const summary = decodeSummary(input, 'host-a')
      assert.equal(summary.host, 'host-a', 'a host speaks for itself alone')
      assert.ok(encodeSummary(summary).length <= 2 * MESSAGE_BYTES_MAX)
      return summary
    },
  },
  {
    name: 'reach-question', refusals: ['bad-answer'],
    seeds: [JSON.stringify({ version: 1, program: '1.0.0', wallTimeMs: 1, ticket: TICKET })],
    decode: (input) => readFirst(input),
  },
  {
    name: 'reach-answer', refusals: ['bad-answer'],
    seeds: [JSON.stringify({ lane: { address: '10.0.0.2:4002', why: null }, mesh: [{ address: 'a', why: 'No.' }] })],
    decode: (input) => readReached(input),
  },
]
