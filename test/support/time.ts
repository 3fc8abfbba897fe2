import { setImmediate } from 'node:timers'

import type { Clock, Timer } from '../../src/runtime/clock.ts'

/** The epoch of `wallTime`, fixed so that every run is the same. */
const EPOCH_MS = Date.UTC(2026, 0, 1)
/** Cancelled events are removed once there are this many, and more than others. */
const SWEEP_AT = 1024
const COMPLETE_WITHIN_MS = 3_600_000

interface Event extends Timer {
  at: number
  /** Orders events of the same time by their creation. */
  order: number
  /** Undefined once cancelled. */
  run: (() => void) | undefined
}

/** Derives a test clock's waits from its time and timers. */
export abstract class TimerClock implements Clock {
  abstract now(): number
  abstract wallTime(): number
  abstract after(delayMs: number, run: () => void): Timer

  every(periodMs: number, run: () => void): Timer {
    let timer = this.after(periodMs, () => again())
    const again = (): void => {
      timer = this.after(periodMs, () => again())
      run()
    }
    return { cancel: () => timer.cancel() }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const timer = this.after(delayMs, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      const abort = (): void => {
        timer.cancel()
        reject(signal!.reason as Error)
      }
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}

/**
 * Time stands still while anything runs and then jumps to the next event. After each event all promises that can settle
 * do so, with all that follows, before the next event: the same events give the same run.
 */
export class VirtualClock extends TimerClock {
  #now = 0
  #nextOrder = 0
  /** A binary heap, the earliest first. */
  #heap: Event[] = []
  #cancelled = 0
  /** Events that have run. */
  eventCount = 0

  /** Events still to come. */
  get pendingCount(): number {
    return this.#heap.length - this.#cancelled
  }

  override now(): number {
    return this.#now
  }

  override wallTime(): number {
    return EPOCH_MS + this.#now
  }

  override after(delayMs: number, run: () => void): Timer {
    const event: Event = {
      at: this.#now + Math.max(0, delayMs), order: this.#nextOrder++, run, cancel: () => this.#cancel(event),
    }
    this.#push(event)
    return event
  }

  /** Runs all events due until `untilMs`, and sets the time to it. */
  async run(untilMs: number): Promise<void> {
    await settled()
    while (this.runNext(untilMs)) await settled()
    this.#now = untilMs
  }

  /** Runs the next event due until `untilMs`, for worlds without promises; false if there is none. */
  runNext(untilMs: number): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.at <= untilMs; next = this.#heap[0]) {
      this.#pop()
      const { run } = next
      if (run === undefined) {
        this.#cancelled -= 1
        continue
      }
      next.run = undefined
      this.#now = next.at
      this.eventCount += 1
      run()
      return true
    }
    this.#now = Math.max(this.#now, untilMs)
    return false
  }

  /** Runs time forward until `work` is done, and returns its result; throws after an hour. */
  async complete<T>(work: Promise<T>, stepMs = 10): Promise<T> {
    const untilMs = this.#now + COMPLETE_WITHIN_MS
    let isDone = false
    const done = (): void => { isDone = true }
    work.then(done, done)
    await settled()
    while (!isDone) {
      if (this.#now > untilMs) throw new Error('waited for an hour in vain')
      await this.run(this.#now + stepMs)
    }
    return work
  }

  #cancel(event: Event): void {
    if (event.run === undefined) return
    event.run = undefined
    this.#cancelled += 1
    if (this.#cancelled < SWEEP_AT || this.#cancelled * 2 < this.#heap.length) return
    const rest = this.#heap.filter(({ run }) => run !== undefined)
    this.#heap = rest.sort(compare)
    this.#cancelled = 0
  }

  #push(event: Event): void {
    const heap = this.#heap
    let place = heap.length
    heap.push(event)
    while (place > 0) {
      const above = (place - 1) >>> 1
      if (compare(heap[above]!, event) <= 0) break
      heap[place] = heap[above]!
      place = above
    }
    heap[place] = event
  }

  /** Removes and returns the earliest event. */
  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let below = place * 2 + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && compare(heap[below + 1]!, heap[below]!) < 0) below += 1
      if (compare(heap[below]!, last) >= 0) break
      heap[place] = heap[below]!
      place = below
    }
    heap[place] = last
  }
}

function compare(a: Event, b: Event): number {
  return a.at - b.at || a.order - b.order
}

/** One turn of Node's event loop: after it every promise that can settle has settled, with all that follows. */
function settled(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}
