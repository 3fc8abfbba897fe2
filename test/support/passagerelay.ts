import assert from 'node:assert/strict'

import type { Lane } from '../../src/mesh/index.ts'
import { createLanePair } from '../../src/mesh/memory/memorylane.ts'
import { createEndpointPair, type Endpoint } from '../../src/net/endpoint.ts'
import type { PageHasher, PageSource } from '../../src/page/index.ts'
import {
  frameHeader, FrameReader,
} from '../../src/passage/frames.ts'
import { IncomingPassage, OutgoingPassage, type OutgoingPassageInit } from '../../src/passage/index.ts'
import { PASSAGE_FRAMES, type PassageFrame } from '../../src/passage/wire.ts'
import { systemClock, type Clock } from '../../src/runtime/clock.ts'
import type { PagemeshError } from '../../src/runtime/errors.ts'
import { hasher, NOTHING } from './madepages.ts'

/** What one end of a passage said. */
export interface Said {
  /** Everything, in order. */
  words: string[]
  errors: PagemeshError[]
}

/** The QEMU of a test: it keeps what it gets. */
export class TestQemu {
  readonly endpoint: Endpoint
  readonly #pieces: Buffer[] = []
  hasHeardEnd = false
  isClosed = false

  constructor(endpoint: Endpoint, isReading = true) {
    this.endpoint = endpoint
    if (isReading) this.read()
    void endpoint.closed.then(() => { this.isClosed = true })
  }

  read(): void {
    this.endpoint.receive((bytes) => this.#pieces.push(Buffer.from(bytes)), () => { this.hasHeardEnd = true })
  }

  get received(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  /** Writes as a QEMU that may be cut off at any time. */
  write(bytes: Uint8Array): void {
    this.endpoint.write(bytes).catch(() => { /* The test looks at what the passage says. */ })
  }
}

export function listenerOf(said: Said): OutgoingPassageInit['listener'] {
  return {
    mark: (mark) => said.words.push(mark),
    runState: (state) => said.words.push(`runState ${state}`),
    lost: () => said.words.push('lost'),
    // Told by both ends' own tests.
    streamEnded: () => {},
    returnEnded: () => {},
    ended: () => said.words.push('ended'),
    failed: (error) => {
      said.words.push(`failed ${error.code}`)
      said.errors.push(error)
    },
  }
}

export interface OutgoingEnd {
  passage: OutgoingPassage
  qemu: TestQemu
  said: Said
}

export interface IncomingEnd {
  passage: IncomingPassage
  qemu: TestQemu
  said: Said
}

export interface EndOptions {
  clock?: Clock
  init?: Partial<OutgoingPassageInit>
  sources?: readonly PageSource[]
  /** Hashes public pages at the destination. */
  publicHasher?: PageHasher
  /** Whether the QEMU takes what it is given. */
  isReading?: boolean
  /** Whether the destination QEMU may close before it has taken everything. */
  mayHangUp?: boolean
}

export function outgoingEnd(lane: Lane, { clock = systemClock, init = {} }: EndOptions = {}): OutgoingEnd {
  const said: Said = { words: [], errors: [] }
  const [own, theirs] = createEndpointPair()
  const passage = new OutgoingPassage({ clock, hasher, lane, qemu: own }, {
    known: NOTHING, compression: 'always', bytesPerSecondMax: Infinity, listener: listenerOf(said), ...init,
  })
  return { passage, qemu: new TestQemu(theirs), said }
}

export function incomingEnd(lane: Lane, options: EndOptions = {}): IncomingEnd {
  const { clock = systemClock, sources = [], publicHasher, isReading = true, mayHangUp = false } = options
  const said: Said = { words: [], errors: [] }
  const [own, theirs] = createEndpointPair()
  const passage = new IncomingPassage({ clock, hasher, publicHasher, lane, qemu: own, sources }, {
    mayHangUp, listener: listenerOf(said),
  })
  return { passage, qemu: new TestQemu(theirs, isReading), said }
}

/** Both ends of a passage, and the lane between them. */
export function relay(options: EndOptions = {}): { outgoing: OutgoingEnd; incoming: IncomingEnd; lanes: [Lane, Lane] } {
  const lanes = createLanePair({ clock: options.clock ?? systemClock })
  return { outgoing: outgoingEnd(lanes[0], options), incoming: incomingEnd(lanes[1], options), lanes }
}

/** The other end of a lane as the test plays it: it hears frames, and sends what it likes. */
export class PlayedEnd {
  readonly lane: Lane
  readonly frames: { name: PassageFrame; body: Buffer }[] = []
  isClosed = false

  constructor(lane: Lane) {
    this.lane = lane
    const reader = new FrameReader(PASSAGE_FRAMES, (name, body) => this.frames.push({ name, body }))
    lane.receive((bytes) => reader.push(bytes))
    void lane.closed.then(() => { this.isClosed = true })
  }

  send(name: PassageFrame, body: Uint8Array = Buffer.alloc(0)): void {
    this.lane.write(Buffer.concat([frameHeader(PASSAGE_FRAMES[name].kind, body.length), body]))
  }

  /** Frames of this kind, so far. */
  of(name: PassageFrame): Buffer[] {
    return this.frames.filter((frame) => frame.name === name).map(({ body }) => body)
  }
}

/** An outgoing passage whose other end the test plays, or the other way round. */
export function playedIncoming(options: EndOptions = {}): { end: OutgoingEnd; played: PlayedEnd } {
  const [near, far] = createLanePair({ clock: options.clock ?? systemClock })
  return { end: outgoingEnd(near, options), played: new PlayedEnd(far) }
}

export function playedOutgoing(options: EndOptions = {}): { end: IncomingEnd; played: PlayedEnd } {
  const [near, far] = createLanePair({ clock: options.clock ?? systemClock })
  return { end: incomingEnd(far, options), played: new PlayedEnd(near) }
}

/** Longer than a test may take: past it nobody waits any more, and what still looked would keep the process alive. */
const UNTIL_MS_MAX = 60_000

/** Resolves once it holds, and lets `next` happen between two looks; the test's own limit ends it otherwise. */
export async function until(condition: () => boolean, next: () => Promise<void> = () => settle(1)): Promise<void> {
  const endsAt = performance.now() + UNTIL_MS_MAX
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error('what was waited for has not come')
    await next()
  }
}

/** Lets everything that is on its way arrive. */
export async function settle(turns = 50): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => { setImmediate(resolve) })
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4))
  return bytes
}

/** Asserts that the passage failed once with this word, and that both its legs are closed. */
export async function assertFailed(
  end: OutgoingEnd | IncomingEnd, played: PlayedEnd, message: RegExp, code = 'bad-frame',
): Promise<void> {
  await until(() => end.said.errors.length > 0)
  assert.match(end.said.errors[0]!.message, message)
  await until(() => end.qemu.isClosed || end.qemu.hasHeardEnd)
  await until(() => played.isClosed)
  await settle()
  assert.deepEqual(end.said.errors.map((error) => error.code), [code])
}
