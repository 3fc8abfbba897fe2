/** The most RAM blocks in a stream: QEMU has about ten, a few hundred with many memory devices. */
export const BLOCKS_MAX = 1024

/** The guest's RAM blocks as the stream announced them: names as bytes, lengths in bytes. */
export class BlockTable {
  readonly #names: Uint8Array[] = []
  readonly #lengths: number[] = []
  #largest = -1

  get count(): number {
    return this.#lengths.length
  }

  /** Index of the block with the most bytes, -1 while there is none. */
  get largest(): number {
    return this.#largest
  }

  /** Bytes of block `index`; 0 for an invalid index, so that no page lies in it. */
  length(index: number): number {
    return this.#lengths[index] ?? 0
  }

  /** All blocks, their names in Latin-1. */
  list(): { name: string; bytes: number }[] {
    return this.#names.map((name, index) => ({ name: Buffer.from(name).toString('latin1'), bytes: this.length(index) }))
  }

  clear(): void {
    this.#names.length = 0
    this.#lengths.length = 0
    this.#largest = -1
  }

  add(name: Uint8Array, length: number): void {
    // `slice` of a Buffer would be a view, and the caller may reuse its memory.
    this.#names.push(Uint8Array.from(name))
    this.#lengths.push(length)
    if (length > this.length(this.#largest)) this.#largest = this.#lengths.length - 1
  }

  /**
   * The block whose counted name begins at `bytes[at]` (the length byte), or -1. Searches after block `after` first:
   * QEMU walks the blocks in the order in which it announced them.
   */
  find(bytes: Uint8Array, at: number, after: number): number {
    const count = this.#names.length
    let index = after
    for (let looked = 0; looked < count; looked++) {
      index = index + 1 < count ? index + 1 : 0
      if (sameName(this.#names[index]!, bytes, at)) return index
    }
    return -1
  }
}

function sameName(name: Uint8Array, bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== name.length) return false
  // From the end: names of similar devices differ there.
  for (let i = name.length - 1; i >= 0; i--) if (bytes[at + 1 + i] !== name[i]) return false
  return true
}
