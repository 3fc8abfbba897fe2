import type { Lane } from '../mesh/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { PAGE_BYTES, unpack, type PageHasher, type PageSource, type PageSourceKind } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, type PagemeshError } from '../runtime/errors.ts'
import { deferred, withTimeout, type Deferred } from '../runtime/wait.ts'
import { Decoder, digestMismatch, unpackBatch, type AssembledBatch } from './decoder.ts'
import { FrameLane } from './framelane.ts'
import { badFrame } from './frames.ts'
import { Resolver } from './resolver.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'
import { connectionLost, PASSAGE_FRAMES, RETURNED_BYTES_MAX, type PassageFrame } from './wire.ts'

/**
 * Most unacknowledged batches that this end accepts; more break the protocol. The outgoing end may exceed its window by
 * one read of QEMU's socket.
 */
const IN_FLIGHT_MAX = 4 * WINDOW_BATCHES_MAX
/** Most acks held back to be sent together while further batches are being processed; few enough for the window. */
const ACKS_HELD_BACK_MAX = WINDOW_BATCHES_MAX / 5
/** Longest wait for pages that were asked back: they queue behind other frames on a slow lane. */
const ASK_BACK_MS_MAX = 60_000
/** Queued bytes of the return path at which reading from QEMU pauses. */
const RETURNING_BYTES_MAX = 2 ** 20

export interface IncomingPassageComponents {
  /** Hashes as the source does; and, if both ends agreed on them, as public pages are hashed. */
  hasher: PageHasher
  publicHasher?: PageHasher | undefined
  qemu: Endpoint
  /** For filling refs, nearest first; their pages are verified here. */
  sources: readonly PageSource[]
}

export interface IncomingPassageInit {
  /** Whether QEMU may close its connection early: the channel of urgent pages, when it has all pages. */
  mayHangUp?: boolean
  /** Called after each batch, when `counts` has changed. */
  onCounts?: () => void
  listener: IncomingPassageListener
}

export interface IncomingPassageListener {
  /** Both QEMUs ended their sides, and all bytes were delivered. */
  ended(): void
  /** Any other end; QEMU's connection and the lane are already closed. No event follows either. */
  failed(error: PagemeshError): void
}

export interface IncomingPassageCounts {
  /** Bytes that QEMU accepted, all under matching digests. */
  streamBytes: number
  refsFilledBy: Record<PageSourceKind, number>
  /** Bytes on the lane. */
  sentBytes: number
  receivedBytes: number
}

/** Relays the stream from the lane to the destination QEMU, and the return path from QEMU to the lane. */
export class IncomingPassage {
  readonly #clock: Clock
  readonly #qemu: Endpoint
  readonly #lane: FrameLane<PassageFrame>
  readonly #decoder = new Decoder()
  readonly #resolver: Resolver
  readonly #listener: IncomingPassageListener
  readonly #onCounts: (() => void) | undefined
  readonly #mayHangUp: boolean
  readonly #abort = new AbortController()
  /** Batches whose pages were asked back and have not come. */
  readonly #askedBack = new Map<number, Deferred<Buffer>>()
  /** Resolves when QEMU has accepted all batches so far. */
  #writing: Promise<void> = Promise.resolve()
  #down: 'streaming' | 'ending' | 'ended' = 'streaming'
  #up: 'returning' | 'ended' = 'returning'
  #isOver = false
  /** Whether QEMU has closed its connection early, as it may. */
  #hasHungUp = false
  #batches = 0
  /** Acks of batches that QEMU accepted. */
  #acks: Buffer[] = []
  #streamBytes = 0
  #returningBytes = 0
  #isPaused = false

