/** The ways to and from a passage as a test plays them: they note what they are told, and do what the test says. */
import type { Lane } from '../../../src/mesh/index.ts'
import type { Endpoint } from '../../../src/net/endpoint.ts'
import type { PageSource } from '../../../src/page/index.ts'
import { frameHeader, FrameReader } from '../../../src/passage/frames.ts'
import type { IncomingPassageInit } from '../../../src/passage/incoming.ts'
import { IncomingPassage, OutgoingPassage, type OutgoingPassageInit } from '../../../src/passage/index.ts'
import { PASSAGE_FRAMES, type PassageFrame } from '../../../src/passage/wire.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { hasher, NOTHING } from '../../support/madepages.ts'
import { listenerOf, settle, type Said } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

/** A lane that takes whatever it is given, and has room for more only when the test says so. */
export class PlayedLane implements Lane {
  readonly told: string[] = []
  readonly #written: Buffer[] = []
  hasRoom = true
  sentBytes = 0
  receivedBytes = 0
  delivery = undefined
  /** Hands bytes of the other end over. */
  deliver: (bytes: Uint8Array) => void = () => {}
  #room = deferred<void>()
  readonly #closing = deferred<Error | undefined>()
  readonly closed = this.#closing.promise
  /** What `end` waits for. */
  ending: Promise<void> = Promise.resolve()

  get written(): Buffer {
    return Buffer.concat(this.#written)
  }

  write(bytes: Uint8Array): boolean {
    this.told.push(`write ${bytes.length}`)
    this.#written.push(Buffer.from(bytes))
    this.sentBytes += bytes.length
    return this.hasRoom
  }

  drained(): Promise<void> {
    this.told.push('drained')
    return this.#room.promise
  }

  /** There is room for more, or with an error never will be. */
  drain(error?: Error): void {
    const room = this.#room
    this.#room = deferred()
    if (error === undefined) room.resolve()
    else room.reject(error)
  }

  cork(): void {
    this.told.push('cork')
  }

  uncork(): void {
    this.told.push('uncork')
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    this.deliver = receiver
  }

  pause(): void {}

  resume(): void {}

  end(): Promise<void> {
    this.told.push('end')
    return this.ending
  }

  destroy(): void {
    this.told.push('destroy')
  }

  close(error?: Error): void {
    this.#closing.resolve(error)
  }
}

/** A QEMU's connection. What is written to it is taken when the test says so. */
export class PlayedEndpoint implements Endpoint {
  readonly told: string[] = []
  /** Hands QEMU's bytes over, and its end. */
  deliver: (bytes: Buffer) => void = () => {}
  endStream: () => void = () => {}
  readonly #writes: { resolve: () => void; reject: (error: Error) => void }[] = []
  readonly #closing = deferred<Error | undefined>()
  readonly closed = this.#closing.promise

  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    this.deliver = onBytes
    this.endStream = onEnd
  }

  pause(): void {
    this.told.push('pause')
  }

  resume(): void {
    this.told.push('resume')
  }

  write(bytes: Uint8Array): Promise<void> {
    this.told.push(`write ${bytes.length}`)
    return new Promise((resolve, reject) => this.#writes.push({ resolve, reject }))
  }

  /** QEMU takes what was written first and not taken yet. */
  take(): void {
    this.#writes.shift()!.resolve()
  }

  end(): void {
    this.told.push('end')
  }

  destroy(): void {
    this.told.push('destroy')
  }

  close(error?: Error): void {
    this.#closing.resolve(error)
  }
}

/** One end of a passage between ways that a test plays. */
interface Played {
  clock: VirtualClock
  lane: PlayedLane
  qemu: PlayedEndpoint
  said: Said
  /** The other end says something. */
  hear: (name: PassageFrame, body?: Uint8Array) => Promise<void>
  /** What was said to the other end, so far. */
  frames: () => { name: PassageFrame; bytes: number }[]
}

function played(): Played {
  const lane = new PlayedLane()
  return {
    clock: new VirtualClock(), lane, qemu: new PlayedEndpoint(), said: { words: [], errors: [] },
    hear: async (name, body = Buffer.alloc(0)) => {
      lane.deliver(Buffer.concat([frameHeader(PASSAGE_FRAMES[name].kind, body.length), body]))
      await settle(3)
    },
    frames: () => {
      const frames: { name: PassageFrame; bytes: number }[] = []
      const reader = new FrameReader(PASSAGE_FRAMES, (name, body) => frames.push({ name, bytes: body.length }))
      reader.push(lane.written)
      return frames
    },
  }
}

export function outgoingWays(init: Partial<OutgoingPassageInit> = {}): Played & { passage: OutgoingPassage } {
  const ways = played()
  const passage = new OutgoingPassage({ ...ways, hasher }, {
    known: NOTHING, compression: 'always', bytesPerSecondMax: Infinity, listener: listenerOf(ways.said), ...init,
  })
  return { ...ways, passage }
}

export function incomingWays(
  sources: readonly PageSource[] = [], init: Partial<IncomingPassageInit> = {},
): Played & { passage: IncomingPassage } {
  const ways = played()
  const passage = new IncomingPassage({ ...ways, hasher, sources }, { listener: listenerOf(ways.said), ...init })
  return { ...ways, passage }
}
