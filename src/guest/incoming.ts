/**
 * The destination guest's side of a migration: a QEMU that waits with `-incoming defer`.
 *
 *   inmigrate -- prepare --> inmigrate -- begin --> loading --> paused -- release --> running     (precopy)
 *                                                       `-----------------> running               (postcopy)
 *
 * Goals: never two running guests. In precopy QEMU would start the guest by itself as soon as it is loaded, even if
 * the source meanwhile decided otherwise; `stop` said to a waiting QEMU makes it stay paused instead (it clears
 * QEMU's `autostart`), and the agent lets it run once the source has given it up. In postcopy the source has by
 * then handed over for good, and QEMU's own start is right.
 */
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { GuestState, IncomingMigration, MigrationMode } from './index.ts'
import type { QmpClient } from './qmp.ts'
import { asText } from './qmpvalue.ts'
import { MigrationSettings } from './settings.ts'
import { followStatus, queryMigration, queryState } from './status.ts'

export interface IncomingInit {
  guest: string
  owner: { uid: number; gid: number }
  /** Whether QEMU was started with -S: its operator wants the guest to stay paused. */
  startsPaused: boolean
}

export function createIncoming(components: { qmp: QmpClient; log: Log }, init: IncomingInit): IncomingMigration {
  return new QemuIncoming(components, init)
}

class QemuIncoming implements IncomingMigration {
  readonly owner: { uid: number; gid: number }
  readonly gone: Promise<Error>
  readonly #guest: string
  readonly #startsPaused: boolean
  readonly #qmp: QmpClient
  readonly #log: Log
  #settings: MigrationSettings | undefined
  /** Whether we told QEMU not to start the guest by itself. */
  #stopped = false

  constructor({ qmp, log }: { qmp: QmpClient; log: Log }, { guest, owner, startsPaused }: IncomingInit) {
    this.owner = owner
    this.gone = qmp.lost
    this.#guest = guest
    this.#startsPaused = startsPaused
    this.#qmp = qmp
    this.#log = log
  }

  async prepare(options: { mode: MigrationMode }): Promise<void> {
    const state = await queryState(this.#qmp)
    if (state !== 'inmigrate') throw notWaiting(this.#guest, `its state is ${state}`, { state })
    const { status } = await queryMigration(this.#qmp)
    if (status !== 'none') throw notWaiting(this.#guest, `its incoming migration is ${status} already`, { status })
    const settings = await MigrationSettings.read(this.#qmp)
    const credentials = asText(settings.parameter('tls-creds'))
    if (credentials !== '') throw notWaiting(this.#guest, 'it expects TLS from QEMU (tls-creds)', { credentials })
    this.#settings = settings
    await settings.setCapabilities({
      events: true,
      'return-path': true,
      'postcopy-ram': options.mode === 'postcopy',
      // Images are opened for writing when the guest is let run, not while the source may still go on.
      'late-block-activate': options.mode === 'precopy',
      // What the source is refused for; here it would make QEMU wait for channels that never come.
      multifd: false, compress: false, 'x-colo': false, 'postcopy-preempt': false,
    })
    if (options.mode === 'precopy') {
      await this.#qmp.execute('stop')
      this.#stopped = true
    }
  }

  async begin(socketPath: string): Promise<void> {
    await this.#qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` })
  }

  async recover(socketPath: string): Promise<void> {
    await this.#qmp.execute('migrate-recover', { uri: `unix:${socketPath}` })
  }

  state(): Promise<GuestState> {
    return queryState(this.#qmp)
  }

  async progress(): Promise<{ status: string; error?: string }> {
    const { status, error } = await queryMigration(this.#qmp)
    return error === undefined ? { status } : { status, error }
  }

  onStatus(listener: (status: string) => void): void {
    followStatus(this.#qmp, listener)
  }

  async release(): Promise<void> {
    if (!this.#stopped || this.#startsPaused) return
    const state = await queryState(this.#qmp)
    // `cont` to a guest that is still loading would only let QEMU start it by itself.
    if (state === 'inmigrate') throw notLoaded(this.#guest)
    await this.#qmp.execute('cont')
    this.#stopped = false
  }

  async abandon(): Promise<void> {
    const state = await queryState(this.#qmp)
    if (state === 'running') return
    // QEMU itself ends when a migration fails on its way in; this one only failed to be wanted.
    await this.#qmp.execute('quit')
  }

  async close(): Promise<void> {
    await this.#waitAsBefore()
    await this.#settings?.restore(this.#log)
    await this.#qmp.close()
  }

  /** If nothing began, lets QEMU start the guest by itself again, for whoever migrates it next. */
  async #waitAsBefore(): Promise<void> {
    if (!this.#stopped || this.#startsPaused) return
    try {
      const { status } = await queryMigration(this.#qmp)
      if (status === 'none' && await queryState(this.#qmp) === 'inmigrate') await this.#qmp.execute('cont')
    } catch (error) {
      this.#log.debug('a waiting guest was not put back as it was', { guest: this.#guest, error: String(error) })
    }
  }
}

function notWaiting(guest: string, why: string, data: Record<string, unknown>): PagemeshError {
  return new PagemeshError('no-waiting-guest', `Guest ${guest} does not wait for a migration: ${why}.`, {
    fault: 'guest',
    phase: 'preparing the destination',
    advice: 'Start QEMU there with the same machine and -name as the source, and with -incoming defer.',
    data: { guest, ...data },
  })
}

function notLoaded(guest: string): PagemeshError {
  return new PagemeshError('guest-not-loaded', `Guest ${guest} has not arrived whole yet and cannot run.`, {
    fault: 'guest', phase: 'releasing the destination', data: { guest },
  })
}