  constructor(components: IncomingPassageComponents & { clock: Clock; lane: Lane }, init: IncomingPassageInit) {
    const { clock, lane, qemu } = components
    this.#clock = clock
    this.#qemu = qemu
    this.#listener = init.listener
    this.#onCounts = init.onCounts
    this.#mayHangUp = init.mayHangUp ?? false
    this.#resolver = new Resolver(components)
    this.#lane = new FrameLane({ clock, lane }, {
      frames: PASSAGE_FRAMES,
      bytesPerSecondMax: Infinity,
      onFrame: (name, body) => this.#onFrame(name, body),
      onLost: (error) => this.#fail(error),
    })
    qemu.receive((bytes) => this.#giveBack(bytes), () => this.#endReturn())
    // It never rejects.
    void qemu.closed.then((error) => this.#onQemuClosed(error))
  }

  counts(): IncomingPassageCounts {
    const { sentBytes, receivedBytes } = this.#lane
    return { streamBytes: this.#streamBytes, refsFilledBy: this.#resolver.filledBy, sentBytes, receivedBytes }
  }

  /** Closes QEMU's connection and the lane, without further events. Idempotent; no effect after the end. */
  stop(): void {
    if (!this.#isOver) this.#shut(new Error('the passage was stopped'))
  }

  #onFrame(name: PassageFrame, body: Buffer): void {
    if (name === 'batch' && this.#down === 'streaming') this.#onBatch(body)
    else if (name === 'pages') this.#onPages(body)
    else if (name === 'streamEnd' && this.#down === 'streaming') this.#endStream()
    else throw this.#misplaced(name)
  }

  /** Takes a batch. Refs of several batches are filled in parallel; QEMU gets the batches in order. */
  #onBatch(body: Buffer): void {
    this.#batches += 1
    if (this.#batches > IN_FLIGHT_MAX) throw this.#misplaced('batch beyond the window')
    const batch = this.#decoder.assemble(unpackBatch(body))
    const completing = this.#complete(batch)
    // Awaited in order for the write; an earlier failure fails the passage at once.
    completing.catch((error: unknown) => this.#fail(error))
    this.#writing = this.#writing.then(async () => {
      await completing
      await this.#write(batch)
    }).catch((error: unknown) => this.#fail(error))
  }

  /** Resolves when all pages are filled in and the digest matches. */
  async #complete(batch: AssembledBatch): Promise<void> {
    const lacking = await this.#resolver.fill(batch, this.#abort.signal)
    if (lacking.length > 0) this.#resolver.accept(batch, lacking, await this.#askBack(batch.sequence, lacking))
    if (!this.#decoder.isRight(batch)) throw digestMismatch(batch.sequence)
  }

  async #askBack(sequence: number, refs: readonly number[]): Promise<Buffer> {
    this.#abort.signal.throwIfAborted()
    const request = Buffer.allocUnsafe(4 + refs.length * 4)
    request.writeUInt32BE(sequence, 0)
    refs.forEach((ref, i) => request.writeUInt32BE(ref, 4 + i * 4))
    const answer: Deferred<Buffer> = deferred()
    this.#askedBack.set(sequence, answer)
    // A send never rejects.
    void this.#lane.send('missing', request)
    return unpack(await withTimeout(this.#clock, answer.promise, ASK_BACK_MS_MAX, {
      phase: 'handoff', fault: 'peer', message: 'The source\'s agent did not send the missing pages again.',
      advice: 'See the log of that agent.',
    }), refs.length * PAGE_BYTES)
  }

  #onPages(body: Buffer): void {
    const sequence = body.readUInt32BE(0)
    const waiting = this.#askedBack.get(sequence)
    if (waiting === undefined) throw this.#misplaced(`pages for batch ${sequence}, which were not asked for,`)
    this.#askedBack.delete(sequence)
    waiting.resolve(body.subarray(4))
  }

  async #write(batch: AssembledBatch): Promise<void> {
    if (this.#isOver) return
    if (!this.#hasHungUp) await this.#give(batch.stream)
    this.#onCounts?.()
    this.#decoder.recycle(batch)
    this.#batches -= 1
    const ack = Buffer.allocUnsafe(4)
    ack.writeUInt32BE(batch.sequence, 0)
    this.#acks.push(ack)
    // The ack of the last batch here is sent with those held back.
    if (this.#batches === 0 || this.#acks.length === ACKS_HELD_BACK_MAX) {
      // A send never rejects.
      void this.#lane.sendAll('ack', this.#acks)
      this.#acks = []
    }
    this.#finishIfDone()
  }

  async #give(stream: Buffer): Promise<void> {
    try {
      await this.#qemu.write(stream)
      this.#streamBytes += stream.length
    } catch (error) {
      if (!this.#mayHangUp || this.#isOver) throw connectionLost('destination', error)
      this.#hangUp()
    }
  }

  #endStream(): void {
    this.#down = 'ending'
    this.#finishIfDone()
  }

  #giveBack(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += RETURNED_BYTES_MAX) {
      const piece = Buffer.from(bytes.subarray(at, at + RETURNED_BYTES_MAX))
      this.#returningBytes += piece.length
      // A send never rejects.
      void this.#lane.send('returned', piece).then(() => {
        this.#returningBytes -= piece.length
        if (!this.#isPaused || this.#isOver || this.#returningBytes > 0) return
        this.#isPaused = false
        this.#qemu.resume()
      })
    }
    if (this.#isPaused || this.#returningBytes < RETURNING_BYTES_MAX) return
    this.#isPaused = true
    this.#qemu.pause()
  }

  /** QEMU has hung up: discards the rest of the stream. */
  #hangUp(): void {
    this.#hasHungUp = true
    this.#endReturn()
  }

  #endReturn(): void {
    // A QEMU that hung up may be heard to end after it took no more, or before.
    if (this.#up === 'ended') return
    this.#up = 'ended'
    // A send never rejects.
    void this.#lane.send('returnedEnd')
    this.#finishIfDone()
  }

  #finishIfDone(): void {
    if (this.#isOver) return
    if (this.#down === 'ending' && this.#batches === 0) {
      this.#down = 'ended'
      this.#qemu.end()
    }
    if (this.#down !== 'ended' || this.#up !== 'ended') return
    this.#isOver = true
    // Never rejects, and need not be awaited: both ends have all their bytes.
    void this.#lane.close()
    this.#listener.ended()
  }

  #onQemuClosed(error: Error | undefined): void {
    // A close after both directions ended is normal.
    if (this.#isOver || (this.#down === 'ended' && this.#up === 'ended')) return
    if (this.#mayHangUp) this.#hangUp()
    else this.#fail(connectionLost('destination', error))
  }

  #misplaced(what: string): PagemeshError {
    return badFrame(`${what} while the stream is ${this.#down} and the return path is ${this.#up}`)
  }

  #fail(thrown: unknown): void {
    if (this.#isOver) return
    const error = asPagemeshError(thrown)
    this.#shut(error)
    this.#listener.failed(error)
  }

  #shut(reason: Error): void {
    this.#isOver = true
    this.#lane.destroy()
    this.#qemu.destroy()
    this.#abort.abort(reason)
    for (const { reject } of this.#askedBack.values()) reject(reason)
    this.#askedBack.clear()
  }
}
