import { formatHostPort, parseTcpMultiaddr, type HostPort } from '../net/hostport.ts'
import { assert } from '../runtime/assert.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { waitAtMost, withDeadline } from '../runtime/wait.ts'
import { KnownHosts } from './admission/knownhosts.ts'
import { OtherKeys } from './admission/otherkeys.ts'
import type { RefusedError } from './admission/proof.ts'
import type { Verdict } from './admission/proofcodec.ts'
import { Strangers } from './admission/strangers.ts'
import { checkHostName } from './hostname.ts'
import type { Invitations } from './invitation/invitations.ts'
import { newcomerTaker } from './invitation/newcomers.ts'
import { securedOffer, type Lane, type LaneTicket, type UnsecuredLane } from './lanes/lane.ts'
import { announcedLane, defaultLane, dialableLane, parseLaneAddress } from './lanes/laneaddress.ts'
import { dialLaneSocket } from './lanes/lanedial.ts'
import { laneHost } from './lanes/lanehosts.ts'
import { LaneServer } from './lanes/laneserver.ts'
import { GOSSIP_BYTES_MAX, MESSAGE_BYTES_MAX } from './limits.ts'
import { MEMBERS_TOPIC } from './members/announcer.ts'
import { Doubles, type Doubled } from './members/doubles.ts'
import { Introductions } from './members/introductions.ts'
import { MemberTable } from './members/membertable.ts'
import type { NamePins } from './members/namepins.ts'
import { Redialer } from './members/redialer.ts'
import type { Member, Mesh, MeshTraffic, MessageStream, Unsubscribe } from './mesh.ts'
import { gossipTooLong, hostUnknown, hostUnreachable, meshStopped, nameTaken } from './mesherrors.ts'
import type { Network } from './network.ts'
import { FramedStream, type ByteChannel } from './streams/framedstream.ts'

/** How long `start` waits for the first attempt at every bootstrap peer; later attempts go on in the background. */
const FIRST_ROUND_MS = 5_000
const OPEN_TIMEOUT_MS = 10_000

type Handler = (stream: MessageStream, from: Member) => Promise<void>
type TopicListener = (message: Uint8Array, fromPeerId: string) => void

interface HostMeshInit {
  name: string
  listen: string[]
  lane?: string
  announce?: string[]
  bootstrap: string[]
  /** Which identity each name belongs to; left out: the first that comes. */
  pins?: NamePins
  /** Left out: this host invites no other. */
  invitations?: Invitations
}

/** A host in the mesh: its members, and the ways to reach them, over a peer-to-peer network and a lane port. */
export class HostMesh implements Mesh {
  readonly #components: { clock: Clock; log: Log; random: Random }
  readonly #clock: Clock
  readonly #log: Log
  readonly #network: Network
  readonly #init: HostMeshInit
  readonly #members: MemberTable
  readonly #handlers = new Map<string, { handler: Handler; stop: Unsubscribe | undefined }>()
  readonly #topics = new Map<string, Set<TopicListener>>()
  /** The last start or stop; the next one waits for it. */
  #transition: Promise<void> = Promise.resolve()
  #isStarted = false
  /** Cached: `self` is read often, and the network builds its addresses anew each time. */
  #address = ''
  #lanes: LaneServer | undefined
  readonly #dialedLanes = new Set<UnsecuredLane>()
  #redialer: Redialer | undefined
  #introductions: Introductions | undefined
  #refusal: RefusedError | undefined
  readonly #strangers: Strangers
  readonly #doubles: Doubles
  readonly #knownHosts = new KnownHosts()
  readonly #otherKeys: OtherKeys

  readonly otherKeyHolders = (): string[] => this.#otherKeys.list()
  readonly letGo = (peerId: string): void => this.#network.disconnect(peerId)

  constructor(components: { clock: Clock; log: Log; random: Random }, network: Network, init: HostMeshInit) {
    checkHostName(init.name)
    this.#components = components
    this.#clock = components.clock
    this.#log = components.log
    this.#network = network
    this.#init = init
    this.#members = new MemberTable(components)
    this.#strangers = new Strangers(components)
    this.#otherKeys = new OtherKeys(init)
    this.#doubles = new Doubles(components)
    for (const address of init.bootstrap) this.#knownHosts.add(address)
  }

