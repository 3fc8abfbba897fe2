import { BufferPool } from '../bytes/bufferpool.ts'
import {
  ID_BYTES, KeysVerifier, PAGE_BYTES, PageBatch, type PageHasher, type PageSource, type PageSourceKind,
  type PageVerifier,
} from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { BATCH_LIMITS, BATCH_PAGES_MAX } from './batch.ts'
import type { AssembledBatch } from './decoder.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'

/** A source that does not answer in this time counts as a miss: the other end has all pages, and the guest waits. */
const SOURCE_MS_MAX = 2000

export function noRefsFilled(): Record<PageSourceKind, number> {
  return { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 }
}

/**
 * Fills in the pages of a batch's refs, and hashes every page of the batch once, in the memory that QEMU will get. A
 * source's page is accepted only if its hash is right; a wrong page is taken from the next source.
 */
export class Resolver {
  readonly #clock: Clock
  readonly #hasher: PageHasher
  /** Hashes the pages of refs: some may be public ones. */
  readonly #verifier: PageVerifier
  readonly #sources: readonly PageSource[]
  /** Shared memory, because the sources may be in another thread. */
  readonly #rooms = new BufferPool(BATCH_LIMITS.streamBytes, WINDOW_BATCHES_MAX, (size) => new SharedArrayBuffer(size))
  /** Sources with an answer overdue: they are not asked meanwhile. */
  readonly #late = new Set<PageSource>()
  readonly #filledBy = noRefsFilled()
  /** Pages of a batch that are hashed in one call: their numbers, offsets and ids. */
  readonly #pages = new Uint32Array(BATCH_PAGES_MAX)
  readonly #offsets = new Uint32Array(BATCH_PAGES_MAX)
  readonly #ids = Buffer.alloc(BATCH_PAGES_MAX * ID_BYTES)
  /** The ids that those among them have which are refs. */
  readonly #wanted = Buffer.alloc(BATCH_PAGES_MAX * ID_BYTES)

  /** @param components.sources nearest first; they need not verify their pages. */
  constructor(
    components: {
      clock: Clock; hasher: PageHasher; publicHasher?: PageHasher | undefined; sources: readonly PageSource[]
    },
  ) {
    const { clock, hasher, publicHasher, sources } = components
    const hashers = [hasher, publicHasher ?? []].flat()
    this.#clock = clock
    this.#hasher = hasher
    this.#verifier = new KeysVerifier(() => hashers)
    this.#sources = sources
  }

  get filledBy(): Record<PageSourceKind, number> {
    return { ...this.#filledBy }
  }

  /** Fills refs from the sources; returns those that no source had, or only wrong pages of. */
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
        this.#put(batch, refs, before)
      } else {
        // A failed or late source may still write into this memory: continue with other memory.
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

  /** Fills in the pages of these refs that the other end sent. The digest tells whether they are right. */
  accept(batch: AssembledBatch, refs: readonly number[], pages: Buffer): void {
    refs.forEach((ref, i) => {
      const page = batch.refPages[ref]!
      pages.copy(batch.stream, batch.pageOffsets[page], i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
      this.#pages[i] = page
      batch.refIds.copy(this.#wanted, i * ID_BYTES, ref * ID_BYTES, (ref + 1) * ID_BYTES)
    })
    this.#hashRefs(batch, refs.length)
    this.#filledBy.source += refs.length
  }

  /** Hashes the pages that came as literals or were sent before. */
  #hashOwn(batch: AssembledBatch): void {
    let count = 0
    for (let page = 0, ref = 0; page < batch.pageCount; page++) {
      if (batch.refPages[ref] === page) ref += 1
      else this.#pages[count++] = page
    }
    this.#hash(batch, count)
  }

  /** Fills in the pages that a source gave, and marks wrong ones as missing again. */
  #put(batch: AssembledBatch, refs: PageBatch, wanted: readonly number[]): void {
    let count = 0
    for (const ref of wanted) {
      if (!refs.isFilled(ref)) continue
      const page = batch.refPages[ref]!
      refs.bytes.copy(batch.stream, batch.pageOffsets[page], ref * PAGE_BYTES, (ref + 1) * PAGE_BYTES)
      batch.refIds.copy(this.#wanted, count * ID_BYTES, ref * ID_BYTES, (ref + 1) * ID_BYTES)
      this.#pages[count++] = page
    }
    this.#hashRefs(batch, count)
    for (const ref of wanted) {
      if (!refs.isOf(ref, batch.pageIds, batch.refPages[ref]! * ID_BYTES)) refs.markMissing(ref)
    }
  }

  /** Hashes the first `count` of `#pages` of the batch into `pageIds`, by the key of the guest's own pages. */
  #hash(batch: AssembledBatch, count: number): void {
    this.#locate(batch, count)
    this.#hasher.hashScattered(batch.stream, this.#offsets, count, this.#ids)
    this.#keepIds(batch, count)
  }

  /** The same for pages of refs, by the key that made the id which stands at the same place of `#wanted`. */
  #hashRefs(batch: AssembledBatch, count: number): void {
    this.#locate(batch, count)
    this.#verifier.hashLike(batch.stream, this.#offsets, count, this.#wanted, this.#ids)
    this.#keepIds(batch, count)
  }

  #locate({ pageOffsets }: AssembledBatch, count: number): void {
    for (let i = 0; i < count; i++) this.#offsets[i] = pageOffsets[this.#pages[i]!]!
  }

  #keepIds({ pageIds }: AssembledBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const to = this.#pages[i]! * ID_BYTES
      const from = i * ID_BYTES
      for (let at = 0; at < ID_BYTES; at++) pageIds[to + at] = this.#ids[from + at]!
    }
  }

  /** Asks a source to fill refs; false if it failed or did not answer in time. */
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

/** Asks a source; a failure counts as a miss. */
async function fillFrom(source: PageSource, refs: PageBatch, signal: AbortSignal): Promise<boolean> {
  try {
    await source.fill(refs, signal)
    return true
  } catch {
    // The next source is asked.
    return false
  }
}

/** A copy of the batch in other memory, with only the refs of `missing` unfilled: the others are already in place. */
function unfilled(refs: PageBatch, missing: readonly number[], room: Buffer): PageBatch {
  const fresh = new PageBatch(refs.ids, room)
  for (let ref = 0; ref < refs.count; ref++) {
    const kind = missing.includes(ref) ? undefined : refs.filledBy(ref)
    if (kind !== undefined) fresh.markFilled(ref, kind)
  }
  return fresh
}
