/**
 * The source QEMU: pre-copy and post-copy as in the migration thread of 7.2, with a return path and a pause before
 * switchover.
 */
import type { GuestState } from '../../../src/guest/index.ts'
import { ModelQemu } from './modelqemu.ts'
import type { ModelPassage } from './passage.ts'
import type { World } from './world.ts'

/** QEMU refuses to change capabilities then. */
const MIGRATING = new Set([
  'setup', 'active', 'pre-switchover', 'device', 'cancelling', 'postcopy-active', 'postcopy-paused',
  'postcopy-recover',
])
const CANCELLABLE = new Set(['setup', 'active', 'pre-switchover', 'device', 'postcopy-active'])

export class ModelSource extends ModelQemu {
  /** The run state that its users set, whatever its vCPUs do during a migration. */
  intended: GuestState
  /** The guest's run state when its vCPUs were stopped for switchover. */
  atSwitchover: GuestState | undefined
  /** Its migration ended without completing, or the guest was taken back: the guest is here. */
  keeps = false
  /** In post-copy: it cannot go back. */
  isPast = false
  /** The disk cannot be opened again. */
  isLocked = false
  refusesToMigrate: boolean
  /** Before 10.0: if it is cancelled while it hands its disks over, it continues without them, and aborts. */
  readonly isOld: boolean
  #wantsPostcopy = false
  #hasSentAll = false

  constructor(world: World, runState: GuestState) {
    super(world, 'source', runState)
    this.intended = runState
    this.refusesToMigrate = world.chance.happens(0.02)
    this.isOld = world.chance.happens(0.5)
  }

  /** It hands its disks over, or has done so. */
  get isSwitching(): boolean {
    return this.status === 'device' || this.status === 'postcopy-active'
  }

  /** `migrate`. A second call changes nothing. */
  migrate(passage: ModelPassage, beside: ModelPassage[]): boolean {
    if (this.passage === passage) return true
    if (this.refusesToMigrate || this.status !== 'none') return false
    this.passage = passage
    this.beside = beside
    this.say('setup')
    this.after(5, () => {
      if (this.status !== 'setup') return
      this.say('active')
      this.#write({ kind: 'begin' })
    })
    return true
  }

  /** `migrate resume=true`. */
  resume(passage: ModelPassage, beside: ModelPassage[]): boolean {
    if (this.passage === passage) return true
    if (this.status !== 'postcopy-paused') return false
    this.passage = passage
    this.beside = beside
    this.say('postcopy-recover')
    this.after(5, () => {
      if (this.status === 'postcopy-recover') this.#write({ kind: 'begin' })
    })
    return true
  }

  startPostcopy(): boolean {
    if (this.world.chance.happens(0.01)) return false
    this.#wantsPostcopy = true
    return true
  }

  /** Its first bytes were taken: the stream may flow. */
  channelOpened(passage: ModelPassage): void {
    if (passage !== this.passage) return
    if (this.status === 'postcopy-recover') this.#write({ kind: 'resume' })
    else this.after(this.world.iterationMs, () => this.#switchOver())
  }

  #switchOver(): void {
    if (this.status !== 'active') return
    // In multifd each channel carries a part of every pass.
    const isShort = !this.#wantsPostcopy && this.beside.some(({ isOpen }) => !isOpen)
    if (isShort) return this.after(5, () => this.#switchOver())
    this.#stopGuest()
    this.say('pre-switchover')
  }

  /** `migrate-continue` from its waiting state; breaks that happened meanwhile show now. */
  continueFrom(status: string): void {
    if (this.status !== status || status !== 'pre-switchover') return
    if (this.#wantsPostcopy) return this.#startPostcopy()
    this.say('device')
    this.after(5, () => {
      if (this.status !== 'device') return
      this.#write({ kind: 'state', runState: this.atSwitchover! })
      this.after(30, () => {
        if (this.status !== 'device') return
        this.#hasSentAll = true
        this.#write({ kind: 'end' })
      })
    })
  }

  #startPostcopy(): void {
    this.say('postcopy-active')
    this.world.reach('source stopped for post-copy')
    this.after(30, () => {
      if (this.status !== 'postcopy-active') return
      this.#write({ kind: 'package', runState: this.atSwitchover! })
      this.after(3, () => {
        if (this.status !== 'postcopy-active') return
        this.isPast = true
        this.world.truth.sourcePasses()
        this.world.reach('source past')
        this.#write({ kind: 'more' })
        this.#sendRest()
      })
    })
  }

  #stopGuest(): void {
    this.atSwitchover = this.intended
    this.runState = 'finish-migrate'
  }

