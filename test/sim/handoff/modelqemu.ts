/** The common part of both QEMUs: a process with a monitor, which may hang, and which may die at any moment. */
import type { GuestState } from '../../../src/guest/index.ts'
import type { ModelPassage } from './passage.ts'
import type { World } from './world.ts'

export type Side = 'source' | 'destination'

/** A listener on a QEMU's monitor: an agent's session. */
export interface MonitorListener {
  hear(status: string): void
  /** QEMU resumed its guest. */
  resumed(): void
}

export abstract class ModelQemu {
  readonly world: World
  readonly side: Side
  passage: ModelPassage | undefined
  /** The channels beside main. */
  beside: ModelPassage[] = []
  isAlive = true
  status = 'none'
  runState: GuestState
  /** An agent's change that was not restored. */
  hasSettings = false
  listener: MonitorListener | undefined
  /** Called once, when the process has ended. */
  onDeath: (() => void) | undefined
  #commandsFreeAtMs = 0
  #hungUntilMs = 0
  /** One of its channels broke, and it waits for that for ever: only a kill ends it. */
  isStuck = false
  /** Actions that its hang has delayed. */
  readonly #heldUp: (() => void)[] = []

  constructor(world: World, side: Side, runState: GuestState) {
    this.world = world
    this.side = side
    this.runState = runState
  }

  /** Main first. */
  get passages(): ModelPassage[] {
    return [...this.passage === undefined ? [] : [this.passage], ...this.beside]
  }

  /** Reports a new migration status to the listeners. */
  say(status: string): void {
    this.status = status
    this.world.note(this.side, 'QEMU says', status)
    this.listener?.hear(status)
    this.world.reach(`${this.side} ${status}`)
  }

  /** Runs later in the process, if it still lives then. */
  after(mostMs: number, run: () => void): void {
    this.#at(this.world.clock.now() + this.world.delay(mostMs), run)
  }

  #at(timeMs: number, run: () => void): void {
    this.world.clock.after(timeMs - this.world.clock.now(), () => {
      if (!this.isAlive || this.isStuck) return
      if (this.#hungUntilMs > this.world.clock.now()) this.#heldUp.push(run)
      else run()
    })
  }

  /** A monitor command: commands are carried out in order, even if their sender has died. */
  command(run: () => void): void {
    const atMs = Math.max(this.world.clock.now() + this.world.delay(3), this.#commandsFreeAtMs)
    this.#commandsFreeAtMs = atMs
    this.#at(atMs, run)
  }

  /** Whether it answers no client now. */
  get isSilent(): boolean {
    return this.isStuck || this.#hungUntilMs > this.world.clock.now()
  }

  hang(forMs: number): void {
    const { clock } = this.world
    this.#hungUntilMs = Math.max(this.#hungUntilMs, clock.now() + forMs)
    clock.after(this.#hungUntilMs - clock.now(), () => {
      if (this.#hungUntilMs <= clock.now()) this.wake()
    })
  }

  wake(): void {
    this.#hungUntilMs = 0
    for (const run of this.#heldUp.splice(0)) if (this.isAlive && !this.isStuck) run()
  }

  /** Restores an agent's changes; false while QEMU refuses that. */
  abstract putBack(): boolean
  /** Its leg of the passage is broken. */
  abstract legBroken(): void

  die(why: string): void {
    if (!this.isAlive) return
    this.isAlive = false
    this.world.note(this.side, 'QEMU ends', why)
    this.onDeath?.()
  }
}
