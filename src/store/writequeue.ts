/** Pages of running and waiting work: 64 MiB, which the callers must keep in memory. */
const PAGES_MAX = 16_384
const TASKS_MAX = 64

/** Runs one piece of work at a time, in order. Work that would exceed PAGES_MAX is refused. */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve()
  #pages = 0
  #tasks = 0
  #isClosed = false

  /** Runs `work`, which keeps `pages` pages of its caller; resolves to `refused` if it is not run. */
  run<T>(pages: number, work: () => Promise<T>, refused: T): Promise<T> {
    const isFull = this.#tasks >= TASKS_MAX || (this.#tasks > 0 && this.#pages + pages > PAGES_MAX)
    return isFull ? Promise.resolve(refused) : this.append(pages, work, refused)
  }

  /** The same without the limit. */
  append<T>(pages: number, work: () => Promise<T>, refused: T): Promise<T> {
    if (this.#isClosed) return Promise.resolve(refused)
    this.#pages += pages
    this.#tasks += 1
    const result = this.#last.then(() => (this.#isClosed ? refused : work())).finally(() => {
      this.#pages -= pages
      this.#tasks -= 1
    })
    // The caller gets the error; the next work only waits for the end.
    this.#last = result.catch(() => undefined)
    return result
  }

  /** Refuses waiting work, and resolves when the running work is done. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
  }
}
