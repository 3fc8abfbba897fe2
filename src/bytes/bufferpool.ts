/**
 * Buffers of one size that are used again: fresh memory costs more than what is done with it, since the kernel
 * must fill every page of it and the garbage collector is called for it.
 */
export class BufferPool {
  readonly #bytes: number
  readonly #sparesMax: number
  readonly #make: (bytes: number) => ArrayBufferLike
  readonly #spares: Buffer[] = []

  /**
   * @param bytes size of each.
   * @param sparesMax how many are kept for use again; more are left to the collector.
   * @param make memory of that size; shared memory may be filled by another thread.
   */
  constructor(bytes: number, sparesMax: number, make = (size: number): ArrayBufferLike => new ArrayBuffer(size)) {
    this.#bytes = bytes
    this.#sparesMax = sparesMax
    this.#make = make
  }

  /** A buffer of the pool's size, with anything in it. */
  take(): Buffer {
    return this.#spares.pop() ?? Buffer.from(this.#make(this.#bytes))
  }

  /** Gives back a buffer, or the beginning of one, that `take` gave; nobody may use it any more. */
  give(buffer: Buffer): void {
    if (this.#spares.length < this.#sparesMax) this.#spares.push(Buffer.from(buffer.buffer, 0, this.#bytes))
  }
}
