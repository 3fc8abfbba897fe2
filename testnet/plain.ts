/**
 * QEMU's own migration, without Pagemesh: the reference for Pagemesh's figures, and the proof that the lab works.
 *
 *   source QEMU on host a                          destination QEMU on host b, -incoming defer
 *                        <--- settings --->
 *                                                  migrate-incoming tcp:B:PORT
 *   migrate tcp:B:PORT  ------ RAM, devices ---->
 *   [migrate-start-postcopy]
 *   completed                                      completed
 */
import type { QmpClient } from '../src/guest/index.ts'
import { systemClock, type Clock } from '../src/runtime/clock.ts'
import { PagemeshError } from '../src/runtime/errors.ts'
import { LabError } from './laberror.ts'
import { sentDuring } from './machine/interfaces.ts'
import type { LabNetwork } from './machine/network.ts'
import type { LabGuest } from './machine/qemu.ts'
import { waitFor, type WaitOptions } from './wait.ts'

/**
 * Plain pre-copy, pre-copy that sends changes within pages (xbzrle), pre-copy over several connections, plain or with
 * zstd, or post-copy.
 */
export type PlainMode = 'precopy' | 'xbzrle' | 'multifd' | 'multifd-zstd' | 'postcopy'

export interface PlainOptions {
  source: LabGuest
  /** The waiting QEMU, on another host. */
  destination: LabGuest
  /** Its counters give `wireBytes`. */
  network: LabNetwork
  mode: PlainMode
  /** Post-copy begins after this many passes over memory; default 1, and 0 means at once. */
  passesBeforePostcopy?: number
  /** Default 300 s. */
  timeoutMs?: number
  clock?: Clock
}

export interface PlainResult {
  mode: PlainMode
  totalMs: number
  downtimeMs: number
  /** Bytes that the source host's interface sent; undefined if the network does not count. */
  wireBytes: number | undefined
  /** Bytes that QEMU reports as sent. */
  qemuBytes: number
  /**
   * Why the destination's process ended although the source sent everything: QEMU broke the guest. The figures hold.
   */
  loss: string | undefined
}

/** Far above every link of the lab, so that the link is the limit. */
const BANDWIDTH_BYTES_PER_SECOND = 100e9
/** QEMU's own default. */
export const MULTIFD_CHANNELS = 2
const TIMEOUT_MS = 300_000

interface MigrationInfo {
  status?: string
  'total-time'?: number
  downtime?: number
  'error-desc'?: string
  'socket-address'?: { port: string }[]
  ram?: { transferred: number; 'dirty-sync-count': number }
}

/**
 * Migrates a running guest and resolves when both ends report completion, or when the source does and the destination's
 * process has ended. Throws LabError `lab-migration-failed`.
 */
export async function migratePlain(options: PlainOptions): Promise<PlainResult> {
  const { source, destination, network, mode, clock = systemClock, timeoutMs = TIMEOUT_MS } = options
  if (source.host === undefined || destination.host === undefined) throw failed('both guests need a host')
  await applySettings(source.qmp, mode)
  await applySettings(destination.qmp, mode)
  await destination.qmp.execute('migrate-incoming', { uri: `tcp:${destination.host.address}:0` })
  const port = (await queryMigrate(destination.qmp))['socket-address']?.[0]?.port
  if (port === undefined) throw failed('the destination does not say where it listens')

  const uri = `tcp:${destination.host.address}:${port}`
  const waiting = { clock, timeoutMs, what: `${mode} of guest ${source.name} to complete` }
  const { result: { info, loss }, sentBytes } = await sentDuring(network, source.host.name, async () => {
    await source.qmp.execute('migrate', { uri })
    if (mode === 'postcopy') await goPostcopy(source.qmp, options.passesBeforePostcopy ?? 1, waiting)
    const info = await waitFor(() => completed(source.qmp), waiting)
    return { info, loss: await lossOf(destination, waiting) }
  })
  // An agent refuses to move a guest whose QEMU would still use several connections.
  await applySettings(source.qmp, 'precopy')
  return {
    mode,
    totalMs: info['total-time'] ?? 0,
    downtimeMs: info.downtime ?? 0,
    wireBytes: sentBytes,
    qemuBytes: info.ram?.transferred ?? 0,
    loss,
  }
}

