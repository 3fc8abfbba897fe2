/**
 * The destination guest's side of a migration: a QEMU that waits with `-incoming defer`.
 *
 *   inmigrate -- prepare --> inmigrate -- begin --> loading --> paused -- release --> running
 *
 * Goals: never two running guests. QEMU would start the guest by itself as soon as it is loaded, even if the source
 * meanwhile decided otherwise; `stop` said to a waiting QEMU makes it stay paused instead (it clears QEMU's
 * `autostart`), and the agent lets it run once the source has given it up. In post-copy it is loaded before all of
 * its memory is here, and `cont` said to one that is still loading is kept for when it is.
 */
import { PagemeshError } from '../runtime/errors.ts'
import { waitAtMost, withTimeout } from '../runtime/wait.ts'
import { findUnserved, readBackings } from './backing.ts'
import { channelSettings, MAIN_ONLY } from './channels.ts'
import { cannotHaveRun } from './endprocess.ts'
import type { GuestState } from './guest.ts'
import { findImageFaults, queryImages } from './images.ts'
import { diskUnusable, expectsTls, postcopyRefused, postcopyUnserved, silent, stillRuns } from './incomingerror.ts'
import type { IncomingMigration, MigrationMode, PrepareOptions } from './migration.ts'
import { asText } from './qmpvalue.ts'
import { ENDED, notLoaded, notWaiting, TURNED_OFF } from './refusals.ts'
import { readSettings, type QemuSettings } from './settings.ts'
import { QemuSide, type SideComponents, type SideInit } from './side.ts'
import { queryMigration, queryState } from './status.ts'

/** How long QEMU may take to end when it is told to, ms. */
const END_TIMEOUT_MS = 30_000
/** How long it may take to answer then: one that is only busy needs less. */
const ANSWER_MS_MAX = 3000
/** How long one may take to end that does not answer. */
const SILENT_MS_MAX = 10_000

/** What a guest was doing at the source when `cont` is right for it here; and what is not to be ended. */
const LET_RUN: ReadonlySet<GuestState> = new Set<GuestState>(['running', 'suspended'])

/** Resolves when the session knows how things stand. */
export async function createIncoming(components: SideComponents, init: SideInit): Promise<IncomingMigration> {
  const incoming = new QemuIncoming(components, init)
  await incoming.learn()
  return incoming
}

class QemuIncoming extends QemuSide implements IncomingMigration {
  /** What was found as the last check passed; what changes the settings comes next, and takes it. */
  #checked: { mode: MigrationMode; settings: QemuSettings } | undefined
  #hasResumed = false

