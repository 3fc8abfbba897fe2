/**
 * Who tells QEMU to migrate, over QMP: one for each end of a handoff, over the two sides of a guest's migration.
 *
 * A driver only asks and tells: the conversation decides. Its QMP session is opened when it is needed and closed by
 * `close`, which puts back what it changed; it may be opened again afterwards.
 */
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import type { Guest, GuestState } from './guest.ts'
import { MAIN_ONLY, type BesideChannels } from './channels.ts'
import type { MigrationMode, MigrationProgress, MigrationSide, OpenInit } from './migration.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { createRendezvous, type Rendezvous } from './rendezvous.ts'
import type { SettingsUndo } from './settings.ts'

/** What a driver tells of the guest at its end, in the order in which it happened. */
export type DriverNews =
  | { kind: 'qemu'; status: string; error?: string; state?: GuestState }
  /** Its process has ended. `wasHeard`: QMP was connected to the end, so whatever QEMU said has been told before. */
  | { kind: 'gone'; wasHeard: boolean }

export interface DriverComponents {
  clock: Clock
  random: Random
}

export interface DriverInit {
  /** Where the rendezvous with QEMU is made. */
  directory: string
  mode: MigrationMode
  /** What an agent that died had changed. */
  undo: SettingsUndo | undefined
  /** Finds the guest; throws PagemeshError with the reason if there is none. */
  find: () => Promise<Guest>
  /** Awaited before anything is changed; `undo` of the driver is what must be put back from then on. */
  onChange: () => Promise<void>
  onNews: (news: DriverNews) => void
}

const LOOK_EVERY_MS = 200
/** How long a QEMU whose stream was cut may take to say so. */
const PAUSE_MS_MAX = 15_000
const GO_ON_MS_MAX = 3000
/** Of a QEMU that is there and does not answer. */
const SILENT: ReadonlySet<string> = new Set(['qmp-timeout', 'qmp-busy'])

/** What both ends have in common: one session at a time, the rendezvous, and an eye on the process. */
export abstract class QmpDriver<Side extends MigrationSide> {
  protected readonly components: DriverComponents
  protected readonly init: DriverInit
  /** A post-copy that was cut goes on: nothing is prepared, and QEMU is told to resume. */
  rejoins = false
  /** The channels beside the main one: known at the source once it is prepared, told to the destination before. */
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
  /** Meets QEMU: it comes, or is gone to, once for each channel. */
  protected abstract meet(
    rendezvous: Rendezvous, signal: AbortSignal, tell: () => Promise<void>,
  ): AsyncGenerator<Endpoint>

  /** Where the channels of this end's QEMU are met, in the order in which QEMU opens them. */
  async * channels(signal: AbortSignal): AsyncGenerator<Endpoint> {
    const side = await this.open()
    const rendezvous = await createRendezvous(this.components, {
      directory: this.init.directory, uid: side.uid, process: this.#process,
    })
    this.#rendezvous = rendezvous
    try {
      yield* this.meet(rendezvous, signal, () => this.tellToMigrate(side, rendezvous.socketPath))
    } finally {
      await rendezvous.remove()
    }
  }

  /** What must be put back in the guest's QEMU, whoever does it. */
  get undo(): SettingsUndo | undefined {
    return this.#undo
  }

  /** Lets the guest's QEMU go; what was changed in it is put back, as far as it can be now. Idempotent. */
  async close(): Promise<void> {
    this.#opening?.abort(new PagemeshError('cancelled', 'The handoff ended.', { fault: 'cancelled' }))
    const session = this.#session ?? (this.#undo === undefined || this.#isGone ? undefined : this.open())
    this.#session = undefined
    await this.#rendezvous?.remove()
    try {
      this.#undo = await (await session)?.close()
    } catch {
      // It could not be opened, and so nothing put back: `undo` still says what.
    }
  }

  /** Ends the watching, too: the driver is used no more. */
  stop(): void {
    this.#watch?.cancel()
  }

  /** Where QEMU's migration stands; undefined while no session is open. */
  async progress(): Promise<MigrationProgress | undefined> {
    return await (await this.#session)?.progress()
  }

  /** What the guest is doing now. */
  async state(): Promise<GuestState> {
    return await (await this.open()).state()
  }

  /** What QEMU says of its migration and of the guest. */
  async look(): Promise<{ status: string; state: GuestState }> {
    const side = await this.open()
    return { status: (await side.progress()).status, state: await side.state() }
  }

  /** The same, or `otherwise` where QEMU is there and does not answer. */
  async lookOr(otherwise: { status: string; state: GuestState }): Promise<{ status: string; state: GuestState }> {
    try {
      return await this.look()
    } catch (error) {
      if (error instanceof PagemeshError && SILENT.has(error.code)) return otherwise
      throw error
    }
  }

  /** For `prepare`: what is about to be changed is remembered here, and then by whoever writes it down. */
  protected readonly noteChange = async (undo: SettingsUndo): Promise<void> => {
    this.#undo = undo
    await this.init.onChange()
  }

  /** What the guest is doing, once it is doing anything: after a migration that failed it needs a moment to go on. */
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

  /** Resolves once QEMU says that its post-copy is paused. */
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
    // Statuses come in order, and the one that says that the guest is whole tells what it is then.
    let telling: Promise<void> = Promise.resolve()
    side.follow((news) => {
      telling = telling.then(async () => {
        // A QEMU that has ended meanwhile says nothing more.
        const state = news.status === 'completed' ? await side.state().catch(() => undefined) : undefined
        this.init.onNews({ kind: 'qemu', ...news, ...(state === undefined ? {} : { state }) })
      })
    })
    // It never rejects, and comes behind the last status.
    void side.gone.then(async (error) => {
      await telling
      this.#tellGone(!(error instanceof PagemeshError) || error.data['wasHeard'] !== false)
    })
    return side
  }

  /** Without a session the process is looked at all the same. */
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
