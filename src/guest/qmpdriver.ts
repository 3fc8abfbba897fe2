/**
 * The QMP driver: tells QEMU to migrate. One for each end of a handoff, over the two sides of a guest's migration.
 *
 * A driver only asks and reports: the conversation decides. Its QMP session is opened when needed. `close` restores
 * the settings and closes the session, which may be opened again afterwards.
 */
import type { Endpoint } from '../net/endpoint.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { MAIN_ONLY, type BesideChannels } from './channels.ts'
import type { Guest, GuestState } from './guest.ts'
import type { MigrationMode, MigrationProgress, MigrationSide, OpenInit } from './migration.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { Rendezvous } from './rendezvous.ts'
import type { SettingsUndo } from './settings.ts'

/** A driver's news of the guest at its end, in order. */
export type DriverNews =
  | { kind: 'qemu'; status: string; error?: string; state?: GuestState }
  /** Its process has ended. `wasHeard`: QMP was connected until then, so all of QEMU's statuses were reported. */
  | { kind: 'gone'; wasHeard: boolean }

export interface DriverComponents {
  clock: Clock
  random: Random
}

export interface DriverInit {
  /** Directory of the rendezvous with QEMU. */
  directory: string
  mode: MigrationMode
  /** Settings changed by an earlier agent process. */
  undo: SettingsUndo | undefined
  /** Finds the guest; throws PagemeshError with the reason if there is none. */
  find: () => Promise<Guest>
  /** Awaited before a setting is changed; the driver's `undo` then has what must be restored. */
  onChange: () => Promise<void>
  onNews: (news: DriverNews) => void
}

const LOOK_EVERY_MS = 200
/** Longest time for a QEMU whose stream was cut to report it. */
const PAUSE_MS_MAX = 15_000
const GO_ON_MS_MAX = 3000
/** Errors of a QEMU that lives and does not answer. */
const SILENT: ReadonlySet<string> = new Set(['qmp-timeout', 'qmp-busy'])

/** Common part of both ends' drivers: the session, the rendezvous, and the watch on the process. */
export abstract class QmpDriver<Side extends MigrationSide> {
  protected readonly components: DriverComponents
  protected readonly init: DriverInit
  /** Resumes a cut post-copy: QEMU is told to resume instead of being prepared. */
  rejoins = false
  /** Channels besides main: at the source known after `prepare`, at the destination set before it. */
  beside: BesideChannels = MAIN_ONLY
  #opening: AbortController | undefined
  #session: Promise<Side> | undefined
  #rendezvous: Rendezvous | undefined
  #process: ProcessIdentity | undefined
  #watch: Timer | undefined
  #isGone = false
  #undo: SettingsUndo | undefined

  constructor(components: DriverComponents, init: DriverInit) {
    this.components = components
    this.init = init
    this.#undo = init.undo
  }

  protected abstract openSide(guest: Guest, init: OpenInit): Promise<Side>
  protected abstract tellToMigrate(side: Side, socketPath: string): Promise<void>
  /** Yields one connection with QEMU for each channel: QEMU connects at the source, the agent at the destination. */
  protected abstract meet(
    rendezvous: Rendezvous, signal: AbortSignal, tell: () => Promise<void>,
  ): AsyncGenerator<Endpoint>

  /** The one connection with a QEMU that does not see the agent's files. */
  protected abstract meetApart(begin: () => Promise<Endpoint>): Promise<Endpoint>

  /** The channels of this end's QEMU, in the order in which QEMU opens them. */
  async *channels(signal: AbortSignal): AsyncGenerator<Endpoint> {
    const side = await this.open()
    if (side.beginApart !== undefined) {
      yield await this.meetApart(side.beginApart)
      return
    }
    const rendezvous = await Rendezvous.create(this.components, {
      directory: this.init.directory, uid: side.uid, process: this.#process,
    })
    this.#rendezvous = rendezvous
    try {
      yield* this.meet(rendezvous, signal, () => this.tellToMigrate(side, rendezvous.socketPath))
    } finally {
      await rendezvous.remove()
    }
  }

  /** Settings that must be restored in the guest's QEMU. */
  get undo(): SettingsUndo | undefined {
    return this.#undo
  }