  constructor(components: SideComponents, init: SideInit) {
    super(components, init)
    components.qmp.onEvent(({ name }) => { this.#hasResumed ||= name === 'RESUME' })
  }

  async learn(): Promise<void> {
    await this.follower.learn()
  }

  async check({ mode, host }: { mode: MigrationMode; host?: string }): Promise<void> {
    const { guest, process: { pid }, blocks } = this.init
    this.#checked = undefined
    const [state, { status }, settings, images] = await Promise.all([
      queryState(this.qmp), queryMigration(this.qmp), readSettings(this.qmp), queryImages(this.qmp),
    ])
    if (state !== 'inmigrate') throw notWaiting(guest, `its state is ${state}`, { state })
    if (status !== 'none') throw notWaiting(guest, `its incoming migration is ${status} already`, { status })
    const credentials = asText(settings.parameters['tls-creds'])
    if (credentials !== '') throw expectsTls(guest, credentials)
    const [fault] = findImageFaults(pid, guest, images)
    if (fault !== undefined) throw diskUnusable(guest, fault)
    if (mode === 'postcopy') {
      const where = host === undefined ? 'at the destination' : `on ${host}`
      const unserved = findUnserved(readBackings(pid, blocks))
      if (unserved !== undefined) throw postcopyUnserved(guest, where, unserved)
      await this.#tryPostcopy(where, settings.capabilities)
    }
    this.#checked = { mode, settings }
  }

  async prepare({ mode, beside = MAIN_ONLY, onChange }: PrepareOptions): Promise<void> {
    if (this.#checked?.mode !== mode) await this.check({ mode })
    const { settings } = this.#checked!
    this.#checked = undefined
    const { capabilities, parameters } = channelSettings(beside)
    await this.settings.change({
      capabilities: {
        ...TURNED_OFF,
        ...capabilities,
        // It would make QEMU wait for what never comes.
        'x-colo': false,
        events: true,
        'return-path': true,
        'postcopy-ram': mode === 'postcopy',
        // Images are opened for writing when the guest is let run, not while the source may still go on.
        'late-block-activate': true,
      },
      parameters: { mode: 'normal', ...parameters },
      staysPaused: !this.init.startsPaused,
    }, onChange, settings)
    await this.qmp.execute('stop')
  }

  async begin(socketPath: string): Promise<void> {
    await this.follower.expect(() => this.qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` }))
  }

  async recover(socketPath: string): Promise<void> {
    // Whoever waits for a page that does not come may hold up all other commands.
    await this.qmp.executeOutOfBand('migrate-recover', { uri: `unix:${socketPath}` })
  }

  async release(runState: GuestState): Promise<GuestState> {
    const { status } = await queryMigration(this.qmp)
    const state = await queryState(this.qmp)
    if (state === 'running') return state
    // One that waits still, or loads in pre-copy, might never become whole: QEMU would start it by itself then.
    if (state === 'inmigrate' && !status.startsWith('postcopy')) throw notLoaded(this.init.guest)
    if (LET_RUN.has(runState) && !ENDED.has(state)) await this.letRun()
    // In post-copy QEMU takes the disks by itself.
    else if (!status.startsWith('postcopy')) await this.claimDisks()
    this.settings.forgetAutostart()
    return queryState(this.qmp)
  }

  async end(): Promise<void> {
    // A QEMU that does not answer may be on its way out.
    const state = await queryState(this.qmp, ANSWER_MS_MAX).catch(() => undefined)
    if (state !== undefined && LET_RUN.has(state)) throw stillRuns(this.init.guest)
    let isSilent = false
    try {
      await this.qmp.execute('quit', {}, ANSWER_MS_MAX)
    } catch (error) {
      // It may end before it answers.
      if (!(error instanceof PagemeshError) || error.code === 'qmp-error') throw error
      isSilent = state === undefined && error.code === 'qmp-timeout'
    }
    if (isSilent) return await this.#endSilent()
    await withTimeout(this.clock, this.gone, END_TIMEOUT_MS, {
      phase: 'ending a copy', fault: 'guest', message: `Guest ${this.init.guest} did not end when it was told to.`,
    })
  }

  /**
   * A QEMU with several channels may wait for ever, deaf to everybody, for one of them that broke: then nothing but
   * its end helps.
   */
  async #endSilent(): Promise<void> {
    const { guest, process: { pid }, endProcess } = this.init
    const { last, wasInterrupted } = this.follower
    const isCertain = cannotHaveRun({ status: last, hasResumed: this.#hasResumed, wasInterrupted })
    if (isCertain) {
      endProcess()
      this.log.warn('a waiting QEMU that did not answer was ended', { guest, pid })
    }
    let isGone = false
    await waitAtMost(this.clock, this.gone.then(() => { isGone = true }), SILENT_MS_MAX)
    if (isGone) return
    throw silent(guest, pid, isCertain ? 'it was killed in vain' : 'it is not certain that its guest has not run')
  }

  /** QEMU asks its kernel about post-copy when the capability is set, and only then. */
  async #tryPostcopy(where: string, before: ReadonlyMap<string, boolean>): Promise<void> {
    if (before.get('postcopy-ram') === true) return
    const set = (state: boolean): Promise<unknown> =>
      this.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'postcopy-ram', state }] })
    try {
      await set(true)
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'qmp-error') {
        throw postcopyRefused(this.init.guest, where, error)
      }
      throw error
    }
    await set(false)
  }
}
