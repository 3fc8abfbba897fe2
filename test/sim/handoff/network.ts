/** The network between the two hosts: the conversation's lane, streams of the mesh, and the lanes of passages. */
import type { IncomingMessage, OutgoingMessage } from '../../../src/conversation/conversation.ts'
import type { Side } from './modelqemu.ts'
import type { World } from './world.ts'

export type AnyMessage = IncomingMessage | OutgoingMessage

export interface LinkListener {
  message(message: AnyMessage): void
  lost(): void
}

export function otherSide(side: Side): Side {
  return side === 'source' ? 'destination' : 'source'
}

/** The conversation's lane: messages in order; each end notices a cut by itself. */
export class ModelLink {
  readonly #world: World
  /** Messages may be lost and sent again by TCP. */
  readonly #slowestMs: number
  readonly #ends: Record<Side, { listener: LinkListener; isOpen: boolean; lastAtMs: number; isCut: boolean }>

  constructor(world: World, listeners: Record<Side, LinkListener>) {
    this.#world = world
    this.#slowestMs = world.chance.happens(0.1) ? 1500 : 10
    const end = (listener: LinkListener) => ({ listener, isOpen: true, lastAtMs: 0, isCut: false })
    this.#ends = { source: end(listeners.source), destination: end(listeners.destination) }
  }

  get isUp(): boolean {
    return this.#ends.source.isOpen || this.#ends.destination.isOpen
  }

  send(from: Side, message: AnyMessage): void {
    if (!this.#ends[from].isOpen) return
    const to = otherSide(from)
    this.#arrive(to, () => this.#ends[to].listener.message(message))
  }

  /** Earlier messages arrive first. */
  close(from: Side): void {
    if (!this.#ends[from].isOpen) return
    this.#ends[from].isOpen = false
    const to = otherSide(from)
    this.#arrive(to, () => this.#lose(to))
  }

  #arrive(to: Side, run: () => void): void {
    const end = this.#ends[to]
    const { clock } = this.#world
    end.lastAtMs = Math.max(end.lastAtMs, clock.now() + this.#world.delay(this.#slowestMs))
    clock.after(end.lastAtMs - clock.now(), () => {
      if (end.isOpen && !end.isCut) run()
    })
  }

  #lose(side: Side): void {
    const end = this.#ends[side]
    if (!end.isOpen) return
    end.isOpen = false
    end.listener.lost()
  }

  /** Nothing arrives at `side` any more, which it notices after a while; later the other side does. */
  cut(side: Side): void {
    const end = this.#ends[side]
    if (!end.isOpen || end.isCut) return
    end.isCut = true
    this.#world.clock.after(this.#world.delay(8000), () => {
      this.#lose(side)
      const other = otherSide(side)
      this.#arrive(other, () => this.#lose(other))
    })
  }
}

export class ModelNetwork {
  readonly #world: World
  link: ModelLink | undefined
  isLinkCut = false
  isPassageCut = false
  /** Streams of the mesh fail. */
  isMeshCut = false

  constructor(world: World) {
    this.#world = world
  }

  cut({ link, passage, mesh }: { link?: boolean; passage?: boolean; mesh?: boolean }, forMs: number): void {
    if (link === true) {
      this.isLinkCut = true
      this.link?.cut('source')
      this.link?.cut('destination')
    }
    if (passage === true) {
      this.isPassageCut = true
      for (const passage of this.#world.source.passages) passage.cut()
    }
    if (mesh === true) this.isMeshCut = true
    this.#world.clock.after(forMs, () => this.heal())
  }

  heal(): void {
    this.isLinkCut = false
    this.isPassageCut = false
    this.isMeshCut = false
  }

  /** Over the mesh: calls `run` at the other host if it is reachable, and `failed` otherwise. */
  reach(run: () => void, failed?: () => void): void {
    this.#world.clock.after(this.#world.delay(20), () => {
      if (!this.isMeshCut) return run()
      this.#world.clock.after(this.#world.delay(2000), () => failed?.())
    })
  }
}
