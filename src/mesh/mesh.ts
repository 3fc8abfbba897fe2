/** A mesh as the rest of the agent sees it, whatever carries it. */
import type { HostPort } from '../net/hostport.ts'
import type { Lane, LaneTicket, UnsecuredLane } from './lanes/lane.ts'

/** A host of the mesh that proved the cluster key and is connected now. */
export interface Member {
  /** The host's configured name, unique in the mesh. */
  name: string
  peerId: string
  /** The multiaddr that it is connected over. */
  address: string
}

export interface Mesh {
  /** This host. Between hosts its peer id and address are empty until it has started. */
  readonly self: Member
  /** All other hosts that are connected and have proved the cluster key, by name. */
  members(): Member[]
  member(name: string): Member | undefined
  /** Ports that a peer announced: where its agent listens for the mesh and for lanes. Empty before. */
  portsOf(peerId: string): readonly number[]
  /** Where a peer announced its mesh; for this host's own id, what it announces. Empty before. */
  announcedBy(peerId: string): readonly HostPort[]
  /** `host:port` of this host's lanes; empty until it has started. */
  readonly laneAddress: string
  /** Peers that were dropped because they could not prove the cluster key, since start. */
  readonly strangerCount: number
  /** Identities with which several hosts run now: this host's own, and those of hosts that are refused for it. */
  readonly doubled: readonly { name: string; peerId: string }[]
  /** Peer ids that were expected here and hold another cluster key: of hosts that one rotation left apart. */
  otherKeyHolders(): string[]
  /** Closes the connections to a member. It may come back, and proves the key anew. */
  letGo(peerId: string): void
  readonly traffic: MeshTraffic
  onMember(listener: (change: 'joined' | 'left', member: Member) => void): Unsubscribe

  /**
   * Serves `protocol` (such as `/pagemesh/handoff/1`) to members, before or after start. The stream is closed when the
   * handler returns or throws `stream-ended`, and broken when it throws anything else.
   */
  handle(protocol: string, handler: (stream: MessageStream, from: Member) => Promise<void>): Unsubscribe
  /** Opens a stream to a member. Throws PagemeshError `host-unknown` or `host-unreachable` (after 10 s at most). */
  open(memberName: string, protocol: string, signal: AbortSignal): Promise<MessageStream>

  /** Gossips `message`, at most 32 KiB, to all members. A lost message is not repeated; callers publish again. */
  publish(topic: string, message: Uint8Array): Promise<void>
  /** Follows `topic`; `fromPeerId` is the peer that signed the message. */
  subscribe(topic: string, listener: (message: Uint8Array, fromPeerId: string) => void): Unsubscribe

  /**
   * Makes a one-time ticket for a lane to this host and waits for a peer that redeems it. The ticket travels over an
   * encrypted stream; the receiver of the bulk bytes dials.
   */
  offerLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<Lane> }
  /**
   * Dials the lane of a member's ticket, at an address of that member. Throws PagemeshError `lane-foreign` or
   * `lane-unreachable`.
   */
  dialLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<Lane>
  /** The same before TLS, which is then made in this thread or in another. */
  offerUnsecuredLane(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<UnsecuredLane> }
  dialUnsecuredLane(member: Member, ticket: LaneTicket, signal: AbortSignal): Promise<UnsecuredLane>

  /**
   * Resolves once every bootstrap peer has been tried once, or after 5 s; goes on trying those it did not reach. Throws
   * PagemeshError `name-taken` if a bootstrap peer knows another host of this name. Idempotent; a failed start stops
   * what had started.
   */
  start(): Promise<void>
  stop(): Promise<void>
}

export type Unsubscribe = () => void

export interface MeshTraffic {
  gossip: { sentBytes: number; receivedBytes: number }
}

/** A stream of whole messages to one member. Back-pressure is honoured by `send`. */
export interface MessageStream {
  /** Resolves when the message is queued and there is room for more. */
  send(message: Uint8Array, signal?: AbortSignal): Promise<void>
  /** The next message; throws PagemeshError `stream-ended` or `stream-broken`, or `message-too-long` from the peer. */
  receive(signal?: AbortSignal): Promise<Uint8Array>
  /** Closes both ways; idempotent. */
  close(): Promise<void>
  /** Breaks the stream at once. */
  abort(reason: Error): void
}
