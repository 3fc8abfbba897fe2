/**
 * An agent's monitor session with its QEMU: events in order, each once; a lost connection is reopened while the process
 * lives, and then the status is queried; commands wait for that, and are repeated if their answer was lost.
 */
import type { Hearing } from '../../../src/guest/endprocess.ts'
import type { ModelQemu, MonitorListener } from './modelqemu.ts'

export interface SessionListener {
  news(status: string): void
  /** The process has ended. `wasHeard`: the connection lasted to the end. */
  gone(wasHeard: boolean): void
  /** Changed settings were restored. */
  putBack(): void
}

export class ModelSession implements MonitorListener {
  readonly #qemu: ModelQemu
  readonly #listener: SessionListener
  /** The agent lives, and the driver is not closed: events are reported. */
  #isOpen = false
  #isDead = false
  #isConnected = true
  #isClosing = false
  /** Counts connections: commands of an earlier one are not answered any more. */
  #connection = 0
  #lastAtMs = 0
  #lastTold = 'none'
  #isGoneTold = false
  #hasResumed = false
  #wasInterrupted = false
  readonly #waiting: (() => void)[] = []

  constructor(qemu: ModelQemu, listener: SessionListener) {
    this.#qemu = qemu
    this.#listener = listener
    qemu.listener = this
    qemu.onDeath = () => this.#died()
    if (!qemu.isAlive) this.#died()
  }

  /** Opens it, if it is not open; reports QEMU's status if it is new. */
  open(): void {
    this.#isClosing = false
    if (this.#isOpen || this.#isDead) return
    this.#isOpen = true
    this.#hasResumed = false
    this.#wasInterrupted = this.#qemu.isSilent
    if (!this.#isConnected || !this.#qemu.isAlive) return
    this.hear(this.#qemu.status)
  }

  hear(status: string): void {
    if (!this.#isOpen || !this.#isConnected) return
    const connection = this.#connection
    this.#soon(() => {
      if (connection === this.#connection && this.#isOpen) this.#tell(status)
    })
  }

  resumed(): void {
    if (this.#isOpen && this.#isConnected) this.#hasResumed = true
  }

  get hearing(): Hearing {
    return { status: this.#lastTold, hasResumed: this.#hasResumed, wasInterrupted: this.#wasInterrupted }
  }

  /** Whether a command sent now reaches QEMU, if QEMU is not hung. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  #tell(status: string): void {
    if (status === this.#lastTold) return
    this.#lastTold = status
    this.#listener.news(status)
  }

  #soon(run: () => void): void {
    const { clock } = this.#qemu.world
    const atMs = Math.max(this.#lastAtMs, clock.now() + this.#qemu.world.delay(10))
    this.#lastAtMs = atMs
    clock.after(atMs - clock.now(), () => {
      if (!this.#isDead) run()
    })
  }

  /** Runs `run` in QEMU, and passes its result back; `run` must be idempotent. */
  command<Result>(run: () => Result, done: (result: Result) => void): void {
    if (this.#isDead) return
    if (!this.#isConnected) {
      this.#waiting.push(() => this.command(run, done))
      return
    }
    const connection = this.#connection
    this.#qemu.command(() => {
      const result = run()
      this.#soon(() => {
        if (connection === this.#connection) done(result)
        else this.command(run, done)
      })
    })
  }

  /** Restores changed settings as soon as QEMU allows it, then hangs up. */
  close(): void {
    if (this.#isClosing) return
    this.#isOpen = false
    this.#isClosing = true
    this.#putBack()
  }

  #putBack(): void {
    if (this.#isDead || !this.#isClosing) return
    this.command(() => this.#qemu.putBack(), (isBack) => {
      if (isBack) return this.#listener.putBack()
      this.#qemu.world.clock.after(500, () => this.#putBack())
    })
  }

  /** The connection is lost for a while. Output that a process wrote before it died can still be read. */
  lose(forMs: number): void {
    if (!this.#isConnected || this.#isDead || !this.#qemu.isAlive) return
    this.#isConnected = false
    this.#wasInterrupted = true
    this.#connection += 1
    this.#qemu.world.clock.after(forMs, () => {
      if (this.#isDead || !this.#qemu.isAlive) return
      this.#isConnected = true
      if (this.#isOpen) this.hear(this.#qemu.status)
      for (const again of this.#waiting.splice(0)) again()
    })
  }

  /** The agent died. */
  drop(): void {
    this.#isDead = true
    if (this.#qemu.listener === this) {
      this.#qemu.listener = undefined
      this.#qemu.onDeath = undefined
    }
  }

  #died(): void {
    const wasHeard = this.#isOpen && this.#isConnected
    // A process is watched even without a connection; its last output is read first.
    const { world } = this.#qemu
    world.clock.after(wasHeard ? 0 : world.delay(100), () => this.#soon(() => {
      if (this.#isGoneTold) return
      this.#isGoneTold = true
      this.#listener.gone(wasHeard)
    }))
  }
}
