import type { GuestState, MigrationProgress } from './index.ts'
import type { QmpClient } from './qmp.ts'
import { asCount, asRecord, asText } from './qmpvalue.ts'

/** What the guest is doing now, in QEMU's words. */
export async function queryState(qmp: QmpClient): Promise<GuestState> {
  return asText(asRecord(await qmp.execute('query-status'))['status']) as GuestState
}

/** Where the guest's migration stands; the status is `none` when there never was one. */
export async function queryMigration(qmp: QmpClient): Promise<MigrationProgress> {
  const answer = asRecord(await qmp.execute('query-migrate'))
  const ram = asRecord(answer['ram'])
  const error = asText(answer['error-desc'])
  return {
    status: asText(answer['status']) || 'none',
    transferredBytes: asCount(ram['transferred']),
    remainingBytes: asCount(ram['remaining']),
    totalBytes: asCount(ram['total']),
    dirtySyncCount: asCount(ram['dirty-sync-count']),
    ...('total-time' in answer ? { totalMs: asCount(answer['total-time']) } : {}),
    ...('downtime' in answer ? { downtimeMs: asCount(answer['downtime']) } : {}),
    ...(error === '' ? {} : { error }),
  }
}

/** Calls `listener` with each new status of the migration; needs the capability `events`. */
export function followStatus(qmp: QmpClient, listener: (status: string) => void): void {
  qmp.onEvent((event) => {
    if (event.name === 'MIGRATION') listener(asText(event.data['status']))
  })
}

const AT_REST = new Set(['none', 'completed', 'failed', 'cancelled'])

/** Whether a migration with this status is over, or never began. */
export function isAtRest(status: string): boolean {
  return AT_REST.has(status)
}
