import type { Lane } from '../mesh/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { Hearing } from '../net/hearing.ts'
import { packNow, PAGE_BYTES, type PageHasher, type Prefixes } from '../page/index.ts'
import { ReturnPathEnd, type StreamKnowledgeData, type StreamMark } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, type PagemeshError } from '../runtime/errors.ts'
import { packBatch, type EncodedBatch } from './batch.ts'
import { Compression, type CompressionMode } from './compression.ts'
import { Encoder, type EncoderCounts } from './encoder.ts'
import { FlushTimer } from './flushtimer.ts'
import { FrameLane } from './framelane.ts'
import { badFrame, FRAME_HEADER_BYTES } from './frames.ts'
import type { KnownPublic } from './publicrefs.ts'
import { Window } from './window.ts'
import { connectionLost, PASSAGE_FRAMES, type PassageFrame } from './wire.ts'

/** Size of a full read of QEMU's socket; a shorter one means that QEMU paused. */
const FULL_READ_BYTES = 256 * 1024
/** Most queued bytes of the return path; its messages are short, and QEMU waits for them. */
const UNTAKEN_BYTES_MAX = 64 * 2 ** 20

export interface OutgoingPassageInit {
  /** The pages that the destination has, to be sent as refs. Copied. */
  known: Prefixes
  /** Whether pages sent whole are compressed. */
  compression: CompressionMode
  /** Bytes a second on the wire; Infinity: unlimited. */
  bytesPerSecondMax: number
  /** Measured speed of the link, bytes a second. Default: unknown. */
  linkBytesPerSecond?: number
  /** This channel's share of the link, beside other channels with pages. Default 1. */
  linkShare?: number
  /** The migration's main channel, or another one, whose first bytes tell its kind. Default 'main'. */
  channel?: 'main' | 'beside'
  /** Knowledge from the main channel, or from the earlier connection of a resumed post-copy. */
  continuation?: StreamKnowledgeData
  /**
   * Whether the source QEMU is heard out before it is told of an end beyond the lane: if it had ended its side by then,
   * `streamEnded` comes first, or `failed` says that it closed its connection. Default: it is told at once.
   */
  hearsOut?: boolean
  /** Called after each batch, when `counts` has changed. */
  onCounts?: () => void
  listener: OutgoingPassageListener
}

/** Events of a passage, in order; none after `ended`, `failed` or `stop`. */
export interface OutgoingPassageListener {
  mark(mark: StreamMark): void
  /** The guest's run state at switchover, in QEMU's words; the last call counts. Never for machine types up to 2.3. */
  runState(state: string): void
  /** QEMU's stream is not understood from here on, and passes raw. */
  lost(reason: string): void
  /** The source QEMU ended its side, in order. */
  streamEnded(): void
  /** The destination QEMU ended its side, in order; `shut`: its final status of the load, 0 for success. */
  returnEnded(shut: number | undefined): void
  /** Both QEMUs ended their sides, and all bytes were delivered. */
  ended(): void
  /** Any other end; QEMU's connection and the lane are already closed. */
  failed(error: PagemeshError): void
}

export interface OutgoingPassageCounts extends EncoderCounts {
  /** Bytes of literals on the wire. */
  literalWireBytes: number
  /** Bytes on the lane. */
  sentBytes: number
  receivedBytes: number
}

/** An unacknowledged batch: its pages may be asked back. */
interface KeptBatch {
  batch: EncodedBatch
  /** Memory that is being sent or may be asked back. */
  memory: readonly Buffer[]
  isAskedBack: boolean
}

