import { BufferPool } from '../bytes/bufferpool.ts'
import { DIGEST_BYTES, ID_BYTES, PAGE_BYTES, PrefixTable, type PageHasher, type Prefixes } from '../page/index.ts'
import {
  createStreamReader, readKnowledge, type StreamKnowledgeData, type StreamMark, type StreamReader,
} from '../qemu/index.ts'
import {
  BATCH_STREAM_BYTES, OP_LITERAL, OP_RAW, OP_REF, OP_SENT, OpWriter, type EncodedBatch,
} from './batch.ts'
import { BatchDigest } from './batchdigest.ts'
import { PublicRefs, type KnownPublic } from './publicrefs.ts'
import { SentIndex } from './sentpages.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'

/** The encoder's counts of the stream so far; all exact. */
export interface EncoderCounts {
  streamBytes: number
  zero: number
  ref: number
  sentBefore: number
  literal: number
  rawBytes: number
}

export interface EncoderInit {
  /** The pages that may be sent as refs; copied. */
  known: Prefixes
  /** The migration's main channel, or another one. Default 'main'. */
  channel?: 'main' | 'beside'
  /** Knowledge from other connections of the same migration. */
  continuation?: StreamKnowledgeData
  onBatch: (batch: EncodedBatch) => void
  onMark: (mark: StreamMark) => void
  onRunState: (state: string) => void
  onLost: (reason: string) => void
}

/** Buffers kept for reuse: two for each batch of a full window. */
const SPARES_MAX = 2 * WINDOW_BATCHES_MAX
const PAGES_MAX = Math.ceil(BATCH_STREAM_BYTES / PAGE_BYTES) + 1

/**
 * Turns QEMU's stream into batches of ops. A page becomes a ref if the destination has it, a number if it was sent
 * before in this passage, and a literal otherwise; all other bytes stay raw. Bytes in, batches out; no I/O.
 */
export class Encoder {
  readonly counts: EncoderCounts = { streamBytes: 0, zero: 0, ref: 0, sentBefore: 0, literal: 0, rawBytes: 0 }
  readonly #hasher: PageHasher
  readonly #known: PrefixTable
  readonly #emit: (batch: EncodedBatch) => void
  readonly #reader: StreamReader
  readonly #digest = new BatchDigest()
  #digestSoFar: Uint8Array = new Uint8Array(DIGEST_BYTES)
  readonly #sent = new SentIndex()
  readonly #ops = new OpWriter()
  readonly #ids = Buffer.alloc(PAGES_MAX * ID_BYTES)
  /** Offsets in the batch of the announced page payloads. */
  readonly #pages = new Uint32Array(PAGES_MAX)
  #pageCount = 0
  /** Public pages of the destination; and a 1 for each page of the batch that is one of them. */
  #public: PublicRefs | undefined
  readonly #isPublic = new Uint8Array(PAGES_MAX)
  readonly #pool = new BufferPool(BATCH_STREAM_BYTES, SPARES_MAX)
  #batch = this.#pool.take()
  #length = 0
  /** Offset in the stream of the batch's first byte. */
  #base = 0
  #sequence = 0

