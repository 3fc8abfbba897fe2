import type { HostPort } from '../../net/hostport.ts'
import { assert } from '../../runtime/assert.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { silentLog } from '../../runtime/log.ts'
import { systemRandom } from '../../runtime/random.ts'
import { checkHostName } from '../hostname.ts'
import { securedOffer, type Lane, type LaneTicket, type UnsecuredLane } from '../lanes/lane.ts'
import { LaneTickets } from '../lanes/lanetickets.ts'
import { GOSSIP_BYTES_MAX } from '../limits.ts'
import { MemberTable } from '../members/membertable.ts'
import type { Member, Mesh, MeshTraffic, MessageStream, Unsubscribe } from '../mesh.ts'
import { gossipTooLong, hostUnknown, hostUnreachable, meshStopped, nameTaken } from '../mesherrors.ts'
import { createLanePair } from './memorylane.ts'
import { MemoryStream } from './memorystream.ts'

type Handler = (stream: MessageStream, from: Member) => Promise<void>
type TopicListener = (message: Uint8Array, fromPeerId: string) => void

/** State that the hosts of one process share: who has started, and who can reach whom. */
export interface MemoryHub {
  readonly clock: Clock
  /** Admits a host, or returns the member that has its name. */
  enter(mesh: MemoryMesh): Member | undefined
  leave(mesh: MemoryMesh): void
  reach(from: string, to: string): MemoryMesh | undefined
  /** Remembers a lane, so that it can be cut. */
  hold(lane: Lane): void
}

/** A host's place in a mesh inside this process. */
export class MemoryMesh implements Mesh {
  readonly self: Member
  readonly #hub: MemoryHub
  readonly #key: string
  readonly #members = new MemberTable({ log: silentLog })
  readonly #handlers = new Map<string, Handler>()
  readonly #topics = new Map<string, Set<TopicListener>>()
  /** Open streams, by the name of the other host. */
  readonly #streams = new Map<MemoryStream, string>()
  readonly #lanes = new Set<Lane>()
  readonly #gossip = { sentBytes: 0, receivedBytes: 0 }
  #tickets: LaneTickets
  #isStarted = false
  strangerCount = 0
  readonly doubled = []

  constructor(hub: MemoryHub, init: { name: string; key: string }) {
    checkHostName(init.name)
    this.#hub = hub
    this.#key = init.key
    this.self = { name: init.name, peerId: `memory-${init.name}`, address: `/memory/${init.name}` }
    this.#tickets = this.#newTickets()
  }

  /** Hosts with other keys never meet. */
  otherKeyHolders(): string[] {
    return []
  }

  letGo(peerId: string): void {
    const name = this.#members.ofPeer(peerId)?.name
    if (name === undefined) return
    this.#hub.reach(this.self.name, name)?.lose(this.self.name)
    this.lose(name)
  }

