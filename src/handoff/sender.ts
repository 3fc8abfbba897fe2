import type { Socket } from 'node:net'

import { pack, PAGE_BYTES, type PageHasher, type PrefixTable } from '../page/index.ts'
import type { StreamMark } from '../qemu/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { Encoder, type EncodedBatch, type EncoderCounts } from './encoder.ts'
import type { LaneChannel } from './lanechannel.ts'
import { packBatch } from './packedbatch.ts'
import { READ_BYTES, readInPlace } from './qemusocket.ts'
import { Window } from './window.ts'
import { badFrame, FRAME_HEADER_BYTES, FRAME_KINDS } from './wire.ts'

/** How long bytes may wait for a batch to fill while QEMU pauses. */
const FLUSH_AFTER_MS = 3
/** The start of what looked like a page goes raw if nothing follows it for so long. */
const STALLED_AFTER_MS = 200
const STALLED_LOOKS = 4

/** The way from the source QEMU to the lane: encodes, packs, sends, and holds QEMU back when the window is full. */
export class Sender {
  readonly #clock: Clock
  readonly #channel: LaneChannel
  readonly #qemu: Socket
  readonly #encoder: Encoder
  readonly #window: Window
  /** Batches that are not acknowledged, for refs that are asked back. */
  readonly #kept = new Map<number, EncodedBatch>()
  #sending: Promise<void> = Promise.resolve()
  readonly #onError: (error: unknown) => void
  #flushTimer: Timer | undefined
  /** Set once QEMU waits for single answers: in post-copy, and when the device state is on its way. */
  #isUrgent = false
  #literalWireBytes = 0
  readonly #compresses: boolean
  /** The last literals did not shrink: random or encrypted memory. */
  #suspectsNoise = false

  constructor(
    components: { clock: Clock; hasher: PageHasher; channel: LaneChannel; qemu: Socket },
    init: {
      atDestination: PrefixTable
      compresses: boolean
      onMark: (mark: StreamMark) => void
      onLost: (reason: string) => void
      /** QEMU closed its end, and everything that it wrote is sent. */
      onEnd: () => void
      onError: (error: unknown) => void
    },
  ) {
    this.#clock = components.clock
    this.#channel = components.channel
    this.#qemu = readInPlace(components.qemu, (bytes) => this.#take(bytes))
    this.#onError = init.onError
    this.#compresses = init.compresses
    this.#window = new Window({ clock: components.clock })
    this.#encoder = new Encoder({ hasher: components.hasher }, {
      atDestination: init.atDestination,
      onBatch: (batch) => this.#send(batch),
      onLost: init.onLost,
      onMark: (mark) => {
        if (mark === 'ramEnd' || mark === 'package') this.#isUrgent = true
        if (mark === 'package') this.#window.narrowForPostcopy()
        init.onMark(mark)
      },
    })
    this.#qemu.on('error', () => undefined)
    this.#qemu.on('end', () => {
      this.#flushTimer?.cancel()
      this.#encoder.flush(true)
      void this.#sending.then(() => init.onEnd())
    })
  }

  get counts(): EncoderCounts {
    return this.#encoder.counts
  }

  get literalWireBytes(): number {
    return this.#literalWireBytes
  }

  /** The destination QEMU took all up to this batch. */
  acknowledge(sequence: number): void {
    const batch = this.#kept.get(sequence)
    const isOnItsWay = this.#window.acknowledge(sequence)
    if (batch === undefined || !isOnItsWay) throw badFrame(`batch ${sequence} is not on its way`)
    this.#kept.delete(sequence)
    this.#encoder.recycle(batch)
    if (!this.#window.isFull) this.#qemu.resume()
  }

  /** Sends the pages of refs that nothing at the destination could fill. */
  async sendMissing(body: Buffer): Promise<void> {
    const sequence = body.length >= 4 ? body.readUInt32BE(0) : -1
    const batch = this.#kept.get(sequence)
    if (batch === undefined || body.length % 4 !== 0) throw badFrame('it misses pages of no batch on its way')
    const count = body.length / 4 - 1
    const pages = Buffer.allocUnsafe(count * PAGE_BYTES)
    for (let i = 0; i < count; i++) {
      const offset = batch.refOffsets[body.readUInt32BE(4 + i * 4)]
      if (offset === undefined) throw badFrame('a missing page that the batch does not refer to')
      batch.stream.copy(pages, i * PAGE_BYTES, offset, offset + PAGE_BYTES)
    }
    const packed = this.#compresses ? await pack(pages) : pages
    await this.#channel.send(FRAME_KINDS.pages, body.subarray(0, 4), packed)
  }

  /** Gives QEMU what its other end said: the return path. */
  giveBack(bytes: Buffer): void {
    this.#qemu.write(bytes)
  }

  /** QEMU's other end said all that it will. */
  endReturn(): void {
    this.#qemu.end()
  }

  /** Lets QEMU go; nothing is sent any more. */
  stop(): void {
    this.#flushTimer?.cancel()
    this.#qemu.destroy()
  }

  #take(bytes: Buffer): void {
    this.#encoder.push(bytes)
    if (this.#isUrgent && bytes.length < READ_BYTES) this.#encoder.flush()
    if (this.#encoder.pendingBytes > 0 && this.#flushTimer === undefined) this.#flushLater()
    if (this.#window.isFull) this.#qemu.pause()
  }

  #flushLater(): void {
    this.#flushTimer = this.#clock.after(FLUSH_AFTER_MS, () => {
      this.#flushTimer = undefined
      this.#encoder.flush()
      if (this.#encoder.pendingBytes > 0) this.#watchStalledPage(this.#encoder.counts.streamBytes, STALLED_LOOKS)
    })
  }

  /**
   * What is pending now is the start of a page. It goes raw when nothing followed it at several looks: at several,
   * because after a busy moment a timer is due before what has arrived meanwhile is read.
   */
  #watchStalledPage(streamBytes: number, looks: number): void {
    this.#flushTimer = this.#clock.after(STALLED_AFTER_MS / STALLED_LOOKS, () => {
      this.#flushTimer = undefined
      const isStalled = this.#encoder.counts.streamBytes === streamBytes && !this.#qemu.isPaused()
      if (isStalled && looks > 1) this.#watchStalledPage(streamBytes, looks - 1)
      else if (isStalled) this.#encoder.flush(true)
      else if (this.#encoder.pendingBytes > 0) this.#flushLater()
    })
  }

  #send(batch: EncodedBatch): void {
    this.#kept.set(batch.sequence, batch)
    this.#window.add(batch.sequence, batch.stream.length)
    const packing = packBatch(batch, { compresses: this.#compresses, suspectsNoise: this.#suspectsNoise })
    this.#sending = this.#sending.then(async () => {
      const { header, parts, literalWireBytes, wireBytes } = await packing
      this.#literalWireBytes += literalWireBytes
      if (batch.literals.length > 0) this.#suspectsNoise = literalWireBytes === batch.literals.length
      this.#window.weigh(batch.sequence, FRAME_HEADER_BYTES + wireBytes)
      if (this.#window.isFull) this.#qemu.pause()
      await this.#channel.send(FRAME_KINDS.batch, header, ...parts)
    }).catch((error: unknown) => this.#onError(error))
  }
}
