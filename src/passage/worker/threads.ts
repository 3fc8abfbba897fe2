import { Worker } from 'node:worker_threads'

import { CORES_TO_SPARE_MIN } from '../../host/cores.ts'
import type { Log } from '../../runtime/log.ts'
import type { FromThread, ThreadInit, ToThread } from './message.ts'

/** Of JavaScript's own memory; what passages buffer is outside of it and has bounds of its own. */
const HEAP_MIB_MAX = 512

/** As many as a handoff of four channels needs are warmed up; more are started where they are needed. */
const WARM_THREADS_MAX = 5

/** Whose words a thread's are. */
export interface ThreadListener {
  hear(message: FromThread): void
  /** The thread has ended, and the passage with it. */
  died(): void
}

/** A worker thread with one passage. */
export interface PassageThread {
  post(message: ToThread, transfer?: ArrayBuffer[]): void
  /** Its passage is over: the thread may have another. */
  free(): void
  /** Ends the thread, and whatever it does. */
  kill(): void
}

interface Seat {
  worker: Worker
  listener: ThreadListener | undefined
}

export interface PassageThreadsInit extends ThreadInit {
  /** Threads at once; 0: passages run in the agent's thread. */
  count: number
  /** The worker's module; given by tests that need one that fails. */
  workerUrl?: URL
}

/** The worker threads of passages. They are started when they are needed first, and kept. */
export class PassageThreads {
  readonly #log: Log
  readonly #init: PassageThreadsInit
  readonly #seats = new Set<Seat>()
  #isStopped = false

  constructor(components: { log: Log }, init: PassageThreadsInit) {
    this.#log = components.log
    this.#init = init
  }

  /** A thread for one passage; undefined where all are taken. */
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
   * Lets the threads of a handoff do what a passage does, so that the first one finds them started and their code
   * compiled: one after the other, so that the guests hardly feel it.
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
    const { pageKey, workerUrl = workerModule() } = this.#init
    const workerData: ThreadInit = { pageKey }
    const worker = new Worker(workerUrl, {
      workerData, execArgv: [], name: 'passage', resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
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
    // It never rejects, and `exit` tells.
    void worker.terminate()
  }
}

/**
 * How many threads `handoff.threads` comes to on a machine: where there are processors to spare, all but one may carry
 * passages. One stream alone is faster in the agent's own thread. Pure.
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
