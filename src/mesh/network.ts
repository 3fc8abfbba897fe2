import type { RefusedError } from './admission/proof.ts'
import type { Verdict } from './admission/proofcodec.ts'
import type { Unsubscribe } from './mesh.ts'
import type { ByteChannel } from './streams/framedstream.ts'

/**
 * What HostMesh needs of a peer-to-peer library: proven connections, byte channels, gossip. `libp2p.ts` implements it.
 */
export interface Network {
  /** Known once started. */
  readonly peerId: string
  /** The multiaddrs that others are told, without the peer id, those first that others reach most likely. */
  addresses(): string[]
  readonly gossipSentBytes: number
  readonly gossipReceivedBytes: number

  start(listener: NetworkListener): Promise<void>
  /** Closes every connection, channel and port. Idempotent. */
  stop(): Promise<void>

  /**
   * Connects to a multiaddr and resolves to the peer id found there. Throws SelfDialedError at this host's own address.
   */
  dial(address: string, signal: AbortSignal): Promise<string>
  disconnect(peerId: string): void
  openChannel(peerId: string, protocol: string, signal: AbortSignal): Promise<ByteChannel>
  handle(protocol: string, handler: (channel: ByteChannel, peerId: string) => void): Promise<Unsubscribe>

  subscribe(topic: string): void
  unsubscribe(topic: string): void
  publish(topic: string, message: Uint8Array): Promise<void>
}

/** What a network reports about its peers. No peer counts as connected before it has proved the cluster key. */
export interface NetworkListener {
  /** Whether a host of this name, which proved the key, may join. `instance`: which start of it this is, if it says. */
  admit(name: string, peerId: string, instance?: string): Verdict
  /** Whether members were met or are expected at this address. */
  isKnown(host: string): boolean
  connected(peer: { peerId: string; name: string; address: string }): void
  /** The last connection to the peer is gone. */
  disconnected(peerId: string): void
  /** A peer, known by address or peer id, was dropped because it did not prove the key. */
  stranger(from: string, reason: string): void
  /** A peer holds this host's private key and is not this process. */
  metItself(): void
  /** A peer that was dropped as a stranger holds another cluster key; `isDialed`: this host had dialed it. */
  otherKey(peerId: string, isDialed: boolean): void
  /** This host or the other one refused the join. */
  refused(refusal: RefusedError): void
  /** `fromPeerId` signed it; `viaPeerId` is the connected peer that passed it on. */
  message(topic: string, message: Uint8Array, fromPeerId: string, viaPeerId: string): void
}

export class SelfDialedError extends Error {
  override readonly name = 'SelfDialedError'

  constructor() {
    super('this host dialed itself')
  }
}