/** Relays the source QEMU's stream to the lane, and the return path from the lane to QEMU. */
export class OutgoingPassage {
  readonly #clock: Clock
  readonly #qemu: Endpoint
  readonly #lane: FrameLane<PassageFrame>
  readonly #encoder: Encoder
  readonly #window: Window
  readonly #flushTimer: FlushTimer
  readonly #listener: OutgoingPassageListener
  readonly #onCounts: (() => void) | undefined
  /** Whether pages that are asked back are compressed. */
  readonly #compresses: boolean
  readonly #compression: Compression
  /** In order of sequence. */
  readonly #kept = new Map<number, KeptBatch>()
  #down: 'streaming' | 'ending' | 'ended' = 'streaming'
  #up: 'returning' | 'hearing' | 'ending' | 'ended' = 'returning'
  #isOver = false
  readonly #hearsOut: boolean
  /** While the source QEMU is heard out. */
  #hearing: Hearing | undefined
  #isLaneLost = false
  #isPaused = false
  /** Whether QEMU waits for single answers: in post-copy, and while it sends the device state. */
  #isUrgent = false
  #returnedBytes = 0
  readonly #returnPathEnd = new ReturnPathEnd()
  #literalWireBytes = 0

  constructor(
    components: { clock: Clock; hasher: PageHasher; lane: Lane; qemu: Endpoint }, init: OutgoingPassageInit,
  ) {
    const { clock, hasher, lane, qemu } = components
    this.#clock = clock
    this.#qemu = qemu
    this.#listener = init.listener
    this.#onCounts = init.onCounts
    this.#hearsOut = init.hearsOut ?? false
    this.#compresses = init.compression !== 'never'
    this.#compression = new Compression({
      mode: init.compression,
      linkBytesPerSecond: Math.min(init.bytesPerSecondMax, init.linkBytesPerSecond ?? 0),
      ...(init.linkShare === undefined ? {} : { share: init.linkShare }),
    })
    this.#window = new Window({ clock })
    this.#encoder = new Encoder({ hasher }, {
      known: init.known,
      channel: init.channel ?? 'main',
      ...(init.continuation === undefined ? {} : { continuation: init.continuation }),
      onBatch: (batch) => this.#send(batch),
      onMark: (mark) => this.#onMark(mark),
      onRunState: (state) => this.#listener.runState(state),
      onLost: (reason) => this.#listener.lost(reason),
    })
    this.#flushTimer = new FlushTimer({ clock, encoder: this.#encoder }, { isPaused: () => this.#isPaused })
    if (init.continuation?.isPostcopy === true) this.#hurry()
    this.#lane = new FrameLane({ clock, lane }, {
      frames: PASSAGE_FRAMES,
      bytesPerSecondMax: init.bytesPerSecondMax,
      onFrame: (name, body) => this.#onFrame(name, body),
      onLost: (error) => this.#onLaneLost(error),
    })
    qemu.receive((bytes) => this.#onStream(bytes), () => this.#onStreamEnd())
    // It never rejects.
    void qemu.closed.then((error) => this.#onQemuClosed(error))
  }

  /** Adds pages that arrived at the destination: they may be sent as refs from now on. */
  addKnown(prefixes: Prefixes): void {
    this.#encoder.addKnown(prefixes)
  }

  /** Sets the destination's public pages: they may be sent as refs from now on. */
  setPublic(known: KnownPublic): void {
    this.#encoder.setPublic(known)
  }

  /** Adds the main channel's knowledge so far, for another channel. */
  addKnowledge(knowledge: StreamKnowledgeData): void {
    this.#encoder.addKnowledge(knowledge)
    if (knowledge.isPostcopy) this.#hurry()
  }

  counts(): OutgoingPassageCounts {
    const { sentBytes, receivedBytes } = this.#lane
    return { ...this.#encoder.counts, literalWireBytes: this.#literalWireBytes, sentBytes, receivedBytes }
  }

  /** Knowledge for a later connection of this migration, as JSON. */
  knowledge(): StreamKnowledgeData {
    return this.#encoder.knowledge
  }

  /** Closes QEMU's connection and the lane, without further events. Idempotent; no effect after the end. */
  stop(): void {
    if (!this.#isOver) this.#shut()
  }

  #onStream(bytes: Buffer): void {
    if (this.#isOver) return
    this.#hearing?.heard(bytes.length)
    this.#encoder.push(bytes)
    if (this.#isUrgent && bytes.length < FULL_READ_BYTES) this.#encoder.flush()
    this.#flushTimer.start()
  }

  #onStreamEnd(): void {
    this.#down = 'ending'
    this.#flushTimer.stop()
    this.#encoder.flush(true)
    // A send never rejects.
    void this.#lane.send('streamEnd')
    this.#listener.streamEnded()
    this.#hearing?.end()
    this.#finishIfDone()
  }

  #onMark(mark: StreamMark): void {
    if (mark === 'ramEnd') this.#isUrgent = true
    if (mark === 'package' || mark === 'resume') this.#hurry()
    this.#listener.mark(mark)
  }

  #hurry(): void {
    this.#isUrgent = true
    this.#window.narrowForPostcopy()
  }

  #send(batch: EncodedBatch): void {
    // Nobody takes it any more: what its bytes told of the stream is all that is wanted of them.
    if (this.#isLaneLost) return
    const level = this.#compression.levelFor(batch.literals.length, {
      ...this.#window.state(), nowMs: this.#clock.now(), queuedBytes: this.#lane.queuedBytes,
    })
    const { header, parts, literalWireBytes, wireBytes } = packBatch(batch, { level })
    this.#compression.packed(batch.literals.length, literalWireBytes, level)
    this.#literalWireBytes += literalWireBytes
    const travelAsTheyAre = literalWireBytes === batch.literals.length && literalWireBytes > 0
    if (!travelAsTheyAre) this.#encoder.recycle(batch.literals)
    const memory = travelAsTheyAre ? [batch.stream, batch.literals] : [batch.stream]
    this.#kept.set(batch.sequence, { batch, memory, isAskedBack: false })
    this.#window.add(batch.sequence, batch.stream.length, FRAME_HEADER_BYTES + wireBytes)
    this.#holdBackIfFull()
    // A send never rejects; the window bounds the queue.
    void this.#lane.send('batch', header, ...parts)
    this.#onCounts?.()
  }

  #onFrame(name: PassageFrame, body: Buffer): void {
    if (name === 'ack') this.#acknowledge(body.readUInt32BE(0))
    else if (name === 'missing') this.#giveMissing(body)
    else if (name === 'returned' && this.#up === 'returning') this.#giveBack(body)
    else if (name === 'returnedEnd' && this.#up === 'returning') this.#endReturn()
    else throw this.#misplaced(name)
  }

  #acknowledge(sequence: number): void {
    const [due] = this.#kept.keys()
    const kept = this.#kept.get(sequence)
    if (kept === undefined) throw this.#misplaced(`ack of batch ${sequence}, which is not on its way,`)
    if (sequence !== due) throw this.#misplaced(`ack of batch ${sequence} where ${due} was due`)
    this.#kept.delete(sequence)
    this.#window.acknowledge(sequence)
    for (const bytes of kept.memory) this.#encoder.recycle(bytes)
    if (this.#isPaused && !this.#window.isFull) {
      this.#isPaused = false
      this.#qemu.resume()
    }
    this.#finishIfDone()
  }

  /** Sends the pages of refs that the destination could not fill. */
  #giveMissing(body: Buffer): void {
    const sequence = body.readUInt32BE(0)
    const kept = this.#kept.get(sequence)
    if (kept === undefined) throw this.#misplaced(`missing pages of batch ${sequence}, which is not on its way,`)
    if (kept.isAskedBack) throw this.#misplaced(`missing pages of batch ${sequence} a second time`)
    kept.isAskedBack = true
    const pages = pagesOf(kept.batch, body)
    // A send never rejects.
    void this.#lane.send('pages', body.subarray(0, 4), this.#compresses ? packNow(pages) : pages)
  }

  #giveBack(bytes: Buffer): void {
    this.#returnedBytes += bytes.length
    this.#returnPathEnd.push(bytes)
    if (this.#returnedBytes > UNTAKEN_BYTES_MAX) throw this.#misplaced('more returned than its QEMU takes')
    this.#qemu.write(bytes).then(() => {
      this.#returnedBytes -= bytes.length
      this.#finishIfDone()
    }, (error: unknown) => this.#fail(connectionLost('source', error)))
  }

  #endReturn(): void {
    const isEarly = this.#down === 'streaming' && this.#returnPathEnd.shut === undefined
    if (!this.#hearsOut || !isEarly) return this.#passReturnEnd()
    this.#up = 'hearing'
    this.#hearOut(() => this.#passReturnEnd())
  }

  #passReturnEnd(): void {
    this.#up = 'ending'
    this.#qemu.end()
    this.#listener.returnEnded(this.#returnPathEnd.shut)
    this.#finishIfDone()
  }

  #finishIfDone(): void {
    if (this.#down === 'ending' && this.#kept.size === 0) this.#down = 'ended'
    if (this.#isOver || this.#down !== 'ended' || this.#isReturning) return
    this.#lane.complete()
    if (this.#returnedBytes > 0) return
    this.#up = 'ended'
    this.#isOver = true
    // Never rejects, and need not be awaited: both ends have all their bytes.
    void this.#lane.close()
    this.#listener.ended()
  }

  #holdBackIfFull(): void {
    if (this.#isPaused || !this.#window.isFull) return
    this.#isPaused = true
    this.#qemu.pause()
  }

  #onQemuClosed(error: Error | undefined): void {
    // A close after both directions ended is normal; if QEMU missed bytes, the write has failed.
    if (this.#down === 'streaming' || this.#isReturning) this.#fail(connectionLost('source', error))
  }

  /** Whether the source QEMU was not told of the return path's end. */
  get #isReturning(): boolean {
    return this.#up === 'returning' || this.#up === 'hearing'
  }

  #onLaneLost(error: PagemeshError): void {
    if (!this.#hearsOut || this.#down !== 'streaming' || !this.#isReturning) return this.#fail(error)
    this.#isLaneLost = true
    this.#isPaused = false
    this.#qemu.resume()
    this.#hearOut(() => this.#fail(error))
  }

  /** Reads what the source QEMU has sent, and its end, if that has come; then goes on with `next`, the last one. */
  #hearOut(next: () => void): void {
    this.#hearing?.end()
    const hearing = new Hearing({ clock: this.#clock }, { isHeld: () => this.#isPaused })
    this.#hearing = hearing
    // It never rejects.
    void hearing.over.then(() => {
      if (this.#hearing !== hearing || this.#isOver) return
      this.#hearing = undefined
      next()
    })
  }

  #misplaced(what: string): PagemeshError {
    return badFrame(`${what} while the stream is ${this.#down} and the return path is ${this.#up}`)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#shut()
    this.#listener.failed(asPagemeshError(error))
  }

  #shut(): void {
    this.#isOver = true
    this.#hearing?.end()
    this.#flushTimer.stop()
    this.#lane.destroy()
    this.#qemu.destroy()
    this.#kept.clear()
  }
}

/** The pages that a `missing` frame asks for. Throws PagemeshError `bad-frame` if the batch has no such refs. */
function pagesOf({ sequence, stream, refOffsets }: EncodedBatch, body: Buffer): Buffer {
  if (body.length % 4 !== 0) throw badFrame('a missing page is cut short')
  const count = body.length / 4 - 1
  if (count > refOffsets.length) throw badFrame(`it misses ${count} pages of batch ${sequence}, which has fewer refs`)
  const pages = Buffer.allocUnsafe(count * PAGE_BYTES)
  for (let i = 0; i < count; i++) {
    const offset = refOffsets[body.readUInt32BE(4 + i * 4)]
    if (offset === undefined) throw badFrame(`it misses a page that batch ${sequence} does not refer to`)
    stream.copy(pages, i * PAGE_BYTES, offset, offset + PAGE_BYTES)
  }
  return pages
}