  get self(): Member {
    return { name: this.#init.name, peerId: this.#network.peerId, address: this.#address }
  }

  members(): Member[] {
    return this.#members.all().map((member) => ({ ...member }))
  }

  member(name: string): Member | undefined {
    const member = this.#members.named(name)
    return member === undefined ? undefined : { ...member }
  }

  portsOf(peerId: string): readonly number[] {
    return this.#introductions?.portsOf(peerId) ?? []
  }

  announcedBy(peerId: string): readonly HostPort[] {
    return this.#introductions?.meshOf(peerId) ?? []
  }

  get laneAddress(): string {
    const { announce = [], lane } = this.#init
    return this.#lanes === undefined ? '' : announcedLane(this.#lanes.address, announce, lane !== undefined)
  }

  get strangerCount(): number {
    return this.#strangers.count
  }

  get doubled(): readonly Doubled[] {
    return this.#doubles.all()
  }

  get traffic(): MeshTraffic {
    return { gossip: { sentBytes: this.#network.gossipSentBytes, receivedBytes: this.#network.gossipReceivedBytes } }
  }

  onMember(listener: (change: 'joined' | 'left', member: Member) => void): Unsubscribe {
    return this.#members.onChange(listener)
  }

  handle(protocol: string, handler: Handler): Unsubscribe {
    assert(!this.#handlers.has(protocol), 'a protocol has one handler')
    const entry: { handler: Handler; stop: Unsubscribe | undefined } = { handler, stop: undefined }
    this.#handlers.set(protocol, entry)
    // Never rejects: it logs its failure.
    if (this.#isStarted) void this.#serve(protocol)
    return () => {
      if (this.#handlers.get(protocol) !== entry) return
      entry.stop?.()
      this.#handlers.delete(protocol)
    }
  }

  async open(memberName: string, protocol: string, signal: AbortSignal): Promise<MessageStream> {
    signal.throwIfAborted()
    const member = this.#members.named(memberName)
    if (member === undefined) throw hostUnknown(memberName, this.#members.all().map(({ name }) => name))
    const late = (): Error => new Error('no answer in time')
    try {
      return this.#framed(await withDeadline(this.#clock, { signal, limitMs: OPEN_TIMEOUT_MS, late }, (within) => {
        return this.#network.openChannel(member.peerId, protocol, within)
      }))
    } catch (error) {
      signal.throwIfAborted()
      throw hostUnreachable(memberName, protocol, error)
    }
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    if (!this.#isStarted) throw meshStopped()
    if (message.length > GOSSIP_BYTES_MAX) throw gossipTooLong(message.length, GOSSIP_BYTES_MAX)
    await this.#network.publish(topic, message)
  }

  subscribe(topic: string, listener: TopicListener): Unsubscribe {
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners)
    listeners.add(listener)
    if (this.#isStarted && listeners.size === 1) this.#network.subscribe(topic)
    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return
      this.#topics.delete(topic)
      if (this.#isStarted) this.#network.unsubscribe(topic)
    }
  }

  offerLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<Lane> } {
    return securedOffer(this.offerUnsecuredLane(signal), signal)
  }

  async dialLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<Lane> {
    return await (await this.dialUnsecuredLane(member, ticket, signal)).secure(signal)
  }

  offerUnsecuredLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<UnsecuredLane> } {
    if (this.#lanes === undefined) throw meshStopped()
    const { ticket, lane } = this.#lanes.offer(signal)
    return { ticket: { ...ticket, address: this.laneAddress }, lane }
  }

  async dialUnsecuredLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<UnsecuredLane> {
    const { host, port } = parseLaneAddress(ticket.address)
    const own = await laneHost(host, {
      connected: parseTcpMultiaddr(member.address)?.host, announced: this.#introductions?.hostsOf(member.peerId) ?? [],
    })
    const lane = await dialLaneSocket(this.#components, formatHostPort({ host: own, port }), ticket, signal)
    if (!this.#isStarted) {
      lane.destroy()
      throw meshStopped()
    }
    this.#dialedLanes.add(lane)
    // `closed` never rejects.
    void lane.closed.then(() => this.#dialedLanes.delete(lane))
    return lane
  }

  start(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isStarted) return
      this.#refusal = undefined
      try {
        await this.#start()
      } catch (error) {
        await this.#stop()
        throw error
      }
    })
  }

  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop())
  }

  #inTurn(run: () => Promise<void>): Promise<void> {
    const turn = this.#transition.then(run)
    // The caller of this turn gets its error; the next one only waits for its end.
    this.#transition = turn.catch(() => {})
    return turn
  }

