/** A host's agent, which dies and comes back with its disk's records and its QEMU's state. */
import type { Facts } from '../../../src/conversation/restart.ts'
import { ModelDisk } from './disk.ts'
import type { ModelQemu, Side } from './modelqemu.ts'
import type { LinkListener } from './network.ts'
import type { Recorded } from './runner.ts'
import { ModelSession } from './session.ts'
import type { World } from './world.ts'

/** The members of an end that a host uses. */
export interface HostRunner {
  state: { at: string }
  isStandingBack: boolean
  isDelivered: boolean
  isLive: boolean
  readonly link: LinkListener
  news(status: string): void
  gone(wasHeard: boolean): void
  die(): void
}

export abstract class Host<Runner extends HostRunner, As> {
  readonly world: World
  readonly side: Side
  readonly disk: ModelDisk<Recorded<As>>
  isUp = true
  runner: Runner | undefined
  session: ModelSession
  /** Counts lives. */
  #life = 0

  constructor(world: World, side: Side) {
    this.world = world
    this.side = side
    this.disk = new ModelDisk(world)
    this.session = this.#openSession()
  }

  abstract get qemu(): ModelQemu
  /** Restarts the end from its record. */
  abstract restart(record: Recorded<As>, facts: Facts): Runner

  #openSession(): ModelSession {
    return new ModelSession(this.qemu, {
      news: (status) => this.runner?.news(status),
      gone: (wasHeard) => this.runner?.gone(wasHeard),
      putBack: () => this.disk.write(() => { this.disk.hasUndo = false }),
    })
  }

  /** The agent dies, and comes back after `forMs`. */
  die(forMs: number): void {
    if (!this.isUp) return
    this.world.note(this.side, 'agent dies')
    this.isUp = false
    this.#life += 1
    this.runner?.die()
    this.runner = undefined
    this.session.drop()
    this.disk.crash()
    this.world.network.link?.close(this.side)
    this.qemuPassage()?.fail(this.side, false)
    this.world.clock.after(forMs, () => this.comeBack())
  }

  protected qemuPassage(): { fail(side: Side, isTold: boolean): void } | undefined {
    return this.world[this.side].passage
  }

  comeBack(): void {
    if (this.isUp) return
    this.world.note(this.side, 'agent comes back', JSON.stringify(this.disk.record))
    this.isUp = true
    const life = this.#life
    this.session = this.#openSession()
    const { record, hasUndo } = this.disk
    if (record === undefined) {
      if (hasUndo) this.session.close()
      return
    }
    const start = (facts: Facts): void => {
      if (life !== this.#life || this.runner !== undefined) return
      this.session.open()
      this.runner = this.restart(record, facts)
    }
    if (!this.qemu.isAlive) return start({ alive: false })
    this.session.command(() => ({ alive: true, status: this.qemu.status, state: this.qemu.runState } as const), start)
    // It may die before it answers.
    const watch = (): void => {
      if (life !== this.#life || this.runner !== undefined) return
      if (this.qemu.isAlive) this.world.clock.after(100, watch)
      else start({ alive: false })
    }
    watch()
  }
}
