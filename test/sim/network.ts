import type { MessageStream } from '../../src/mesh/index.ts'
import { hostUnknown, hostUnreachable } from '../../src/mesh/mesherrors.ts'
import { assert } from '../../src/runtime/assert.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import type { Chance } from '../support/chance.ts'
import { draw, drawDelay, type LinkModel } from './link.ts'
import { SimMesh, type MeshNetwork } from './mesh.ts'
import { SimStream } from './stream.ts'

const OPEN_TIMEOUT_MS = 10_000
/** Hosts that a host passes each gossiped message on to, as gossipsub is set in src/mesh/libp2p/libp2p.ts. */
const GOSSIP_DEGREE = 4
/** Moments at which a gossiped message reaches its receivers: an event per receiver would be too slow. */
const WAVES_MAX = 16
/** Bytes around each gossiped message: signature, author, sequence number, topic and framing. */
const GOSSIP_ENVELOPE_BYTES = 190

/** A network of hosts on virtual time, with faults drawn from a seed. */
export class SimNetwork implements MeshNetwork {
  readonly #clock: Clock
  readonly #chance: Chance
  readonly #model: LinkModel
  /** Running hosts, in the order of their starts. */
  readonly #alive = new Set<SimMesh>()
  readonly #byName = new Map<string, SimMesh>()
  /** Hosts on the far side of the partition, by name; empty: no partition. */
  #separated: ReadonlySet<string> = new Set()
  /** When all hosts have noticed the last partition. */
  #noticedAt = 0
  #nextIndex = 0
  /** Opened streams, and gossiped messages that arrived. */
  openCount = 0
  deliveryCount = 0

  constructor(components: { clock: Clock; chance: Chance }, model: LinkModel) {
    this.#clock = components.clock
    this.#chance = components.chance
    this.#model = model
  }

