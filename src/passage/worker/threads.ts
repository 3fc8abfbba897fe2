import { Worker } from 'node:worker_threads'

import { CORES_TO_SPARE_MIN } from '../../host/cores.ts'
import type { Log } from '../../runtime/log.ts'
import type { FromThread, ToThread } from './message.ts'

/** Limit of V8's heap; the passages' buffers are outside of it and have their own bounds. */
const HEAP_MIB_MAX = 512

/** Threads to warm up: enough for a handoff of four channels. More are started when needed. */
const WARM_THREADS_MAX = 5

/** Receives a thread's messages. */
export interface ThreadListener {
  hear(message: FromThread): void
  /** The thread has ended, and with it the passage. */
  died(): void
}

/** A worker thread with one passage. */
export interface PassageThread {
  post(message: ToThread, transfer?: ArrayBuffer[]): void
  /** The passage is over: the thread may run another one. */
  free(): void
  /** Ends the thread and its passage. */
  kill(): void
}

interface Seat {
  worker: Worker
  listener: ThreadListener | undefined
}

export interface PassageThreadsInit {
  /** Most threads; 0: passages run in the agent's thread. */
  count: number
  /** The worker's module; tests pass a failing one. */
  workerUrl?: URL
}

/** The worker threads of passages. They are started on first need, and kept. */
export class PassageThreads {
  readonly #log: Log
  readonly #init: PassageThreadsInit
  readonly #seats = new Set<Seat>()
  #isStopped = false

  constructor(components: { log: Log }, init: PassageThreadsInit) {
    this.#log = components.log
    this.#init = init
  }

  /** A thread for one passage; undefined if all are busy. */
  take(listener: ThreadListener): PassageThread | undefined {
    const seat = [...this.#seats].find((idle) => idle.listener === undefined) ?? this.#start()
    if (seat === undefined) return undefined
    seat.listener = listener
    return {
      post: (message, transfer = []) => seat.worker.postMessage(message, transfer),
      free: () => { if (seat.listener === listener) seat.listener = undefined },
      kill: () => this.#kill(seat),
    }
  }

  /**
   * Starts the threads of a handoff and warms up their code, so that the first handoff finds them ready. One after the
   * other, so that guests hardly notice.
   */
  async warmUp(): Promise<void> {
    const warm: PassageThread[] = []
    while (warm.length < Math.min(this.#init.count, WARM_THREADS_MAX)) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const thread = this.take({ hear: () => resolve(true), died: () => resolve(false) })
      if (thread === undefined) break
      warm.push(thread)
      thread.post({ kind: 'warmUp' })
      if (!await promise) break
    }
    for (const thread of warm) thread.free()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all([...this.#seats].map(({ worker }) => worker.terminate()))
  }

  #start(): Seat | undefined {
    if (this.#isStopped || this.#seats.size >= this.#init.count) return undefined
    const { workerUrl = workerModule() } = this.#init
    const worker = new Worker(workerUrl, {
      execArgv: [], name: 'passage', resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    })
    const seat: Seat = { worker, listener: undefined }
    this.#seats.add(seat)
    worker.unref()
    worker.on('message', (message: FromThread) => seat.listener?.hear(message))
    worker.on('error', (error) => this.#log.error('a passage thread failed', { error: String(error) }))
    worker.on('exit', () => {
      this.#seats.delete(seat)
      seat.listener?.died()
    })
    return seat
  }

  #kill({ worker }: Seat): void {
    // Never rejects; `exit` reports the end.
    void worker.terminate()
  }
}

/**
 * Number of threads for `handoff.threads` on a machine. `auto`: with processors to spare, all but one may carry
 * passages; otherwise none, because a single stream is faster in the agent's thread. Pure.
 */
export function threadCount(wanted: number | 'auto', machine: { cores: number; hasKernel: boolean }): number {
  if (!machine.hasKernel) return 0
  if (wanted !== 'auto') return wanted
  return machine.cores < CORES_TO_SPARE_MIN ? 0 : machine.cores - 1
}

/** The worker beside this file: .ts when run from source, .js when built. */
function workerModule(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
}