  constructor(components: { hasher: PageHasher }, init: EncoderInit) {
    this.#hasher = components.hasher
    this.#known = new PrefixTable(init.known.count)
    this.addKnown(init.known)
    this.#emit = init.onBatch
    this.#reader = createStreamReader({
      page: (offset) => {
        this.#pages[this.#pageCount++] = offset - this.#base
      },
      zeroPage: () => {
        this.counts.zero += 1
      },
      mark: (mark) => init.onMark(mark),
      runState: (state) => init.onRunState(state),
      lost: (reason) => init.onLost(reason),
      resynchronised: () => {},
    }, {
      channel: init.channel ?? 'main',
      ...(init.continuation === undefined ? {} : { continuation: readKnowledge(init.continuation) }),
    })
  }

  /** Knowledge for a later connection of the same migration. */
  get knowledge(): StreamKnowledgeData {
    return this.#reader.knowledge.toData()
  }

  /** Adds the main channel's knowledge so far. */
  addKnowledge(knowledge: StreamKnowledgeData): void {
    this.#reader.knowledge.restore(knowledge)
  }

  /** Adds pages that may be sent as refs from now on. */
  addKnown({ count, high, low }: Prefixes): void {
    for (let i = 0; i < count; i++) this.#known.add(high[i]!, low[i]!, 0)
  }

  /** Sets the public pages that may be sent as refs from now on. */
  setPublic(known: KnownPublic): void {
    this.#public = new PublicRefs(known, PAGES_MAX)
  }

  /** Bytes that are in no batch yet. */
  get pendingBytes(): number {
    return this.#length
  }

  /** Takes more of the stream; emits full batches at once. */
  push(bytes: Uint8Array): void {
    this.counts.streamBytes += bytes.length
    let at = 0
    while (at < bytes.length) {
      const take = Math.min(bytes.length - at, BATCH_STREAM_BYTES - this.#length)
      const piece = bytes.subarray(at, at + take)
      this.#batch.set(piece, this.#length)
      this.#length += take
      at += take
      this.#reader.push(piece)
      if (this.#length === BATCH_STREAM_BYTES) this.flush()
    }
  }

  /**
   * Makes a batch of the pending bytes. An incomplete page stays behind. With `all` it is included, raw, because the
   * rest may never come: perhaps it is no page.
   */
  flush(all = false): void {
    const stream = this.#batch
    const length = this.#length
    let pageCount = this.#pageCount
    let end = length
    const lastIsPartial = pageCount > 0 && this.#pages[pageCount - 1]! + PAGE_BYTES > length
    if (lastIsPartial) {
      pageCount -= 1
      if (!all) end = this.#pages[pageCount]!
    }
    if (end === 0) return
    this.#emit(this.#encode(stream.subarray(0, end), pageCount))
    this.#startNext(stream, end, lastIsPartial && !all)
  }

  /** Returns the memory of a batch, its stream or its literals, once it is no longer needed. */
  recycle(bytes: Buffer): void {
    this.#pool.give(bytes)
  }

  /** Moves the bytes after `end` into the next batch. */
  #startNext(stream: Buffer, end: number, keepsPage: boolean): void {
    this.#batch = this.#pool.take()
    stream.copy(this.#batch, 0, end, this.#length)
    this.#length -= end
    this.#base += end
    this.#pages[0] = 0
    this.#pageCount = keepsPage ? 1 : 0
  }

  #encode(stream: Buffer, pageCount: number): EncodedBatch {
    this.#hasher.hashScattered(stream, this.#pages, pageCount, this.#ids)
    if (this.#public !== undefined) this.#findPublic(this.#public, stream, pageCount)
    this.#ops.clear()
    // Without pages, `raw` is the stream itself: its memory is not reused before the acknowledgement.
    const raw = pageCount === 0 ? stream : Buffer.allocUnsafe(stream.length - pageCount * PAGE_BYTES)
    const literals = this.#pool.take()
    const refIds = Buffer.allocUnsafe(pageCount * ID_BYTES)
    const refOffsets = new Uint32Array(pageCount)
    let rawLength = 0
    let refs = 0
    let literalLength = 0
    let from = 0
    for (let i = 0; i < pageCount; i++) {
      const page = this.#pages[i]!
      this.#ops.push(OP_RAW, page - from)
      rawLength += stream.copy(raw, rawLength, from, page)
      from = page + PAGE_BYTES
      const id = i * ID_BYTES
      if (this.#isPublic[i] === 1 || this.#isKnown(id)) {
        this.#ops.push(OP_REF, 1)
        refOffsets[refs] = page
        this.#ids.copy(refIds, refs * ID_BYTES, id, id + ID_BYTES)
        refs += 1
        continue
      }
      const slot = this.#sent.find(this.#ids, id)
      if (slot !== -1) {
        this.#ops.push(OP_SENT, slot)
        this.counts.sentBefore += 1
        continue
      }
      this.#sent.add(this.#ids, id)
      this.#ops.push(OP_LITERAL, 1)
      literalLength += stream.copy(literals, literalLength, page, from)
    }
    this.#ops.push(OP_RAW, stream.length - from)
    if (raw !== stream) stream.copy(raw, rawLength, from)
    this.#digestSoFar = this.#digest.after(this.#digestSoFar, {
      streamBytes: stream.length, pageCount, pageOffsets: this.#pages, pageIds: this.#ids, raw,
    })
    this.counts.ref += refs
    this.counts.literal += literalLength / PAGE_BYTES
    this.counts.rawBytes += raw.length
    return {
      sequence: this.#sequence++,
      stream,
      digest: this.#digestSoFar,
      ops: Buffer.from(this.#ops.finish()),
      raw,
      refIds: refIds.subarray(0, refs * ID_BYTES),
      refOffsets: refOffsets.subarray(0, refs),
      literals: literals.subarray(0, literalLength),
    }
  }

  /** Whether the destination has the page whose id is at `id` of the ids. */
  #isKnown(id: number): boolean {
    return this.#known.get(this.#ids.readUInt32BE(id), this.#ids.readUInt32BE(id + 4)) !== -1
  }

  /** Looks for public pages among those that would be literals; they go by their public ids, in the digest too. */
  #findPublic(refs: PublicRefs, stream: Buffer, pageCount: number): void {
    this.#isPublic.fill(0, 0, pageCount)
    if (!refs.isDue()) return
    for (let i = 0; i < pageCount; i++) {
      const id = i * ID_BYTES
      if (!this.#isKnown(id) && this.#sent.find(this.#ids, id) === -1) refs.note(i, this.#pages[i]!)
    }
    refs.mark(stream, this.#ids, this.#isPublic)
  }
}
