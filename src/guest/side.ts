import type { Endpoint } from '../net/endpoint.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { apartRefusal, meetOverQmp } from './apart.ts'
import type { BesideChannels } from './channels.ts'
import { describeMachine } from './describe.ts'
import type { MachineDescription } from './description.ts'
import { activateDisks } from './disks.ts'
import { StatusFollower } from './follower.ts'
import type { GuestState } from './guest.ts'
import { isTaken, queryImages } from './images.ts'
import type { ProcessMemoryBlock } from './memory.ts'
import type { MigrationMode, MigrationNews, MigrationProgress } from './migration.ts'
import type { ProcessIdentity } from './process.ts'
import type { QmpSession } from './qmpsession.ts'
import { cannotRun } from './refusals.ts'
import { MigrationSettings, type SettingsUndo } from './settings.ts'
import { queryMigration, queryState } from './status.ts'

/** As QEMU announces a guest that has just been loaded: rounds, and the time between them, ms. */
const ANNOUNCEMENT = { initial: 50, max: 550, rounds: 5, step: 100 }

export interface SideComponents {
  qmp: QmpSession
  clock: Clock
  log: Log
}

export interface SideInit {
  guest: string
  process: ProcessIdentity
  uid: number
  blocks: readonly ProcessMemoryBlock[]
  /** Whether QEMU was started with -S: it does not start its guest by itself. */
  startsPaused: boolean
  /** Directory for a room with QEMU's sockets. */
  directory: string
  /** Whether QEMU does not see that directory. */
  isApart: boolean
  undo: SettingsUndo | undefined
  /** Kills the guest's process; throws PagemeshError `guest-silent` if that is not allowed. */
  endProcess: () => void
}

/** Common part of both sides of a QEMU's migration. */
export abstract class QemuSide {
  readonly uid: number
  readonly gone: Promise<Error>
  readonly beginApart: (() => Promise<Endpoint>) | undefined
  protected readonly qmp: QmpSession
  protected readonly clock: Clock
  protected readonly log: Log
  protected readonly init: SideInit
  protected readonly settings: MigrationSettings
  protected readonly follower: StatusFollower
  #closing: Promise<SettingsUndo | undefined> | undefined

  constructor(components: SideComponents, init: SideInit) {
    this.uid = init.uid
    this.qmp = components.qmp
    this.clock = components.clock
    this.log = components.log
    this.init = init
    this.settings = new MigrationSettings(components, { undo: init.undo })
    this.follower = new StatusFollower(components)
    this.beginApart = init.isApart
      ? () => meetOverQmp(this.qmp, (address) => this.beginAt(address)) : undefined
    this.gone = this.#goneAfterNews()
  }

  describe(): Promise<MachineDescription> {
    const { process: { pid }, blocks, startsPaused } = this.init
    return describeMachine(this.qmp, { pid, blocks, startsPaused })
  }

  follow(listener: (news: MigrationNews) => void): void {
    this.follower.follow(listener)
  }

  progress(): Promise<MigrationProgress> {
    return queryMigration(this.qmp)
  }

  state(): Promise<GuestState> {
    return queryState(this.qmp)
  }

  close(): Promise<SettingsUndo | undefined> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Has QEMU tell the network that the guest is here: switches may send its packets to the other copy's host. */
  protected announce(): void {
    const telling = this.qmp.execute('announce-self', ANNOUNCEMENT)
    behind(this.log, 'a guest that runs here was not announced to the network', telling)
  }

  /** Tells QEMU to begin, at an address as QEMU writes it. */
  protected abstract beginAt(uri: string): Promise<void>

  /** Throws `guest-apart` if QEMU sees other files than the agent and so cannot move like this. */
  protected requireMeeting(how: { mode: MigrationMode; beside: BesideChannels }): void {
    const { guest, process: { pid }, directory, isApart } = this.init
    const refusal = isApart ? apartRefusal({ guest, pid, directory }, how) : undefined
    if (refusal !== undefined) throw refusal
  }

  /** Sends `cont`; throws `guest-cannot-run` with QEMU's words if it refuses. */
  protected async letRun(): Promise<void> {
    await this.#orCannotRun(() => this.qmp.execute('cont'))
  }

  /** Makes QEMU activate the disks of a guest that does not run; throws `guest-cannot-run`. */
  protected async claimDisks(): Promise<void> {
    const { guest, process: { pid } } = this.init
    let refusal: unknown
    try {
      await this.#orCannotRun(() => activateDisks({ qmp: this.qmp, clock: this.clock }, this.init))
    } catch (error) {
      refusal = error
    }
    const images = await queryImages(this.qmp)
    const inactive = images.find((image) => isTaken(pid, image) === false)
    if (inactive !== undefined) throw cannotRun(guest, `its disk ${inactive.path} is held by somebody else`, refusal)
    // If all images are active, a refusal does not matter: QEMU refuses for example a disk that is being copied.
    if (refusal !== undefined && images.some((image) => isTaken(pid, image) === undefined)) throw refusal
  }

  async #orCannotRun(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof PagemeshError) || error.code !== 'qmp-error') throw error
      throw cannotRun(this.init.guest, String(error.data['desc']), error)
    }
  }

  async #goneAfterNews(): Promise<Error> {
    const error = await this.qmp.gone
    await this.follower.told()
    return error
  }

  async #close(): Promise<SettingsUndo | undefined> {
    const left = await this.settings.restore()
    await this.qmp.close()
    return left
  }
}
