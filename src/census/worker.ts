/** The census' worker thread: scans the memories of other processes, one after the other. */
import { parentPort, workerData } from 'node:worker_threads'

import { openProcessMemory } from '../guest/index.ts'
import { createPageHasher } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { systemClock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { HoldFlag } from '../runtime/holdflag.ts'
import { Throttle } from '../runtime/throttle.ts'
import type { FromWorker, ToWorker, WorkerInit } from './message.ts'
import { ThreadPriority } from './priority.ts'
import { scanGuest } from './scan.ts'

const port = parentPort
assert(port !== null, 'the census worker runs in a worker thread')
const { pagesPerSecond, holdFlag } = workerData as WorkerInit
const hold = new HoldFlag(holdFlag)
const priority = new ThreadPriority()
const running = new Map<number, AbortController>()

port.on('message', (message: ToWorker) => {
  // Never rejects: a failed scan is answered with `failed`.
  if (message.kind === 'scan') void scan(message)
  else running.get(message.scan)?.abort(abandoned())
})

function abandoned(): PagemeshError {
  return new PagemeshError('cancelled', 'The scan was abandoned.', { fault: 'cancelled' })
}

async function scan(order: ToWorker & { kind: 'scan' }): Promise<void> {
  const abort = new AbortController()
  running.set(order.scan, abort)
  priority.set(order.isUrgent)
  try {
    answer(await scanLayout(order, abort.signal))
  } catch (error) {
    const code = error instanceof PagemeshError ? error.code : 'scan-failed'
    answer({ kind: 'failed', scan: order.scan, code, message: error instanceof Error ? error.message : String(error) })
  } finally {
    running.delete(order.scan)
  }
}

async function scanLayout(order: ToWorker & { kind: 'scan' }, signal: AbortSignal): Promise<FromWorker> {
  const memory = openProcessMemory(order.layout)
  try {
    const throttle = new Throttle({ clock: systemClock }, { rate: pagesPerSecond })
    const components = { clock: systemClock, hasher: createPageHasher(order.pageKey), hold, throttle }
    const { table, ...result } = await scanGuest(components, memory, order.init, signal)
    return { kind: 'found', scan: order.scan, result, table: table.release() }
  } finally {
    await memory.close()
  }
}

function answer(message: FromWorker): void {
  const transfer = message.kind === 'failed' ? [] : [
    message.table.high.buffer, message.table.low.buffer, message.table.values.buffer,
    message.table.starts.buffer, message.result.fingerprints.buffer,
  ]
  port!.postMessage(message, transfer)
}
