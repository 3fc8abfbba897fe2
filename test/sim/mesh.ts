import { GOSSIP_BYTES_MAX, type Member, type Mesh, type MessageStream } from '../../src/mesh/index.ts'
import { gossipTooLong, hostUnknown, hostUnreachable, meshStopped } from '../../src/mesh/mesherrors.ts'
import { assert } from '../../src/runtime/assert.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import type { SimStream } from './stream.ts'

export type Handler = (stream: MessageStream, from: Member) => Promise<void>
type MemberListener = (change: 'joined' | 'left', member: Member) => void
type TopicListener = (message: Uint8Array, fromPeerId: string) => void

/** The network as a mesh uses it. */
export interface MeshNetwork {
  enter(mesh: SimMesh): void
  leave(mesh: SimMesh): void
  open(from: SimMesh, to: string, protocol: string, signal: AbortSignal): Promise<MessageStream>
  publish(from: SimMesh, topic: string, message: Uint8Array): void
}

/** A host in the simulated network: one life, from start to stop or crash. Lanes are not simulated. */
export class SimMesh implements Mesh {
  readonly self: Member
  readonly index: number
  readonly portsOf = (): number[] => []
  readonly announcedBy = (): never[] => []
  readonly otherKeyHolders = (): never[] => []
  readonly letGo = (): void => undefined
  readonly laneAddress = ''
  readonly strangerCount = 0
  readonly doubled = []
  readonly traffic = { gossip: { sentBytes: 0, receivedBytes: 0 } }
  /** Open streams, with the host at their other end. */
  readonly streams = new Map<SimStream, SimMesh>()
  isAlive = false
  readonly #network: MeshNetwork
  /** By name: the life of each connected host. */
  readonly #lives = new Map<string, SimMesh>()
  readonly #memberListeners = new Set<MemberListener>()
  readonly #handlers = new Map<string, Handler>()
  readonly #topics = new Map<string, Set<TopicListener>>()
  /** The result of `members`, cached until a member comes or goes, because it is read often. */
  #members: Member[] | undefined

  constructor(network: MeshNetwork, init: { name: string; index: number }) {
    this.#network = network
    this.index = init.index
    this.self = Object.freeze({
      name: init.name, peerId: `sim-${init.name}`, address: `/sim/${init.name}`,
    })
  }

  members(): Member[] {
    this.#members ??= Array.from(this.#lives.values(), (life) => life.self)
    return this.#members
  }

  member(name: string): Member | undefined {
    return this.#lives.get(name)?.self
  }

  onMember(listener: MemberListener): () => void {
    this.#memberListeners.add(listener)
    return () => { this.#memberListeners.delete(listener) }
  }

  handle(protocol: string, handler: Handler): () => void {
    assert(!this.#handlers.has(protocol), 'a protocol has one handler')
    this.#handlers.set(protocol, handler)
    return () => { this.#handlers.delete(protocol) }
  }

  async open(memberName: string, protocol: string, signal: AbortSignal): Promise<MessageStream> {
    signal.throwIfAborted()
    if (!this.#lives.has(memberName)) throw hostUnknown(memberName, [...this.#lives.keys()])
    return this.#network.open(this, memberName, protocol, signal)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    if (!this.isAlive) throw meshStopped()
    if (message.length > GOSSIP_BYTES_MAX) throw gossipTooLong(message.length, GOSSIP_BYTES_MAX)
    this.#network.publish(this, topic, message)
  }

  subscribe(topic: string, listener: TopicListener): () => void {
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#topics.delete(topic)
    }
  }

  offerLane(): never {
    throw new Error('lanes are not simulated')
  }

  offerUnsecuredLane(): never {
    return this.offerLane()
  }

  async dialUnsecuredLane(): Promise<never> {
    return await this.dialLane()
  }

  async dialLane(): Promise<never> {
    throw new Error('lanes are not simulated')
  }

  async start(): Promise<void> {
    if (!this.isAlive) this.#network.enter(this)
  }

  async stop(): Promise<void> {
    if (this.isAlive) this.#network.leave(this)
  }

  isConnectedTo(other: SimMesh): boolean {
    return this.#lives.get(other.self.name) === other
  }

  /**
   * Another host is connected. If this one still has it with its earlier life, the members stay as they are, and only
   * that life's streams break.
   */
  meet(other: SimMesh): void {
    const { name } = other.self
    const known = this.#lives.get(name)
    if (!this.isAlive || known === other) return
    this.#lives.set(name, other)
    this.#members = undefined
    if (known !== undefined) this.#breakStreams(known)
    else for (const listener of [...this.#memberListeners]) listener('joined', other.self)
  }

  /** Another host's life, or the way to it, has ended. */
  lose(other: SimMesh): void {
    if (!this.isAlive || !this.isConnectedTo(other)) return
    this.#lives.delete(other.self.name)
    this.#members = undefined
    this.#breakStreams(other)
    for (const listener of [...this.#memberListeners]) listener('left', other.self)
  }

  /** Ends this life: whoever waits for it gets an error. */
  end(): void {
    this.isAlive = false
    for (const stream of [...this.streams.keys()]) stream.break(new Error('this host has ended'))
    this.#lives.clear()
    this.#members = undefined
  }

  serves(protocol: string): boolean {
    return this.#handlers.has(protocol)
  }

  /** Passes an arriving stream to its handler. */
  async answer(protocol: string, stream: SimStream, from: Member): Promise<void> {
    try {
      const handler = this.#handlers.get(protocol)
      if (handler === undefined) throw hostUnreachable(this.self.name, protocol, new Error('it is not served'))
      await handler(stream, from)
      await stream.close()
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'stream-ended') return stream.close()
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  follows(topic: string): boolean {
    return this.#topics.has(topic)
  }

  hear(topic: string, message: Uint8Array, fromPeerId: string): void {
    const listeners = this.#topics.get(topic)
    if (listeners !== undefined) for (const listener of listeners) listener(message, fromPeerId)
  }

  #breakStreams(other: SimMesh): void {
    for (const [stream, end] of [...this.streams]) {
      if (end === other) stream.break(new Error('the connection was lost'))
    }
  }
}
