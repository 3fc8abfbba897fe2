/**
 * Messages between the census and its worker thread. Tables are transferred, not copied.
 *
 *   census                         worker
 *     scan n, layout   ------>
 *     abandon n        ------>                  at any time; answered with `failed`
 *                      <------     found n | failed n
 */
import type { ProcessMemoryLayout } from '../guest/index.ts'
import type { SortedColumns } from '../page/index.ts'
import type { ErrorCode } from '../runtime/errors.ts'
import type { ScanInit, ScanResult } from './scan.ts'

export interface WorkerInit {
  pagesPerSecond: number
  /** While it is held, scans pause. */
  holdFlag: SharedArrayBuffer
}

export type ToWorker =
  | {
    kind: 'scan'; scan: number; layout: ProcessMemoryLayout; pageKey: Uint8Array; init: ScanInit; isUrgent: boolean
  }
  | { kind: 'abandon'; scan: number }

export type FromWorker =
  | { kind: 'found'; scan: number; result: Omit<ScanResult, 'table'>; table: SortedColumns }
  | { kind: 'failed'; scan: number; code: ErrorCode; message: string }
