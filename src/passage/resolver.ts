import { BufferPool } from '../bytes/bufferpool.ts'
import {
  ID_BYTES, PAGE_BYTES, PageBatch, type PageHasher, type PageSource, type PageSourceKind,
} from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { BATCH_LIMITS, BATCH_PAGES_MAX } from './batch.ts'
import type { AssembledBatch } from './decoder.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'

/** A source that has not answered by then has nothing: the other end has everything, and the guest waits. */
const SOURCE_MS_MAX = 2000

export function noRefsFilled(): Record<PageSourceKind, number> {
  return { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 }
}

/**
 * Puts pages in the places of a batch's refs, and hashes every page of the batch: each once, where it will be given
 * to QEMU. What a source gave is believed only if its hash is the wanted one; a wrong page is had from the next source.
 */
export class Resolver {
  readonly #clock: Clock
  readonly #hasher: PageHasher
  readonly #sources: readonly PageSource[]
  /** Shared memory: the sources may be in another thread. */
  readonly #rooms = new BufferPool(BATCH_LIMITS.streamBytes, WINDOW_BATCHES_MAX, (size) => new SharedArrayBuffer(size))
  /** Sources that still owe an answer that came too late to wait for: they are not asked meanwhile. */
  readonly #late = new Set<PageSource>()
  readonly #filledBy = noRefsFilled()
  /** Which pages of a batch are hashed in one go, where they lie in it, and what they hash to. */
  readonly #pages = new Uint32Array(BATCH_PAGES_MAX)
  readonly #offsets = new Uint32Array(BATCH_PAGES_MAX)
  readonly #ids = Buffer.alloc(BATCH_PAGES_MAX * ID_BYTES)

  /** @param components.sources nearest first; they need not hash what they give. */
  constructor(components: { clock: Clock; hasher: PageHasher; sources: readonly PageSource[] }) {
    this.#clock = components.clock
    this.#hasher = components.hasher
    this.#sources = components.sources
  }

  get filledBy(): Record<PageSourceKind, number> {
    return { ...this.#filledBy }
  }

  /** Fills what it can; returns which refs nobody had, or had only wrongly. */
  async fill(batch: AssembledBatch, signal: AbortSignal): Promise<readonly number[]> {
    this.#hashOwn(batch)
    this.#filledBy.sentBefore += batch.sentBefore
    const count = batch.refPages.length
    if (count === 0) return []
    let refs = new PageBatch(batch.refIds, this.#rooms.take())
    for (const source of this.#sources) {
      const before = refs.missing()
      if (before.length === 0) break
      if (this.#late.has(source)) continue
      if (await this.#ask(source, refs, signal)) {
        this.#place(batch, refs, before)
      } else {
        // What failed or is late may still write into this memory: it is left to it.
        refs = unfilled(refs, before, this.#rooms.take())
      }
    }
    this.#rooms.give(refs.bytes)
    for (let ref = 0; ref < count; ref++) {
      const kind = refs.filledBy(ref)
      if (kind !== undefined) this.#filledBy[kind] += 1
    }
    return refs.missing()
  }

  /** Puts the pages of these refs, which the other end sent, in their places. The digest says if they are right. */
  accept(batch: AssembledBatch, refs: readonly number[], pages: Buffer): void {
    refs.forEach((ref, i) => {
      const page = batch.refPages[ref]!
      pages.copy(batch.stream, batch.pageOffsets[page], i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
      this.#pages[i] = page
    })
    this.#hash(batch, refs.length)
    this.#filledBy.source += refs.length
  }

  /** Hashes the pages that came with the stream itself. */
  #hashOwn(batch: AssembledBatch): void {
    let count = 0
    for (let page = 0, ref = 0; page < batch.pageCount; page++) {
      if (batch.refPages[ref] === page) ref += 1
      else this.#pages[count++] = page
    }
    this.#hash(batch, count)
  }

  /** Puts what a source filled of these in its places, and takes back what is wrong. */
  #place(batch: AssembledBatch, refs: PageBatch, wanted: readonly number[]): void {
    let count = 0
    for (const ref of wanted) {
      if (!refs.isFilled(ref)) continue
      const page = batch.refPages[ref]!
      refs.bytes.copy(batch.stream, batch.pageOffsets[page], ref * PAGE_BYTES, (ref + 1) * PAGE_BYTES)
      this.#pages[count++] = page
    }
    this.#hash(batch, count)
    for (const ref of wanted) {
      if (!refs.isOf(ref, batch.pageIds, batch.refPages[ref]! * ID_BYTES)) refs.markMissing(ref)
    }
  }

  /** Writes down what the first `count` of `#pages` of the batch hash to, as they are now. */
  #hash({ stream, pageOffsets, pageIds }: AssembledBatch, count: number): void {
    for (let i = 0; i < count; i++) this.#offsets[i] = pageOffsets[this.#pages[i]!]!
    this.#hasher.hashScattered(stream, this.#offsets, count, this.#ids)
    for (let i = 0; i < count; i++) {
      const to = this.#pages[i]! * ID_BYTES
      const from = i * ID_BYTES
      for (let at = 0; at < ID_BYTES; at++) pageIds[to + at] = this.#ids[from + at]!
    }
  }

  /** Lets a source fill what it can; false if it failed, or has not answered in time. */
  async #ask(source: PageSource, refs: PageBatch, signal: AbortSignal): Promise<boolean> {
    let isOver = false
    const answer = fillFrom(source, refs, signal).then((isFilled) => {
      isOver = true
      this.#late.delete(source)
      return isFilled
    })
    const { promise: late, resolve } = Promise.withResolvers<false>()
    const timer = this.#clock.after(SOURCE_MS_MAX, () => resolve(false))
    const isFilled = await Promise.race([answer, late])
    timer.cancel()
    if (!isOver) this.#late.add(source)
    return isFilled
  }
}

/** A source that fails is one that has nothing. */
async function fillFrom(source: PageSource, refs: PageBatch, signal: AbortSignal): Promise<boolean> {
  try {
    await source.fill(refs, signal)
    return true
  } catch {
    // Its pages are looked for elsewhere.
    return false
  }
}

/** The same refs in other memory, of which these are missing: the others are in their places already. */
function unfilled(refs: PageBatch, missing: readonly number[], room: Buffer): PageBatch {
  const fresh = new PageBatch(refs.ids, room)
  for (let ref = 0; ref < refs.count; ref++) {
    const kind = missing.includes(ref) ? undefined : refs.filledBy(ref)
    if (kind !== undefined) fresh.markFilled(ref, kind)
  }
  return fresh
}
