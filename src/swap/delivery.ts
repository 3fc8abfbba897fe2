import { closeUp, ID_BYTES, PAGE_BYTES } from '../page/index.ts'
import type { ArrivedPages, FetchInit } from './api.ts'

/** Delivers pages, one batch at a time and in order; each waits until the one before was taken. */
export class Delivery {
  readonly #deliver: FetchInit['deliver']
  readonly #onTaken: () => void
  #last: Promise<void> = Promise.resolve()
  #error: { reason: unknown } | undefined
  #waiting = 0
  #isOver = false

  /** @param onTaken called after each batch that was taken. */
  constructor(deliver: FetchInit['deliver'], onTaken: () => void) {
    this.#deliver = deliver
    this.#onTaken = onTaken
  }

  /** Batches not taken yet. */
  get waiting(): number {
    return this.#waiting
  }

  add(pages: ArrivedPages): void {
    if (pages.count === 0) return
    this.#waiting += 1
    this.#last = this.#last.then(async () => {
      if (!this.#isOver && this.#error === undefined) await this.#deliver(pages)
    }).catch((reason: unknown) => {
      this.#error ??= { reason }
    }).then(() => {
      this.#waiting -= 1
      this.#onTaken()
    })
  }

  /** Rethrows the receiver's error, if there was one. */
  throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error.reason
  }

  /** Nothing more is delivered. */
  end(): void {
    this.#isOver = true
  }
}

/** Moves the pages for which `isKept` is true to the front, and returns those. */
export function keepPages(pages: ArrivedPages, isKept: (index: number) => boolean): ArrivedPages {
  const { ids, bytes, indices } = pages
  const kept: number[] = []
  for (let page = 0; page < pages.count; page++) if (isKept(indices[page]!)) kept.push(page)
  closeUp(ids, kept, ID_BYTES)
  closeUp(bytes, kept, PAGE_BYTES)
  return {
    count: kept.length,
    ids: ids.subarray(0, kept.length * ID_BYTES),
    bytes: bytes.subarray(0, kept.length * PAGE_BYTES),
    indices: Uint32Array.from(kept, (page) => indices[page]!),
  }
}

/** A copy of the pages at `places`, which are page `indices` of another fetch. */
export function copyPages(
  { ids, bytes }: ArrivedPages, places: readonly number[], indices: readonly number[],
): ArrivedPages {
  const copy: ArrivedPages = {
    count: places.length,
    ids: Buffer.allocUnsafe(places.length * ID_BYTES),
    bytes: Buffer.allocUnsafe(places.length * PAGE_BYTES),
    indices: Uint32Array.from(indices),
  }
  places.forEach((place, page) => {
    ids.copy(copy.ids, page * ID_BYTES, place * ID_BYTES, (place + 1) * ID_BYTES)
    bytes.copy(copy.bytes, page * PAGE_BYTES, place * PAGE_BYTES, (place + 1) * PAGE_BYTES)
  })
  return copy
}
