import { PagemeshError } from '../runtime/errors.ts'
import type { GuestState } from './guest.ts'
import type { MigrationProgress } from './migration.ts'
import { asCount, asList, asRecord, asText } from './qmpvalue.ts'

/** Runs QMP commands: a connection or a session. */
export interface QmpAsker {
  execute(command: string, args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown>
  hmp(commandLine: string): Promise<string>
}

/** The guest's run state, in QEMU's words; `timeoutMs` as of `execute`. */
export async function queryState(qmp: QmpAsker, timeoutMs?: number): Promise<GuestState> {
  return asText(asRecord(await qmp.execute('query-status', {}, timeoutMs))['status']) as GuestState
}

/** State of the guest's migration; the status is `none` if there never was one. */
export async function queryMigration(qmp: QmpAsker): Promise<MigrationProgress> {
  const answer = asRecord(await qmp.execute('query-migrate'))
  const ram = asRecord(answer['ram'])
  const error = asText(answer['error-desc'])
  return {
    status: asText(answer['status']) || 'none',
    transferredBytes: asCount(ram['transferred']),
    remainingBytes: asCount(ram['remaining']),
    totalBytes: asCount(ram['total']),
    dirtySyncCount: asCount(ram['dirty-sync-count']),
    dirtyBytesPerSecond: asCount(ram['dirty-pages-rate']) * asCount(ram['page-size']),
    ...('total-time' in answer ? { totalMs: asCount(answer['total-time']) } : {}),
    ...('downtime' in answer ? { downtimeMs: asCount(answer['downtime']) } : {}),
    ...(error === '' ? {} : { error }),
  }
}

/** QEMU's reasons why it cannot migrate the guest now; empty before QEMU 6.0, which does not report them. */
export async function queryBlockers(qmp: QmpAsker): Promise<string[]> {
  return asList(asRecord(await qmp.execute('query-migrate'))['blocked-reasons']).map(asText)
}

/**
 * Whether QEMU still has a migration, even one that is over: until it is cleaned up QEMU refuses another one, and may
 * stay in `setup` for ever. QEMU before 6.0 does not report it.
 */
export async function holdsMigration(qmp: QmpAsker): Promise<boolean> {
  try {
    return asList(await qmp.execute('query-yank')).some((held) => asText(asRecord(held)['type']) === 'migration')
  } catch (error) {
    if (!(error instanceof PagemeshError) || error.code !== 'qmp-error') throw error
    return false
  }
}

const AT_REST = new Set(['none', 'completed', 'failed', 'cancelled'])

/** Whether a migration with this status is over, or never began. */
export function isAtRest(status: string): boolean {
  return AT_REST.has(status)
}