async function goPostcopy(qmp: QmpClient, passes: number, waiting: WaitOptions): Promise<void> {
  // The count of dirty syncs is one while the first pass runs.
  await waitFor(async () => {
    const info = await queryMigrate(qmp)
    return (info.ram?.['dirty-sync-count'] ?? 0) > passes || info.status === 'completed' ? true : undefined
  }, waiting)
  await qmp.execute('migrate-start-postcopy')
}

/**
 * Before its first migration all memory of a guest counts as dirty, and the emulator takes about a millisecond per MiB
 * to mark it clean, a time that no measured way should include. This starts a migration to nowhere and cancels it,
 * which has no other effect.
 */
export async function clearDirtyLog(guest: LabGuest, clock: Clock = systemClock): Promise<void> {
  // An exec target has no return path.
  await guest.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'return-path', state: false }] })
  await guest.qmp.execute('migrate', { uri: 'exec:cat > /dev/null' })
  const status = async (): Promise<string | undefined> => (await queryMigrate(guest.qmp)).status
  const waiting = { clock, timeoutMs: TIMEOUT_MS }
  await waitFor(async () => await status() === 'setup' ? undefined : true, {
    ...waiting, what: `a migration of ${guest.name} to begin`,
  })
  await guest.qmp.execute('migrate_cancel')
  await waitFor(async () => await status() === 'cancelled' ? true : undefined, {
    ...waiting, what: `a migration of ${guest.name} to be cancelled`,
  })
}

/** Waits for the destination to complete; undefined if it does, or how it ended. */
async function lossOf(destination: LabGuest, waiting: WaitOptions): Promise<string | undefined> {
  try {
    await waitFor(() => completed(destination.qmp), waiting)
    await applySettings(destination.qmp, 'precopy')
    return undefined
  } catch (error) {
    if (error instanceof PagemeshError && error.code === 'guest-gone') return error.message
    throw error
  }
}

/** Sets every relevant capability, so that no setting of an earlier migration remains. */
async function applySettings(qmp: QmpClient, mode: PlainMode): Promise<void> {
  const states: Record<string, boolean> = {
    'return-path': true, 'multifd': mode.startsWith('multifd'), 'postcopy-ram': mode === 'postcopy',
    'xbzrle': mode === 'xbzrle',
  }
  await qmp.execute('migrate-set-capabilities', {
    capabilities: Object.entries(states).map(([capability, state]) => ({ capability, state })),
  })
  await qmp.execute('migrate-set-parameters', {
    'max-bandwidth': BANDWIDTH_BYTES_PER_SECOND,
    'multifd-channels': MULTIFD_CHANNELS,
    'multifd-compression': mode === 'multifd-zstd' ? 'zstd' : 'none',
  })
}

async function queryMigrate(qmp: QmpClient): Promise<MigrationInfo> {
  return await qmp.execute('query-migrate') as MigrationInfo
}

async function completed(qmp: QmpClient): Promise<MigrationInfo | undefined> {
  const info = await queryMigrate(qmp)
  if (info.status === 'completed') return info
  if (info.status === 'failed' || info.status === 'cancelled' || info.status === 'postcopy-paused') {
    throw failed(`QEMU says ${info.status}: ${info['error-desc'] ?? 'no reason given'}`)
  }
  return undefined
}

function failed(why: string): LabError {
  return new LabError('lab-migration-failed', `The migration by QEMU alone did not succeed: ${why}.`, {
    advice: 'Look at the standard error of both QEMU processes.',
  })
}
