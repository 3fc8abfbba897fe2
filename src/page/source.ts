import { assert } from '../runtime/assert.ts'
import type { PageVerifier } from './hasher.ts'
import { ID_BYTES, PAGE_BYTES, type PREFIX_BYTES } from './size.ts'

/** Where the bytes of a page came from: the names in `refsFilledBy`. */
export type PageSourceKind = 'sentBefore' | 'resident' | 'store' | 'peer' | 'source'

const KINDS: readonly PageSourceKind[] = ['sentBefore', 'resident', 'store', 'peer', 'source']

/** A batch of wanted pages: their ids, room for their bytes, and which source has filled each. */
export class PageBatch {
  readonly count: number
  /** `count` ids of 16 bytes. */
  readonly ids: Uint8Array
  /** Room for `count` pages of 4096 bytes; the content of unfilled pages is undefined. */
  readonly bytes: Buffer
  /** Known bytes of each id: all, or the first 8; the rest is then undefined. */
  readonly knownBytes: number
  readonly #filledBy: Uint8Array

  /** @param room memory for the pages; by default the batch allocates it. */
  constructor(ids: Uint8Array, room?: Buffer, knownBytes: typeof ID_BYTES | typeof PREFIX_BYTES = ID_BYTES) {
    assert(ids.length % ID_BYTES === 0, 'ids come whole')
    this.knownBytes = knownBytes
    this.count = ids.length / ID_BYTES
    this.ids = ids
    this.bytes = room ?? Buffer.allocUnsafe(this.count * PAGE_BYTES)
    assert(this.bytes.length >= this.count * PAGE_BYTES, 'a batch has room for its pages')
    this.#filledBy = new Uint8Array(this.count)
  }

  isFilled(index: number): boolean {
    return this.#filledBy[index] !== 0
  }

  /** The source that filled page `index`; undefined if it is missing. */
  filledBy(index: number): PageSourceKind | undefined {
    const kind = this.#filledBy[index]
    return kind === undefined || kind === 0 ? undefined : KINDS[kind - 1]
  }

  markFilled(index: number, kind: PageSourceKind): void {
    this.#filledBy[index] = KINDS.indexOf(kind) + 1
  }

  markMissing(index: number): void {
    this.#filledBy[index] = 0
  }

  /** The source of each page as a number, for another thread. */
  marks(): Uint8Array {
    return Uint8Array.from(this.#filledBy)
  }

  /** Adopts `marks` of the same batch from another thread. */
  setMarks(marks: Uint8Array): void {
    assert(marks.length === this.count, 'there is a mark for each page')
    this.#filledBy.set(marks)
  }

  /** Whether the id at `ids[offset]` equals the known bytes of the id of page `index`. */
  isOf(index: number, ids: Uint8Array, offset: number): boolean {
    const own = index * ID_BYTES
    for (let i = 0; i < this.knownBytes; i++) if (this.ids[own + i] !== ids[offset + i]) return false
    return true
  }

  /** Indexes of the missing pages. */
  missing(): number[] {
    const indices: number[] = []
    for (let i = 0; i < this.count; i++) if (this.#filledBy[i] === 0) indices.push(i)
    return indices
  }
}

/** A source of pages. It fills the pages of a batch that it has and leaves the others unchanged. */
export interface PageSource {
  readonly kind: PageSourceKind
  /** Whether it verifies the pages itself. */
  readonly isVerified?: boolean
  fill(batch: PageBatch, signal: AbortSignal): Promise<void>
}

/**
 * Hashes every page that `source` fills, and marks those with a wrong id as missing again: only the source guest's own
 * stream is trusted without a check. A source that verifies its pages itself is returned unchanged.
 */
export function verified(source: PageSource, hasher: PageVerifier): PageSource {
  if (source.isVerified === true) return source
  return {
    kind: source.kind,
    isVerified: true,
    async fill(batch, signal) {
      const before = batch.missing()
      await source.fill(batch, signal)
      takeBackWrong(batch, before.filter((index) => batch.isFilled(index)), hasher)
    },
  }
}

/** Hashes the pages at `indices` and marks those with a wrong id as missing again. */
function takeBackWrong(batch: PageBatch, indices: readonly number[], hasher: PageVerifier): void {
  const offsets = Uint32Array.from(indices, (index) => index * PAGE_BYTES)
  const ids = new Uint8Array(indices.length * ID_BYTES)
  hasher.hashLike(batch.bytes, offsets, indices.length, idsAt(batch.ids, indices), ids)
  for (let i = 0; i < indices.length; i++) {
    if (!batch.isOf(indices[i]!, ids, i * ID_BYTES)) batch.markMissing(indices[i]!)
  }
}

/** The ids at `indices` of `ids`, one after the other. */
export function idsAt(ids: Uint8Array, indices: ArrayLike<number>): Uint8Array {
  const picked = new Uint8Array(indices.length * ID_BYTES)
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * ID_BYTES
    for (let byte = 0; byte < ID_BYTES; byte++) picked[i * ID_BYTES + byte] = ids[from + byte]!
  }
  return picked
}

/** Asks each source in turn for the pages that the earlier ones did not fill. */
export function firstOf(sources: readonly PageSource[]): Pick<PageSource, 'fill'> {
  return {
    async fill(batch, signal) {
      for (const source of sources) {
        if (batch.missing().length === 0) return
        await source.fill(batch, signal)
      }
    },
  }
}
