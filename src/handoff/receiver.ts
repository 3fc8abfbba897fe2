import type { Socket } from 'node:net'

import {
  firstOf, PAGE_BYTES, takeBackWrong, unpack, verified, type PageHasher, type PageSource, type SourceKind,
} from '../page/index.ts'
import { deferred, type Deferred } from '../runtime/wait.ts'
import { Decoder, digestMismatch, unpackBatch, type AssembledBatch } from './decoder.ts'
import type { LaneChannel } from './lanechannel.ts'
import { noRefsFilled } from './result.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'
import { badFrame, FRAME_KINDS } from './wire.ts'

/**
 * What may be on its way at once, seen from here; an outgoing end that sends more breaks the protocol. It may be ahead
 * of its window by what one read of QEMU's socket brings.
 */
const IN_FLIGHT_MAX = { batches: 4 * WINDOW_BATCHES_MAX, bodyBytes: 64 * 2 ** 20 }

/** The way from the lane to the destination QEMU: unpacks, fills refs, compares digests, writes, acknowledges. */
export class Receiver {
  readonly #channel: LaneChannel
  readonly #qemu: Socket
  readonly #hasher: PageHasher
  /** What fills refs, as it is, and with every page hashed. */
  readonly #sources: Pick<PageSource, 'fill'>
  readonly #verifiedSources: Pick<PageSource, 'fill'>
  readonly #signal: AbortSignal
  readonly #onError: (error: unknown) => void
  readonly #decoder = new Decoder()
  /** Batches whose refs were asked back, until their pages come. */
  readonly #askedBack = new Map<number, Deferred<Buffer>>()
  #writing: Promise<void> = Promise.resolve()
  #batches = 0
  #bodyBytes = 0
  #streamBytes = 0
  readonly #filledBy = noRefsFilled()

  constructor(
    components: { channel: LaneChannel; qemu: Socket; hasher: PageHasher; sources: readonly PageSource[] },
    init: { signal: AbortSignal; onError: (error: unknown) => void },
  ) {
    this.#channel = components.channel
    this.#qemu = components.qemu
    this.#hasher = components.hasher
    this.#sources = firstOf(components.sources)
    this.#verifiedSources = firstOf(components.sources.map((source) => verified(source, components.hasher)))
    this.#signal = init.signal
    this.#onError = init.onError
  }

  /** Bytes that QEMU took, each under a matching digest. */
  get streamBytes(): number {
    return this.#streamBytes
  }

  get refsFilledBy(): Record<SourceKind, number> {
    return { ...this.#filledBy }
  }

  /** Takes a batch. Refs of several batches are filled side by side; QEMU gets the batches in order. */
  take(body: Buffer): void {
    this.#batches += 1
    this.#bodyBytes += body.length
    if (this.#batches > IN_FLIGHT_MAX.batches || this.#bodyBytes > IN_FLIGHT_MAX.bodyBytes) {
      throw badFrame('more batches are on their way than the window allows')
    }
    const batch = this.#decoder.assemble(unpackBatch(body))
    const filling = this.#fill(batch).then(() => batch)
    filling.catch(() => undefined)
    this.#writing = this.#writing.then(async () => this.#write(await filling, body.length)).catch(this.#onError)
  }

  /** Takes the pages of refs that were asked back. */
  takePages(body: Buffer): void {
    const sequence = body.length >= 4 ? body.readUInt32BE(0) : -1
    const waiting = this.#askedBack.get(sequence)
    if (waiting === undefined) throw badFrame(`pages for batch ${sequence} that nobody asked for`)
    this.#askedBack.delete(sequence)
    waiting.resolve(body.subarray(4))
  }

  /** Resolves when QEMU took all that came so far. */
  async drain(): Promise<void> {
    await this.#writing
  }

  /**
   * Fills the refs and compares digests. The digest says of all pages of a batch at once whether they are the right
   * ones; only where it says no is each page hashed, to find those that changed since the census, which are then had
   * elsewhere.
   */
  async #fill(batch: AssembledBatch): Promise<void> {
    const { refs } = batch
    if (refs.count > 0) await this.#sources.fill(refs, this.#signal)
    if (refs.missing().length > 0 || !this.#decoder.complete(batch)) await this.#repair(batch)
    for (let i = 0; i < refs.count; i++) this.#filledBy[refs.filledBy(i)!] += 1
    this.#filledBy.sentBefore += batch.sentBefore
  }

  async #repair(batch: AssembledBatch): Promise<void> {
    const { refs } = batch
    const filled = Array.from({ length: refs.count }, (_, index) => index).filter((index) => refs.isFilled(index))
    takeBackWrong(refs, filled, this.#hasher)
    await this.#verifiedSources.fill(refs, this.#signal)
    const missing = refs.missing()
    if (missing.length > 0) await this.#askBack(batch, missing)
    if (!this.#decoder.complete(batch)) throw digestMismatch(batch.sequence)
  }

  async #askBack(batch: AssembledBatch, missing: readonly number[]): Promise<void> {
    const { refs, sequence } = batch
    const request = Buffer.allocUnsafe(4 + missing.length * 4)
    request.writeUInt32BE(sequence, 0)
    missing.forEach((index, i) => request.writeUInt32BE(index, 4 + i * 4))
    const answer: Deferred<Buffer> = deferred()
    this.#askedBack.set(sequence, answer)
    void this.#channel.send(FRAME_KINDS.missing, request)
    const abort = (): void => answer.reject(this.#signal.reason)
    this.#signal.addEventListener('abort', abort, { once: true })
    const pages = unpack(await answer.promise, missing.length * PAGE_BYTES)
    this.#signal.removeEventListener('abort', abort)
    missing.forEach((index, i) => {
      pages.copy(refs.bytes, index * PAGE_BYTES, i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
      refs.markFilled(index, 'source')
    })
  }

  async #write(batch: AssembledBatch, bodyBytes: number): Promise<void> {
    if (this.#signal.aborted) return
    const { stream } = batch
    await this.#give(stream)
    this.#streamBytes += stream.length
    this.#decoder.recycle(batch)
    this.#batches -= 1
    this.#bodyBytes -= bodyBytes
    const ack = Buffer.allocUnsafe(4)
    ack.writeUInt32BE(batch.sequence, 0)
    void this.#channel.send(FRAME_KINDS.ack, ack)
  }

  #give(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#qemu.write(bytes, (error) => {
        if (error === null || error === undefined) resolve()
        else reject(error)
      })
    })
  }
}
