import { Worker } from 'node:worker_threads'

import type { GuestMemory, ProcessMemoryLayout } from '../guest/index.ts'
import { SortedTable, type PageHasher } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError, type ErrorCode } from '../runtime/errors.ts'
import { HoldFlag } from '../runtime/holdflag.ts'
import type { Log } from '../runtime/log.ts'
import { Throttle } from '../runtime/throttle.ts'
import type { FromWorker, ToWorker, WorkerInit } from './message.ts'
import { scanGuest, type ScanInit, type ScanResult } from './scan.ts'

type ScanOrder = Extract<ToWorker, { kind: 'scan' }>

export interface ScannerInit extends Omit<WorkerInit, 'holdFlag'> {
  /** The worker's module; tests pass a failing one. */
  workerUrl?: URL
}

/** Runs scans, one at a time: in a worker thread if it can read the memory, otherwise in this thread. */
export class Scanner {
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: ScannerInit
  readonly #hold = new HoldFlag()
  #worker: Worker | undefined
  #nextScan = 1

  constructor({ clock, log }: { clock: Clock; log: Log }, init: ScannerInit) {
    this.#clock = clock
    this.#log = log
    this.#init = init
  }

  /**
   * Scans `memory` once and takes over `init.previous`. Rejects with the signal's reason, with `guest-gone`, or with
   * `scan-failed` when the worker died; the next scan starts a new worker. A scan that is not urgent runs at low
   * priority, behind the guests' vCPUs.
   */
  scan(
    memory: GuestMemory, hasher: PageHasher, init: ScanInit, signal: AbortSignal, isUrgent = false,
  ): Promise<ScanResult> {
    const { layout } = memory
    if (layout !== undefined) {
      return this.#scanInWorker({ layout, pageKey: hasher.pageKey, init, isUrgent }, signal)
    }
    const throttle = new Throttle({ clock: this.#clock }, { rate: this.#init.pagesPerSecond })
    return scanGuest({ clock: this.#clock, hasher, hold: this.#hold, throttle }, memory, init, signal)
  }

  /** Pauses scans; returns a function that resumes them. */
  standBack(): () => void {
    return this.#hold.hold()
  }

  async stop(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #scanInWorker(order: Omit<ScanOrder, 'kind' | 'scan'>, signal: AbortSignal): Promise<ScanResult> {
    const { layout, init } = order
    signal.throwIfAborted()
    const scan = this.#nextScan++
    const worker = this.#worker ??= this.#startWorker()
    return new Promise((resolve, reject) => {
      const tell = (message: ToWorker, transfer: ArrayBuffer[] = []): void => worker.postMessage(message, transfer)
      const abandon = (): void => {
        settle()
        tell({ kind: 'abandon', scan })
        reject(signal.reason as Error)
      }
      const hear = (message: FromWorker): void => {
        if (message.scan !== scan) return
        settle()
        if (message.kind === 'failed') reject(scanFailed(layout, message.code, message.message))
        else resolve({ ...message.result, table: SortedTable.adopt(message.table) })
      }
      const die = (): void => {
        settle()
        reject(scanFailed(layout, 'scan-failed', 'The census worker ended before its time.'))
      }
      const settle = (): void => {
        worker.off('message', hear).off('exit', die)
        signal.removeEventListener('abort', abandon)
      }
      worker.on('message', hear).on('exit', die)
      signal.addEventListener('abort', abandon, { once: true })
      tell({ kind: 'scan', scan, ...order }, init.previous === undefined ? [] : [init.previous.buffer])
    })
  }

  #startWorker(): Worker {
    const { pagesPerSecond } = this.#init
    const workerData: WorkerInit = { pagesPerSecond, holdFlag: this.#hold.shared }
    const worker = new Worker(this.#init.workerUrl ?? workerModule(), { workerData, execArgv: [], name: 'census' })
    worker.unref()
    worker.on('error', (error) => this.#log.error('the census worker failed', { error: String(error) }))
    worker.on('exit', (code) => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#log.warn('the census worker ended; the next scan starts another', { code })
    })
    return worker
  }
}

/** The worker beside this file: .ts when run from source, .js when built. */
function workerModule(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
}

function scanFailed(layout: ProcessMemoryLayout, code: ErrorCode, message: string): PagemeshError {
  const fault = code === 'guest-gone' ? 'guest' : 'host'
  return new PagemeshError(code, message, { fault, phase: 'scanning', data: { guest: layout.guest } })
}