  #sendRest(): void {
    this.after(this.world.iterationMs, () => {
      if (this.status !== 'postcopy-active') return
      this.#hasSentAll = true
      this.#write({ kind: 'end' })
    })
  }

  /** Handles messages on the return path. */
  hear(kind: 'shut' | 'resumeAck'): void {
    this.after(5, () => {
      if (kind === 'resumeAck') {
        if (this.status !== 'postcopy-recover') return
        this.say('postcopy-active')
        return this.#sendRest()
      }
      if (!this.#hasSentAll || (this.status !== 'device' && this.status !== 'postcopy-active')) return
      this.runState = 'postmigrate'
      for (const passage of this.passages) passage.finish()
      this.say('completed')
    })
  }

  override legBroken(): void {
    this.after(5, () => {
      switch (this.status) {
        case 'setup': case 'active': case 'device':
          return this.#fail()
        case 'postcopy-active':
          return this.isPast ? this.say('postcopy-paused') : this.#fail()
        case 'postcopy-recover':
          return this.say('postcopy-paused')
        default:
      }
    })
  }

  /** A failure of its own, such as flushing its disks. */
  failItself(): void {
    const isFlowing = this.status === 'active' || this.isSwitching
    if (!this.isAlive || !isFlowing || this.isPast) return
    this.#fail()
    for (const passage of this.passages) passage.closedByQemu('source')
  }

  #fail(): void {
    this.say('failed')
    this.after(5, () => this.goOn())
  }

  /**
   * `migrate_cancel` as a driver sends it: a QEMU paused in post-copy is not cancelled, because it could never
   * continue.
   */
  cancel(): void {
    if (!CANCELLABLE.has(this.status)) return
    if (this.isOld && this.isSwitching) {
      this.world.truth.fail('lost', `it was cancelled while it was ${this.status}`)
      return this.die('it aborted on its disks')
    }
    this.say('cancelling')
    for (const passage of this.passages) passage.closedByQemu('source')
    this.after(10, () => {
      this.goOn()
      this.after(10, () => this.say('cancelled'))
    })
  }

  /** The migration ended here: the guest continues as before, except that a paused one is in postmigrate. */
  goOn(): void {
    if (this.runState === 'finish-migrate' || this.runState === 'postmigrate') {
      this.runState = this.atSwitchover === 'running' ? 'running' : 'postmigrate'
    }
    this.keeps = true
    this.world.note('source', 'the guest goes on', this.runState)
    this.world.truth.sourceGoesOn()
  }

  /** `cont` after a completed migration; false if the disk cannot be opened. */
  takeBack(): boolean {
    if (this.keeps) return true
    if (this.isLocked) return false
    this.goOn()
    return true
  }

  override putBack(): boolean {
    if (MIGRATING.has(this.status)) return false
    this.hasSettings = false
    return true
  }

  override die(why: string): void {
    super.die(why)
    for (const passage of this.passages) passage.closedByQemu('source')
  }

  #write(item: StreamItem): void {
    this.passage!.down(item)
  }
}

/** The items of a stream that the model distinguishes. */
export type StreamItem =
  | { kind: 'begin' | 'more' | 'end' | 'resume' | 'eof' }
  | { kind: 'state' | 'package'; runState: GuestState }
