/**
 * A model passage: bytes that a QEMU writes come out at the other end, in order, after a while. A break breaks both
 * legs; each end notices by itself.
 */
import type { Side } from './modelqemu.ts'
import type { StreamItem } from './modelsource.ts'
import type { World } from './world.ts'

/** An agent's listener at its end. */
export interface PassageListener {
  failed(): void
  /** At the source's end only: items that it reads from the stream. */
  read?(item: StreamItem): void
}

export class ModelPassage {
  readonly world: World
  readonly listeners: { source: PassageListener | undefined; destination: PassageListener | undefined }
  /** Whether this end still carries bytes. */
  readonly #isUp = { source: true, destination: true }
  isOpen = false
  #isFinished = false
  #isCut = false
  readonly #lastAtMs = { down: 0, up: 0, read: 0 }

  constructor(world: World, listener: PassageListener) {
    this.world = world
    this.listeners = { source: listener, destination: undefined }
  }

  /** The destination's end exists, and is connected to its QEMU. False if there is nothing to connect to. */
  open(listener: PassageListener): boolean {
    const isReachable = this.#isUp.source && this.#isUp.destination && !this.#isCut
    if (this.isOpen || !isReachable || this.world.network.isPassageCut) return false
    this.isOpen = true
    this.listeners.destination = listener
    this.world.destination.connected(this)
    this.world.clock.after(this.world.delay(3), () => {
      if (this.#isUp.source) this.world.source.channelOpened(this)
    })
    return true
  }

  down(item: StreamItem): void {
    if (!this.#isUp.source) return this.world.source.legBroken()
    this.#inOrder('read', 1, () => {
      if (this.#isUp.source) this.listeners.source?.read?.(item)
    })
    this.#inOrder('down', 5, () => {
      if (this.#isUp.destination && !this.#isCut) this.world.destination.receive(item, this)
    })
  }

  up(kind: 'shut' | 'resumeAck'): void {
    this.#inOrder('up', 5, () => {
      if (this.#isUp.source && this.#isUp.destination && !this.#isCut) this.world.source.hear(kind)
    })
  }

  /** The source QEMU got the last message: an end of the passage now is a clean one. */
  finish(): void {
    this.#isFinished = true
  }

  /** A QEMU closed its leg, or its process ended: the other one reads to the end of the bytes. */
  closedByQemu(side: Side): void {
    if (this.#isFinished || !this.#isUp[side]) return
    if (side === 'source') {
      this.#isUp.source = false
      this.#inOrder('down', 5, () => {
        if (this.#isUp.destination && !this.#isCut) this.world.destination.receive({ kind: 'eof' }, this)
      })
      return
    }
    this.fail('destination')
  }

  /** An end breaks: its QEMU's leg at once, the other end when the lane reports it. */
  fail(side: Side, isTold = true): void {
    if (this.#isFinished || !this.#isUp[side]) return
    this.#isUp[side] = false
    const qemu = side === 'source' ? this.world.source : this.world.destination
    if (qemu.passages.includes(this)) qemu.legBroken()
    if (isTold) this.listeners[side]?.failed()
    const other: Side = side === 'source' ? 'destination' : 'source'
    if (!this.#isCut) this.world.clock.after(this.world.delay(20), () => this.fail(other))
  }

  /** The network passes nothing any more; each end notices by itself. */
  cut(): void {
    if (this.#isCut) return
    this.#isCut = true
    for (const side of ['source', 'destination'] as const) {
      this.world.clock.after(this.world.delay(8000), () => this.fail(side))
    }
  }

  #inOrder(way: 'down' | 'up' | 'read', mostMs: number, run: () => void): void {
    const atMs = Math.max(this.#lastAtMs[way], this.world.clock.now() + this.world.delay(mostMs))
    this.#lastAtMs[way] = atMs
    this.world.clock.after(atMs - this.world.clock.now(), run)
  }
}