  /** Open ends of streams. */
  get openStreams(): number {
    let count = 0
    for (const mesh of this.#alive) count += mesh.streams.size
    return count
  }

  /** A new life of the host with this name. */
  createMesh(name: string): SimMesh {
    return new SimMesh(this, { name, index: this.#nextIndex++ })
  }

  enter(mesh: SimMesh): void {
    mesh.isAlive = true
    for (const other of this.#alive) {
      if (this.#reaches(mesh, other)) this.#connectAfter(draw(this.#model.joinMs, this.#chance), mesh, other)
    }
    this.#alive.add(mesh)
    this.#byName.set(mesh.self.name, mesh)
  }

  /** A host stops cleanly: the others are notified at once. */
  leave(mesh: SimMesh): void {
    this.#end(mesh, () => drawDelay(this.#model, this.#chance))
  }

  /** A host ends without notice: each of the others notices by itself. */
  crash(mesh: SimMesh): void {
    this.#end(mesh, () => draw(this.#model.crashNoticedMs, this.#chance))
  }

  /** Cuts these hosts off from all others. Bytes on their way are lost; both sides notice later. */
  partition(names: ReadonlySet<string>): void {
    assert(this.#separated.size === 0, 'one partition at a time')
    this.#separated = names
    this.#noticedAt = this.#clock.now() + this.#model.partitionNoticedMs.most
    for (const mesh of this.#alive) {
      for (const other of this.#alive) {
        if (this.#reaches(mesh, other)) continue
        this.#clock.after(draw(this.#model.partitionNoticedMs, this.#chance), () => mesh.lose(other))
      }
    }
  }

  /** Ends the partition, after all hosts have noticed it. */
  heal(): void {
    assert(this.#clock.now() >= this.#noticedAt, 'a partition lasts until it is noticed')
    this.#separated = new Set()
    const alive = [...this.#alive]
    for (const [index, mesh] of alive.entries()) {
      for (const other of alive.slice(index + 1)) {
        if (mesh.isConnectedTo(other)) continue
        this.#connectAfter(draw(this.#model.rejoinMs, this.#chance), mesh, other)
      }
    }
  }

  async open(from: SimMesh, to: string, protocol: string, signal: AbortSignal): Promise<MessageStream> {
    this.openCount += 1
    const target = this.#byName.get(to)
    const delayMs = drawDelay(this.#model, this.#chance)
    const isLost = this.#chance.happens(this.#model.loss)
    // Half of the broken exchanges never begin, the others break at one of their first messages.
    const failsToOpen = isLost && this.#chance.happens(0.5)
    const breaksAfter = isLost ? this.#chance.below(4) : Infinity
    if (target === undefined || !this.#reaches(from, target)) return this.#unanswered(from, to, protocol, signal)
    await this.#pass(delayMs)
    if (!this.#reaches(from, target)) return this.#unanswered(from, to, protocol, signal)
    if (failsToOpen || !target.serves(protocol)) {
      await this.#pass(delayMs)
      throw hostUnreachable(to, protocol, new Error('the stream was refused'))
    }
    const route = { clock: this.#clock, delayMs, breaksAfter, isOpen: () => this.#reaches(from, target) }
    const [near, far] = SimStream.pair(route, (end) => {
      from.streams.delete(end)
      target.streams.delete(end)
    })
    from.streams.set(near, target)
    target.streams.set(far, from)
    void target.answer(protocol, far, from.self)
    await this.#pass(delayMs)
    if (signal.aborted) near.abort(new Error('nobody waits for the stream any more'))
    signal.throwIfAborted()
    return near
  }

  publish(from: SimMesh, topic: string, message: Uint8Array): void {
    const copy = message.slice()
    const bytes = message.length + GOSSIP_ENVELOPE_BYTES
    const others = this.#alive.size - 1
    const hops = Math.max(1, Math.round(Math.log(Math.max(2, others)) / Math.log(GOSSIP_DEGREE)))
    // Each host passes a message on to all of its GOSSIP_DEGREE neighbours except its sender, and so receives as many
    // copies as it sends.
    const copies = Math.max(1, Math.min(GOSSIP_DEGREE, others) - 1)
    from.traffic.gossip.sentBytes += bytes * Math.min(GOSSIP_DEGREE, others)
    const waves: SimMesh[][] = Array.from({ length: Math.min(WAVES_MAX, others) }, () => [])
    for (const mesh of this.#alive) {
      if (mesh === from || !this.#reaches(from, mesh) || !mesh.follows(topic)) continue
      if (this.#chance.happens(this.#model.loss)) continue
      mesh.traffic.gossip.receivedBytes += bytes * copies
      mesh.traffic.gossip.sentBytes += bytes * copies
      waves[this.#chance.below(waves.length)]!.push(mesh)
      if (this.#chance.happens(this.#model.duplicates)) waves[this.#chance.below(waves.length)]!.push(mesh)
    }
    for (const receivers of waves) {
      if (receivers.length === 0) continue
      this.#clock.after(this.#gossipDelay(hops), () => {
        for (const mesh of receivers) this.#deliver(from, mesh, topic, copy)
      })
    }
  }

  #deliver(from: SimMesh, mesh: SimMesh, topic: string, message: Uint8Array): void {
    if (!this.#reaches(from, mesh)) return
    this.deliveryCount += 1
    mesh.hear(topic, message, from.self.peerId)
  }

  /** Whether two hosts can reach each other. Messages on their way when one of them ends do not arrive. */
  #reaches(one: SimMesh, other: SimMesh): boolean {
    if (!one.isAlive || !other.isAlive) return false
    if (this.#separated.size === 0) return true
    return this.#separated.has(one.self.name) === this.#separated.has(other.self.name)
  }

  /** Lets time pass; unlike the clock's own sleep it ignores signals, which would cost more than the wait. */
  #pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => { this.#clock.after(delayMs, resolve) })
  }

  #gossipDelay(hops: number): number {
    let delayMs = 0
    for (let hop = 0; hop < hops; hop++) delayMs += drawDelay(this.#model, this.#chance)
    return delayMs
  }

  #connectAfter(delayMs: number, mesh: SimMesh, other: SimMesh): void {
    this.#clock.after(delayMs, () => {
      if (!this.#reaches(mesh, other)) return
      mesh.meet(other)
      other.meet(mesh)
    })
  }

  #end(mesh: SimMesh, noticedAfter: () => number): void {
    this.#alive.delete(mesh)
    if (this.#byName.get(mesh.self.name) === mesh) this.#byName.delete(mesh.self.name)
    for (const other of this.#alive) {
      if (other.isConnectedTo(mesh)) this.#clock.after(noticedAfter(), () => other.lose(mesh))
    }
    mesh.end()
  }

  /** No answer: the stream fails at its time limit, or as soon as the host is known to be gone. */
  async #unanswered(from: SimMesh, to: string, protocol: string, signal: AbortSignal): Promise<never> {
    const noticed = new AbortController()
    const stop = from.onMember((change, member) => {
      if (change === 'left' && member.name === to) noticed.abort()
    })
    const either = AbortSignal.any([signal, noticed.signal])
    await this.#clock.sleep(OPEN_TIMEOUT_MS, either).catch(() => undefined)
    stop()
    signal.throwIfAborted()
    if (noticed.signal.aborted) throw hostUnknown(to, from.members().map(({ name }) => name))
    throw hostUnreachable(to, protocol, new Error('no answer in time'))
  }
}