  async #start(): Promise<void> {
    // Before the mesh: the first peer may get a lane offer at once.
    this.#lanes = new LaneServer(this.#components, {
      isKnown: (host) => this.#knownHosts.has(host),
      stranger: (host, reason) => this.#strangers.note(host, reason),
      ...newcomerTaker({ clock: this.#clock, invitations: this.#init.invitations }, {
        self: () => ({ host: this.#init.name, meshPort: parseTcpMultiaddr(this.#address)?.port ?? 0 }),
        isHere: (other) => other === this.#init.name || this.#members.named(other) !== undefined,
      }),
    })
    await this.#lanes.listen(this.#init.lane ?? defaultLane(this.#init.listen))
    this.#redialer = new Redialer(this.#components, {
      selfPeerId: () => this.#network.peerId,
      dial: (address, signal) => this.#network.dial(address, signal),
      isConnected: (peerId) => this.#members.ofPeer(peerId) !== undefined,
    })
    await this.#network.start(this.#networkListener())
    this.#address = this.#network.addresses()[0] ?? ''
    this.#init.pins?.own(this.#init.name, this.#network.peerId)
    if (this.#init.invitations !== undefined) {
      this.#init.invitations.address = dialableLane(this.laneAddress, this.#network.addresses())
    }
    this.#isStarted = true
    for (const protocol of this.#handlers.keys()) await this.#serve(protocol)
    for (const topic of this.#topics.keys()) this.#network.subscribe(topic)
    this.#announce(this.#redialer)
    await this.#firstRound(this.#redialer)
  }

  #announce(redialer: Redialer): void {
    const { name, pins } = this.#init
    this.#introductions = new Introductions(this.#components, {
      self: { name, peerId: this.#network.peerId },
      addresses: () => this.#network.addresses(),
      laneAddress: this.laneAddress,
      pins, redialer,
      memberCount: () => this.#members.all().length,
      isMember: (peerId) => this.#members.ofPeer(peerId) !== undefined,
      publish: (message) => this.#network.publish(MEMBERS_TOPIC, message),
    })
    this.#network.subscribe(MEMBERS_TOPIC)
    this.#introductions.start()
  }

  async #firstRound(redialer: Redialer): Promise<void> {
    const attempts = Promise.all(this.#init.bootstrap.map((address) => redialer.keepBootstrap(address)))
    await waitAtMost(this.#clock, attempts, FIRST_ROUND_MS)
    // TypeScript cannot see that the network's listener may have set it meanwhile.
    const refusal = this.#refusal
    if (refusal !== undefined) throw nameTaken(refusal.holderName, refusal.holderPeerId)
  }

  async #stop(): Promise<void> {
    this.#isStarted = false
    this.#introductions?.stop()
    await this.#redialer?.stop()
    for (const lane of this.#dialedLanes) lane.destroy()
    await this.#network.stop()
    this.#address = ''
    if (this.#init.invitations !== undefined) this.#init.invitations.address = undefined
    await this.#lanes?.close()
    this.#strangers.stop()
    this.#introductions = undefined
    this.#redialer = undefined
    this.#lanes = undefined
    for (const { peerId } of this.#members.all()) this.#members.remove(peerId)
  }

  #networkListener(): Parameters<Network['start']>[0] {
    return {
      admit: (name, peerId, instance) => this.#admit(name, peerId, instance),
      isKnown: (host) => this.#knownHosts.has(host),
      connected: (peer) => {
        this.#init.pins?.trust(peer.name, peer.peerId)
        this.#otherKeys.forget(peer.peerId)
        this.#knownHosts.add(peer.address)
        this.#members.add(peer)
        this.#introductions?.announceSoon()
      },
      disconnected: (peerId) => {
        this.#members.remove(peerId)
        this.#redialer?.peerLeft(peerId)
      },
      stranger: (from, reason) => this.#strangers.note(from, reason),
      metItself: () => this.#doubles.met(this.self),
      otherKey: (peerId, isDialed) => this.#otherKeys.met(peerId, isDialed),
      refused: (refusal) => this.#refused(refusal),
      message: (topic, message, fromPeerId, viaPeerId) => this.#heard(topic, message, fromPeerId, viaPeerId),
    }
  }

  /**
   * Whether a host may join under this name: no other identity has it now or is pinned to it, and it is the only one
   * with its identity.
   */
  #admit(name: string, peerId: string, instance?: string): Verdict {
    const seen = instance === undefined ? 'same' : this.#doubles.seen(name, peerId, instance)
    if (seen !== 'same') this.#network.disconnect(peerId)
    if (this.#doubles.isDoubled(peerId)) return { code: 'name-taken', holderName: name, holderPeerId: peerId }
    const { pins } = this.#init
    const pinned = pins?.holderOf(name)
    const verdict: Verdict = pinned === undefined || pinned === peerId
      ? this.#members.admit(this.self, name, peerId)
      : { code: 'name-taken', holderName: name, holderPeerId: pinned }
    if (verdict.code !== 'accepted') pins?.refuse(name, peerId)
    return verdict
  }

  #refused(refusal: RefusedError): void {
    const fields = { name: refusal.holderName, holderPeerId: refusal.holderPeerId }
    if (refusal.by === 'self') {
      // Doubles logs it.
      if (this.#doubles.isDoubled(refusal.holderPeerId)) return
      // With pins, NamePins logs more about it, at a bounded rate.
      if (this.#init.pins === undefined) this.#log.warn('a host was refused: its name is taken', fields)
      return
    }
    if (refusal.holderPeerId === this.#network.peerId) return this.#doubles.met(this.self)
    this.#refusal = refusal
    this.#log.error('this host was refused: its name is taken', fields)
  }

  #heard(topic: string, message: Uint8Array, fromPeerId: string, viaPeerId: string): void {
    if (topic === MEMBERS_TOPIC) this.#introductions?.heard(message, fromPeerId, viaPeerId)
    for (const listener of [...this.#topics.get(topic) ?? []]) listener(message, fromPeerId)
  }

  async #serve(protocol: string): Promise<void> {
    const entry = this.#handlers.get(protocol)
    if (entry === undefined) return
    try {
      entry.stop = await this.#network.handle(protocol, (channel, peerId) => {
        // Never rejects: it logs its failure and breaks the stream.
        void this.#answer(protocol, entry.handler, this.#framed(channel), peerId)
      })
    } catch (error) {
      // The mesh stopped meanwhile: the next start serves it.
      this.#log.debug('a protocol is not served', { protocol, reason: String(error) })
      return
    }
    // The handler may have been removed while the network registered it.
    if (this.#handlers.get(protocol) !== entry) entry.stop()
  }

  async #answer(protocol: string, handler: Handler, stream: MessageStream, peerId: string): Promise<void> {
    const from = this.#members.ofPeer(peerId)
    if (from === undefined) {
      stream.abort(new Error('the peer is no member'))
      return
    }
    try {
      await handler(stream, { ...from })
      await stream.close()
    } catch (error) {
      // Most handlers read until the peer closes the stream.
      if (error instanceof PagemeshError && error.code === 'stream-ended') return stream.close()
      this.#log.warn('a stream was given up', { protocol, member: from.name, reason: String(error) })
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #framed(channel: ByteChannel): MessageStream {
    return new FramedStream(this.#components, channel, { messageBytesMax: MESSAGE_BYTES_MAX })
  }
}
