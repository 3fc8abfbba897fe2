/**
 * Reusable buffers of one size: fresh memory costs more than the work on it, since the kernel zeroes every page and the
 * garbage collector runs for it.
 */
export class BufferPool {
  readonly #bytes: number
  readonly #sparesMax: number
  readonly #make: (bytes: number) => ArrayBufferLike
  readonly #spares: Buffer[] = []

  /**
   * @param bytes size of each.
   * @param sparesMax how many are kept for reuse; the collector gets the rest.
   * @param make allocates that many bytes; shared memory can be filled by another thread.
   */
  constructor(bytes: number, sparesMax: number, make = (size: number): ArrayBufferLike => new ArrayBuffer(size)) {
    this.#bytes = bytes
    this.#sparesMax = sparesMax
    this.#make = make
  }

  /** A buffer of the pool's size, with arbitrary contents. */
  take(): Buffer {
    return this.#spares.pop() ?? Buffer.from(this.#make(this.#bytes))
  }

  /** Returns a buffer of `take`, or a view of its start; the caller may not use it any more. */
  give(buffer: Buffer): void {
    if (this.#spares.length < this.#sparesMax) this.#spares.push(Buffer.from(buffer.buffer, 0, this.#bytes))
  }
}
