/** What both QEMUs of a handoff have in common: a process with a monitor that may hang, and dies at any moment. */
import type { GuestState } from '../../../src/guest/index.ts'
import type { ModelPassage } from './passage.ts'
import type { World } from './world.ts'

export type Side = 'source' | 'destination'

/** Whoever hears a QEMU's monitor: an agent's session. */
export interface MonitorListener {
  hear(status: string): void
  /** It lets its guest run. */
  resumed(): void
}

export abstract class ModelQemu {
  readonly world: World
  readonly side: Side
  passage: ModelPassage | undefined
  /** Of the channels beside main. */
  beside: ModelPassage[] = []
  isAlive = true
  status = 'none'
  runState: GuestState
  /** Something that an agent changed and did not put back. */
  hasSettings = false
  listener: MonitorListener | undefined
  /** Told once, when the process has ended. */
  onDeath: (() => void) | undefined
  #commandsFreeAtMs = 0
  #hungUntilMs = 0
  /** One of its channels broke, and it waits for that for ever: nothing but a kill ends it. */
  isStuck = false
  /** What would have happened in it while it hung. */
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

  /** Of a migration: says a new status to whoever listens. */
  say(status: string): void {
    this.status = status
    this.world.note(this.side, 'QEMU says', status)
    this.listener?.hear(status)
    this.world.reach(`${this.side} ${status}`)
  }

  /** Goes on in the process after a while, if it still lives then. */
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

  /** A command of a monitor: commands are carried out one after the other, whoever said them, dead or alive. */
  command(run: () => void): void {
    const atMs = Math.max(this.world.clock.now() + this.world.delay(3), this.#commandsFreeAtMs)
    this.#commandsFreeAtMs = atMs
    this.#at(atMs, run)
  }

  /** Whether it answers nobody now. */
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

  /** Puts back what an agent changed; false while QEMU refuses that. */
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
