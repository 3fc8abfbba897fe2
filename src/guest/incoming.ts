/**
 * The destination guest's side of a migration: a QEMU that waits with `-incoming defer`.
 *
 *   inmigrate -- prepare --> inmigrate -- begin --> loading --> paused -- release --> running
 *
 * Goals: never two running copies. QEMU would start the guest by itself as soon as it is loaded, even if the source
 * keeps it. So the agent sends `stop` to the waiting QEMU, which clears its `autostart`: the guest stays paused until
 * the source has given it up. In post-copy it is loaded before all its memory is here; a `cont` while it is still
 * loading takes effect afterwards.
 */
import { PagemeshError } from '../runtime/errors.ts'
import { waitAtMost, withTimeout } from '../runtime/wait.ts'
import { findUnserved, readBackings } from './backing.ts'
import { channelSettings, MAIN_ONLY, type BesideChannels } from './channels.ts'
import { cannotHaveRun } from './endprocess.ts'
import type { GuestState } from './guest.ts'
import { findImageFaults, queryImages } from './images.ts'
import { diskUnusable, expectsTls, postcopyRefused, postcopyUnserved, silent, stillRuns } from './incomingerror.ts'
import type { IncomingMigration, MigrationMode, PrepareOptions } from './migration.ts'
import { asText } from './qmpvalue.ts'
import { ENDED, isBegunAlready, notLoaded, notWaiting, TURNED_OFF } from './refusals.ts'
import { readSettings, type QemuSettings } from './settings.ts'
import { QemuSide, type SideComponents, type SideInit } from './side.ts'
import { queryMigration, queryState } from './status.ts'

/** Longest time for QEMU to end after `quit`, ms. */
const END_TIMEOUT_MS = 30_000
/** Longest time for its answer before that: a QEMU that is only busy answers sooner. */
const ANSWER_MS_MAX = 3000
/** Longest time for a killed QEMU to end. */
const SILENT_MS_MAX = 10_000

/** States at switchover for which `cont` is right here; a copy in one of these states is never ended. */
const LET_RUN: ReadonlySet<GuestState> = new Set<GuestState>(['running', 'suspended'])

/** Resolves when the session knows the migration's present status. */
export async function createIncoming(components: SideComponents, init: SideInit): Promise<IncomingMigration> {
  const incoming = new QemuIncoming(components, init)
  await incoming.learn()
  return incoming
}

class QemuIncoming extends QemuSide implements IncomingMigration {
  /** Result of the last passed check, for `prepare`, which follows. */
  #checked: { mode: MigrationMode; settings: QemuSettings } | undefined
  #hasResumed = false

  constructor(components: SideComponents, init: SideInit) {
    super(components, init)
    components.qmp.onEvent(({ name }) => {
      if (name !== 'RESUME') return
      this.#hasResumed = true
      // QEMU did so when the guest was loaded, perhaps long ago.
      this.announce()
    })
  }

  async learn(): Promise<void> {
    await this.follower.learn()
  }

  async check(
    { mode, beside = MAIN_ONLY, host }: { mode: MigrationMode; beside?: BesideChannels; host?: string },
  ): Promise<void> {
    const { guest, process: { pid }, blocks } = this.init
    this.requireMeeting({ mode, beside })
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
    if (this.#checked?.mode !== mode) await this.check({ mode, beside })
    const { settings } = this.#checked!
    this.#checked = undefined
    const { capabilities, parameters } = channelSettings(beside)
    await this.settings.change({
      capabilities: {
        ...TURNED_OFF,
        ...capabilities,
        // With it, QEMU would wait for data that never comes.
        'x-colo': false,
        events: true,
        'return-path': true,
        'postcopy-ram': mode === 'postcopy',
        // Images are opened for writing only when the guest is released: until then the source may go on.
        'late-block-activate': true,
      },
      parameters: { mode: 'normal', ...parameters },
      staysPaused: !this.init.startsPaused,
    }, onChange, settings)
    await this.qmp.execute('stop')
  }

  async begin(socketPath: string): Promise<void> {
    await this.beginAt(`unix:${socketPath}`)
  }

  protected override async beginAt(uri: string): Promise<void> {
    try {
      await this.follower.expect(() => this.qmp.execute('migrate-incoming', { uri }))
    } catch (error) {
      throw isBegunAlready(error) ? notWaiting(this.init.guest, 'its -incoming is not defer', {}) : error
    }
  }

  async recover(socketPath: string): Promise<void> {
    // A thread that waits for a missing page may block all other commands.
    await this.qmp.executeOutOfBand('migrate-recover', { uri: `unix:${socketPath}` })
  }

  async release(runState: GuestState): Promise<GuestState> {
    const { status } = await queryMigration(this.qmp)
    const state = await queryState(this.qmp)
    if (state === 'running') return state
    // While QEMU waits or loads in pre-copy the copy may never become whole, and `cont` would make it start by itself.
    if (state === 'inmigrate' && !status.startsWith('postcopy')) throw notLoaded(this.init.guest)
    if (LET_RUN.has(runState) && !ENDED.has(state)) await this.letRun()
    // In post-copy QEMU activates the disks by itself.
    else if (!status.startsWith('postcopy')) await this.claimDisks()
    this.settings.forgetAutostart()
    return queryState(this.qmp)
  }

  async end(): Promise<void> {
    // A QEMU that does not answer may be about to end.
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
   * A QEMU with several channels may wait for ever for a broken one without answering QMP: then it must be killed.
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
    throw silent(guest, pid, isCertain ? 'killing it did nothing' : 'its guest may have run')
  }

  /** Sets the capability for a moment: only then does QEMU ask its kernel whether post-copy is possible. */
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
