/** The destination QEMU: waits, loads, stays paused until it is resumed, and ends when its stream breaks too early. */
import type { GuestState } from '../../../src/guest/index.ts'
import { ModelQemu } from './modelqemu.ts'
import type { StreamItem } from './modelsource.ts'
import type { ModelPassage } from './passage.ts'
import type { World } from './world.ts'

export class ModelDestination extends ModelQemu {
  /** All of the guest has arrived, or is about to be loaded. */
  hasAll = false
  isWhole = false
  /** The package of post-copy has arrived: the guest can run here. */
  hasPackage = false
  isLoaded = false
  /** It was told to restore the guest's run state. */
  isReleased = false
  hasRun = false
  isLocked = false
  #hasItsDisks = false
  /** Starts the guest by itself once it is loaded, unless `stop` or -S prevents it. */
  startsItself: boolean
  #stored: GuestState = 'running'

  constructor(world: World) {
    super(world, 'destination', 'inmigrate')
    this.startsItself = world.chance.happens(0.7)
  }

  migrateIncoming(passage: ModelPassage): boolean {
    if (this.passage === passage) return true
    if (this.status !== 'none') return false
    this.passage = passage
    this.beside = []
    this.say('setup')
    return true
  }

  /** Listens anew; only a connection makes it recover. */
  migrateRecover(passage: ModelPassage): boolean {
    if (this.passage === passage) return true
    if (this.status !== 'postcopy-paused') return false
    this.passage = passage
    this.beside = []
    return true
  }

  connected(passage: ModelPassage): void {
    if (passage !== this.passage) {
      this.beside.push(passage)
      return
    }
    if (this.status === 'setup') this.say('active')
    if (this.status === 'postcopy-paused') this.say('postcopy-recover')
  }

  receive(item: StreamItem, passage: ModelPassage): void {
    // Once it has paused, it has closed its channels.
    if (!this.isAlive || this.isStuck || !this.passages.includes(passage) || this.status === 'postcopy-paused') return
    switch (item.kind) {
      case 'state':
        this.#stored = item.runState
        return
      case 'package':
        this.#stored = item.runState
        this.hasPackage = true
        return this.after(20, () => {
          this.say('postcopy-active')
          this.after(20, () => this.#becomeLoaded())
        })
      case 'resume':
        return this.after(5, () => {
          if (this.status !== 'postcopy-recover') return
          this.say('postcopy-active')
          this.passage!.up('resumeAck')
        })
      case 'end':
        this.hasAll = true
        return this.after(40, () => this.#load())
      case 'eof':
        return this.legBroken()
      default:
    }
  }

  #load(): void {
    if (this.hasPackage && !this.isLoaded) return this.after(5, () => this.#load())
    this.isWhole = true
    this.world.reach('destination whole')
    this.passage!.up('shut')
    this.after(25, () => {
      if (!this.isLoaded) this.#becomeLoaded()
      this.say('completed')
    })
  }

  #becomeLoaded(): void {
    this.isLoaded = true
    this.runState = this.#stored === 'running' ? 'paused' : this.#stored
    if (this.#stored === 'running' && this.startsItself && !this.isLocked) this.#run()
    this.world.reach('destination loaded')
  }

  #run(): void {
    this.runState = 'running'
    this.#hasItsDisks = true
    this.hasRun = true
    this.listener?.resumed()
    this.world.note('destination', 'the guest runs')
    this.world.truth.destinationRuns()
  }

  /** A driver restores the guest's run state: `cont`, or only opening its disks. */
  release(wanted: GuestState): 'released' | 'refused' | 'later' {
    this.world.truth.release()
    if (!this.isLoaded) {
      // `cont` before the guest has arrived means that it starts on arrival.
      if (wanted === 'running') {
        this.startsItself = true
        this.isReleased = true
      }
      return 'later'
    }
    if (this.isLocked && !this.#hasItsDisks) {
      // Earlier commands have failed on the lock as well: it starts nothing by itself.
      this.startsItself = false
      this.isReleased = false
      return 'refused'
    }
    this.#hasItsDisks = true
    this.isReleased = true
    if (wanted === 'running' && this.runState !== 'running') this.#run()
    return 'released'
  }

  /** `quit`; a running guest is not ended. */
  quit(): boolean {
    if (this.runState === 'running') return false
    this.world.truth.quit()
    this.die('it was told to quit')
    return true
  }

  /** SIGKILL to a QEMU that did not answer. */
  kill(): void {
    this.world.truth.killed()
    this.die('it was killed, for it did not answer')
  }

  override legBroken(): void {
    if (this.hasAll || this.isStuck) return
    // Its main thread waits for each of its multifd channels, even for broken ones.
    const mayStick = this.beside.length > 0 && !this.hasPackage && this.status === 'active' && !this.world.isCalm
    if (mayStick && this.world.isPrecopy && this.world.chance.happens(0.4)) {
      this.world.note('destination', 'QEMU waits for a channel that broke, deaf to everybody')
      this.isStuck = true
      return
    }
    this.after(5, () => {
      if (this.hasAll) return
      if (this.hasPackage) return this.#pause()
      if (this.status !== 'active') return
      this.say('failed')
      this.after(5, () => this.die('its stream broke'))
    })
  }

  #pause(): void {
    if (this.hasAll) return
    if (!this.isLoaded) return this.after(5, () => this.#pause())
    if (this.status !== 'postcopy-paused') this.say('postcopy-paused')
  }

  override putBack(): boolean {
    if (this.status.startsWith('postcopy')) return false
    this.hasSettings = false
    return true
  }

  override die(why: string): void {
    if (!this.isAlive) return
    super.die(why)
    this.world.truth.destinationEnds()
    if (this.isWhole) return
    for (const passage of this.passages) passage.closedByQemu('destination')
  }
}