  get traffic(): MeshTraffic {
    return { gossip: { ...this.#gossip } }
  }

  members(): Member[] {
    return this.#members.all().map((member) => ({ ...member }))
  }

  member(name: string): Member | undefined {
    const member = this.#members.named(name)
    return member === undefined ? undefined : { ...member }
  }

  /** Nobody dials anything in this mesh. */
  portsOf(): readonly number[] {
    return []
  }

  announcedBy(): readonly HostPort[] {
    return []
  }

  get laneAddress(): string {
    return this.#isStarted ? `${this.self.name}:1` : ''
  }

  onMember(listener: (change: 'joined' | 'left', member: Member) => void): Unsubscribe {
    return this.#members.onChange(listener)
  }

  handle(protocol: string, handler: Handler): Unsubscribe {
    assert(!this.#handlers.has(protocol), 'a protocol has one handler')
    this.#handlers.set(protocol, handler)
    return () => { if (this.#handlers.get(protocol) === handler) this.#handlers.delete(protocol) }
  }

  async open(memberName: string, protocol: string, signal: AbortSignal): Promise<MessageStream> {
    signal.throwIfAborted()
    if (this.#members.named(memberName) === undefined) {
      throw hostUnknown(memberName, this.#members.all().map(({ name }) => name))
    }
    const other = this.#hub.reach(this.self.name, memberName)
    if (other?.serves(protocol) !== true) {
      throw hostUnreachable(memberName, protocol, new Error('the protocol is not served'))
    }
    const [near, far] = MemoryStream.pair((end) => {
      this.#streams.delete(end)
      other.#streams.delete(end)
    })
    this.#streams.set(near, memberName)
    other.#streams.set(far, this.self.name)
    // Never rejects: a failure breaks the stream.
    void other.#answer(protocol, far, this.self)
    return near
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    if (!this.#isStarted) throw meshStopped()
    if (message.length > GOSSIP_BYTES_MAX) throw gossipTooLong(message.length, GOSSIP_BYTES_MAX)
    const copy = message.slice()
    for (const { name } of this.#members.all()) {
      const other = this.#hub.reach(this.self.name, name)
      if (other === undefined || !other.#topics.has(topic)) continue
      this.#gossip.sentBytes += copy.length
      // Asynchronously, as in a network: a host that publishes inside a listener must not be called back from it.
      queueMicrotask(() => other.#hear(topic, copy, this.self.peerId))
    }
  }

  subscribe(topic: string, listener: TopicListener): Unsubscribe {
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners.add(listener))
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#topics.delete(topic)
    }
  }

  offerLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<Lane> } {
    return securedOffer(this.offerUnsecuredLane(signal), signal)
  }

  async dialLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<Lane> {
    return await (await this.dialUnsecuredLane(member, ticket, signal)).secure(signal)
  }

  offerUnsecuredLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<UnsecuredLane> } {
    if (!this.#isStarted) throw meshStopped()
    const { id, key, lane } = this.#tickets.offer(signal)
    return { ticket: { address: this.laneAddress, id, key: Buffer.from(key).toString('hex') }, lane }
  }

  async dialUnsecuredLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<UnsecuredLane> {
    signal.throwIfAborted()
    const other = this.#hub.reach(this.self.name, member.name)
    const offer = other === undefined ? undefined : other.#tickets.take(ticket.id)
    if (other === undefined || offer === undefined || Buffer.from(offer.key).toString('hex') !== ticket.key) {
      throw new PagemeshError('lane-unreachable', `The bulk lane ${ticket.address} could not be opened.`, {
        fault: 'network', phase: 'opening a lane', advice: 'Ask for another ticket: this one is used up, old or wrong.',
      })
    }
    const [near, far] = createLanePair({ clock: this.#hub.clock })
    offer.settle(unsecured(other.#hold(far)))
    return unsecured(this.#hold(near))
  }

  async start(): Promise<void> {
    if (this.#isStarted) return
    const holder = this.#hub.enter(this)
    if (holder !== undefined) throw nameTaken(holder.name, holder.peerId)
    this.#isStarted = true
  }

  async stop(): Promise<void> {
    if (!this.#isStarted) return
    this.#isStarted = false
    this.#hub.leave(this)
    for (const { name } of this.#members.all()) this.lose(name)
    for (const lane of this.#lanes) lane.destroy()
    this.#tickets.close()
    this.#tickets = this.#newTickets()
  }

  serves(protocol: string): boolean {
    return this.#handlers.has(protocol)
  }

  /** Another host started: a member if it has our key. */
  meet(other: MemoryMesh): void {
    if (other.#key === this.#key) this.#members.add({ ...other.self })
    else this.strangerCount += 1
  }

  /** A member cannot be reached any more: its streams and lanes break. */
  lose(name: string): void {
    const member = this.#members.named(name)
    if (member === undefined) return
    for (const [stream, otherName] of [...this.#streams]) {
      if (otherName === name) stream.break(new Error('the connection was lost'))
    }
    this.#members.remove(member.peerId)
  }

  async #answer(protocol: string, stream: MemoryStream, from: Member): Promise<void> {
    try {
      await this.#handlers.get(protocol)!(stream, { ...from })
      await stream.close()
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'stream-ended') return stream.close()
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #hear(topic: string, message: Uint8Array, fromPeerId: string): void {
    this.#gossip.receivedBytes += message.length
    for (const listener of [...this.#topics.get(topic) ?? []]) listener(message, fromPeerId)
  }

  #hold(lane: Lane): Lane {
    this.#lanes.add(lane)
    this.#hub.hold(lane)
    // `closed` never rejects.
    void lane.closed.then(() => this.#lanes.delete(lane))
    return lane
  }

  #newTickets(): LaneTickets {
    return new LaneTickets({ clock: this.#hub.clock, random: systemRandom })
  }
}

/** A lane inside this process has no file descriptor to give to another thread. */
function unsecured(lane: Lane): UnsecuredLane {
  return { secure: async () => lane, handOver: () => undefined, destroy: () => lane.destroy() }
}