  /** Restores settings as far as possible now, and closes the QMP session. Idempotent. */
  async close(): Promise<void> {
    this.#opening?.abort(new PagemeshError('cancelled', 'The handoff ended.', { fault: 'cancelled' }))
    const session = this.#session ?? (this.#undo === undefined || this.#isGone ? undefined : this.open())
    this.#session = undefined
    await this.#rendezvous?.remove()
    try {
      this.#undo = await (await session)?.close()
    } catch {
      // The session could not be opened, so nothing was restored: `undo` still has the settings.
    }
  }

  /** Ends the watch on the process: the driver is no longer used. */
  stop(): void {
    this.#watch?.cancel()
  }

  /** State of QEMU's migration; undefined while no session is open. */
  async progress(): Promise<MigrationProgress | undefined> {
    return await (await this.#session)?.progress()
  }

  /** The guest's run state. */
  async state(): Promise<GuestState> {
    return await (await this.open()).state()
  }

  /** QEMU's migration status and run state. */
  async look(): Promise<{ status: string; state: GuestState }> {
    const side = await this.open()
    return { status: (await side.progress()).status, state: await side.state() }
  }

  /** As `look`, or `otherwise` if QEMU lives and does not answer. */
  async lookOr(otherwise: { status: string; state: GuestState }): Promise<{ status: string; state: GuestState }> {
    try {
      return await this.look()
    } catch (error) {
      if (error instanceof PagemeshError && SILENT.has(error.code)) return otherwise
      throw error
    }
  }

  /** Keeps the settings that are about to change, then awaits `onChange`, which records them. */
  protected readonly noteChange = async (undo: SettingsUndo): Promise<void> => {
    this.#undo = undo
    await this.init.onChange()
  }

  /** The guest's run state once it has settled: after a failed migration the guest needs a moment to go on. */
  async stateAtRest(): Promise<GuestState> {
    const { clock } = this.components
    const deadline = clock.now() + GO_ON_MS_MAX
    for (;;) {
      const state = await this.state()
      if (state !== 'finish-migrate' || clock.now() >= deadline) return state
      await clock.sleep(LOOK_EVERY_MS)
    }
  }

  protected async open(): Promise<Side> {
    this.#session ??= this.#open()
    try {
      return await this.#session
    } catch (error) {
      this.#session = undefined
      throw error
    }
  }

  /** Resolves once QEMU reports `postcopy-paused`. */
  protected async untilPaused(side: Side): Promise<void> {
    const { clock } = this.components
    const deadline = clock.now() + PAUSE_MS_MAX
    for (;;) {
      const { status } = await side.progress()
      if (status === 'postcopy-paused') return
      if (clock.now() >= deadline) {
        throw new PagemeshError('not-paused', `QEMU does not wait for its post-copy to be resumed: it is ${status}.`, {
          fault: 'guest', phase: 'recover', advice: 'A post-copy can be resumed once both QEMUs are postcopy-paused.',
        })
      }
      await clock.sleep(LOOK_EVERY_MS)
    }
  }

  async #open(): Promise<Side> {
    const guest = await this.init.find()
    this.#process = guest.process
    this.#watchProcess(guest)
    this.#opening = new AbortController()
    const undo = this.#undo === undefined ? {} : { undo: this.#undo }
    const { directory } = this.init
    const side = await this.openSide(guest, { signal: this.#opening.signal, directory, ...undo })
    // News stays in order; `completed` also has the guest's run state.
    let telling: Promise<void> = Promise.resolve()
    side.follow((news) => {
      telling = telling.then(async () => {
        // QEMU may have ended meanwhile.
        const state = news.status === 'completed' ? await side.state().catch(() => undefined) : undefined
        this.init.onNews({ kind: 'qemu', ...news, ...(state === undefined ? {} : { state }) })
      })
    })
    // Never rejects, and comes after the last status.
    void side.gone.then(async (error) => {
      await telling
      this.#tellGone(!(error instanceof PagemeshError) || error.data['wasHeard'] !== false)
    })
    return side
  }

  /** Watches the process even without a session. */
  #watchProcess({ process }: Guest): void {
    if (process === undefined || this.#watch !== undefined) return
    this.#watch = this.components.clock.every(LOOK_EVERY_MS, () => {
      if (this.#session === undefined && !isAlive(process)) this.#tellGone(false)
    })
  }

  #tellGone(wasHeard: boolean): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#watch?.cancel()
    this.init.onNews({ kind: 'gone', wasHeard })
  }
}
