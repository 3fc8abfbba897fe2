/** What may wait, running work included: 64 MiB of pages that their owners must keep. */
const PAGES_MAX = 16_384
const TASKS_MAX = 64

/** One piece of work at a time, in order. What would have to wait behind too much is refused. */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve()
  #pages = 0
  #tasks = 0
  #isClosed = false

  /** Runs `work`, which holds `pages` pages of its caller's; resolves to `refused` if it is not run. */
  run<T>(pages: number, work: () => Promise<T>, refused: T): Promise<T> {
    const isFull = this.#tasks >= TASKS_MAX || (this.#tasks > 0 && this.#pages + pages > PAGES_MAX)
    return isFull ? Promise.resolve(refused) : this.append(pages, work, refused)
  }

  /** The same for what must not be refused for want of room. */
  append<T>(pages: number, work: () => Promise<T>, refused: T): Promise<T> {
    if (this.#isClosed) return Promise.resolve(refused)
    this.#pages += pages
    this.#tasks += 1
    const result = this.#last.then(() => (this.#isClosed ? refused : work())).finally(() => {
      this.#pages -= pages
      this.#tasks -= 1
    })
    // Whoever asked for this work hears how it failed; the next one only waits for its end.
    this.#last = result.catch(() => undefined)
    return result
  }

  /** Refuses what waits, and resolves when what runs is done. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
  }
}
