/**
 * libp2p behind the narrow port `Network`. The only file that imports libp2p and gossipsub; their peculiarities stay in
 * here.
 */
import { gossipsub, type GossipSub, type GossipsubOpts } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import {
  serviceCapabilities, type Connection, type ConnectionEncrypter, type MessageStream, type PrivateKey,
  type SecureConnectionOptions, type SecuredConnection, type Transport,
} from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { byteStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'

import { orderOwnAddresses } from '../../net/ownaddresses.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import type { Unproven } from '../admission/arrivals.ts'
import { Gate } from '../admission/gate.ts'
import {
  isAnotherOfUs, OtherKeyError, proveMembership, RefusedError, StrangerError, type ProofChannel,
} from '../admission/proof.ts'
import { INSTANCE_BYTES } from '../admission/proofcodec.ts'
import { HostMesh } from '../hostmesh.ts'
import type { Invitations } from '../invitation/invitations.ts'
import type { MemberKeys } from '../keyring.ts'
import { GOSSIP_BYTES_MAX } from '../limits.ts'
import type { NamePins } from '../members/namepins.ts'
import type { Mesh, Unsubscribe } from '../mesh.ts'
import { meshStopped } from '../mesherrors.ts'
import { SelfDialedError, type Network, type NetworkListener } from '../network.ts'
import type { ByteChannel } from '../streams/framedstream.ts'
import { byteCounters } from './gossipcounts.ts'
import { keepIdentity, unusable } from './identity.ts'
import { messageIds } from './messageid.ts'
import { PeerConnections } from './peerconnections.ts'
import { Pinger } from './pinger.ts'
import { channelOf } from './streamchannel.ts'

export interface Libp2pMeshInit {
  /** This host's name, unique in the mesh. */
  name: string
  /** What membership is proved by: a ring of keys, or what is derived from one key. */
  keys: MemberKeys
  /** Where this host's private key is kept; left out: a new identity at every start, for tests. */
  identityPath?: string
  /** Multiaddrs; port 0 takes a free one. */
  listen: string[]
  /** `host:port` of the bulk lanes; default: the host of the first listen address and the next port. */
  lane?: string
  /** Multiaddrs that others are told in place of those listened on. */
  announce?: string[]
  /** Multiaddrs to dial first, with or without `/p2p/<peer id>`; this host's own is skipped. */
  bootstrap: string[]
  /** Sent to members that ask for it. */
  version?: string
  /** Which identity each name belongs to; left out: the first that comes. */
  pins?: NamePins
  /** Left out: this host invites no other. */
  invitations?: Invitations
}

/** A mesh between hosts. Its `self.peerId` and `self.address` are empty until it has started. */
export function createLibp2pMesh(components: { clock: Clock; log: Log; random: Random }, init: Libp2pMeshInit): Mesh {
  return new HostMesh(components, new Libp2pNetwork(components, init), init)
}

/** Connections of this host in all: a mesh of some hundred hosts, twice while both ends dial. More are refused. */
const CONNECTIONS_MAX = 1_024
/** Connections that wait to be accepted by this process, if the kernel allows as many (net.core.somaxconn). */
const BACKLOG_MAX = 4_096
const STREAMS_MAX = 64
const PROOF_TIMEOUT_MS = 10_000
const PROOF_BUFFER_BYTES_MAX = 1024 * 1024
const FAREWELL_MS = 1_000
/** The read limit must exceed the window, or a paused stream is reset when its window fills. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const STREAM_BUFFER_BYTES_MAX = 4 * STREAM_WINDOW_BYTES
const GOSSIP_QUEUE_BYTES_MAX = 8 * 1024 * 1024

type Node = Libp2p<{ gossip: GossipSub; identify: unknown; ping: Ping }>

class Libp2pNetwork implements Network {
  readonly #components: { clock: Clock; log: Log; random: Random }
  readonly #init: Libp2pMeshInit
  /** Tells this host from another one with a copy of its private key. */
  readonly #instance: Uint8Array
  readonly #gossip = { sentBytes: 0, receivedBytes: 0 }
  #peers: PeerConnections<Connection> | undefined
  #node: Node | undefined
  #gate: Gate | undefined
  #pinger: Pinger | undefined
  peerId = ''

  constructor(components: { clock: Clock; log: Log; random: Random }, init: Libp2pMeshInit) {
    this.#components = components
    this.#init = init
    this.#instance = components.random.bytes(INSTANCE_BYTES)
  }

  get gossipSentBytes(): number {
    return this.#gossip.sentBytes
  }

  get gossipReceivedBytes(): number {
    return this.#gossip.receivedBytes
  }

  addresses(): string[] {
    const listened = this.#node?.getMultiaddrs() ?? []
    const { announce = [] } = this.#init
    if (announce.length > 0 && listened.length > 0) return announce
    return orderOwnAddresses(listened.map((address) => address.toString().replace(/\/p2p\/[^/]+$/, '')))
  }

  async start(listener: NetworkListener): Promise<void> {
    const privateKey = await this.#privateKey()
    this.peerId = peerIdFromPrivateKey(privateKey).toString()
    this.#gate = new Gate(this.#components, listener)
    const peers = new PeerConnections<Connection>(listener, { namesMax: CONNECTIONS_MAX * 2 })
    this.#peers = peers
    const node = await this.#createNode(privateKey, listener)
    this.#node = node
    node.addEventListener('connection:open', ({ detail }) => peers.opened(detail))
    node.addEventListener('connection:close', ({ detail }) => peers.closed(detail))
    node.services.gossip.addEventListener('gossipsub:message', ({ detail: { msg, propagationSource } }) => {
      if (msg.type !== 'signed') return
      listener.message(msg.topic, msg.data, msg.from.toString(), propagationSource.toString())
    })
    try {
      await node.start()
      this.#pinger = new Pinger(this.#components, {
        peers: () => peers.peers(),
        ping: async (peerId, signal) => { await node.services.ping.ping(peerIdFromString(peerId), { signal }) },
        drop: (peerId) => this.disconnect(peerId),
      })
    } catch (error) {
      throw new PagemeshError('listen-failed', `The mesh cannot listen on ${this.#init.listen.join(', ')}.`, {
        fault: 'usage', phase: 'start', data: { listen: this.#init.listen }, cause: error,
        advice: 'Check `listen` in the configuration: the addresses must be this host\'s and the ports free.',
      })
    }
  }

  async stop(): Promise<void> {
    const node = this.#node
    this.#node = undefined
    this.#pinger?.stop()
    this.#gate?.stop()
    if (node === undefined) return
    // A peer that vanished would delay a clean close.
    for (const connection of this.#peers?.all() ?? []) {
      // Connections that do not close in time are cut off when the node stops.
      void connection.close({ signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {})
    }
    await node.stop()
  }

  async dial(address: string, signal: AbortSignal): Promise<string> {
    if (address.endsWith(`/p2p/${this.peerId}`)) throw new SelfDialedError()
    try {
      return (await this.#started().dial(multiaddr(address), { signal })).remotePeer.toString()
    } catch (error) {
      // libp2p wraps an encrypter's error and keeps only its message.
      throw String(error).includes(new SelfDialedError().message) ? new SelfDialedError() : error
    }
  }

  disconnect(peerId: string): void {
    for (const connection of this.#peers?.of(peerId) ?? []) connection.abort(new Error('the member is let go'))
  }

  async openChannel(peerId: string, protocol: string, signal: AbortSignal): Promise<ByteChannel> {
    const connection = this.#peers?.of(peerId).find((other) => other.status === 'open')
    if (connection === undefined) throw new Error('not connected')
    return channelOf(await connection.newStream(protocol, { signal, maxOutboundStreams: STREAMS_MAX }))
  }

  async handle(protocol: string, handler: (channel: ByteChannel, peerId: string) => void): Promise<Unsubscribe> {
    const node = this.#started()
    await node.handle(protocol, (stream, connection) => handler(channelOf(stream), connection.remotePeer.toString()), {
      maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX,
    })
    return () => {
      // The handler is gone at once. Only telling the peers can fail later, when the node stops meanwhile.
      void node.unhandle(protocol).catch((error: unknown) => {
        this.#components.log.debug('a protocol was not withdrawn', { protocol, reason: String(error) })
      })
    }
  }

  subscribe(topic: string): void {
    this.#started().services.gossip.subscribe(topic)
  }

  unsubscribe(topic: string): void {
    this.#started().services.gossip.unsubscribe(topic)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    await this.#started().services.gossip.publish(topic, message)
  }

  #started(): Node {
    if (this.#node === undefined) throw meshStopped()
    return this.#node
  }

  async #privateKey(): Promise<PrivateKey> {
    const path = this.#init.identityPath
    if (path === undefined) return generateKeyPair('Ed25519')
    const bytes = await keepIdentity(path, async () => privateKeyToProtobuf(await generateKeyPair('Ed25519')))
    try {
      return privateKeyFromProtobuf(bytes)
    } catch (error) {
      throw unusable(path, error)
    }
  }

  async #createNode(privateKey: PrivateKey, listener: NetworkListener): Promise<Node> {
    return createLibp2p({
      start: false,
      privateKey,
      nodeInfo: { name: 'pagemesh', version: this.#init.version ?? '0' },
      addresses: { listen: this.#init.listen },
      transports: [(inner) => this.#gated(tcp({ backlog: BACKLOG_MAX })(inner))],
      connectionEncrypters: [(own) => this.#provenNoise(noise()(own), listener)],
      streamMuxers: [yamux({ streamOptions: {
        maxStreamWindowSize: STREAM_WINDOW_BYTES, maxReadBufferLength: STREAM_BUFFER_BYTES_MAX,
        maxWriteBufferLength: STREAM_BUFFER_BYTES_MAX,
      } })],
      connectionManager: {
        maxConnections: CONNECTIONS_MAX, reconnectRetries: 0,
        // libp2p would refuse newcomers while old idle connections take up the room: gate.ts decides instead.
        inboundConnectionThreshold: Infinity, maxIncomingPendingConnections: Infinity,
      },
      // It pings every peer equally often, however many there are: pinger.ts does not.
      connectionMonitor: { enabled: false },
      services: { identify: identify(), ping: ping(), gossip: gossipsub(gossipOptions(this.#gossip)) },
    })
  }

  #gated(transport: Transport): Transport {
    const { createListener } = transport
    transport.createListener = (options) => createListener.call(transport, {
      ...options, upgrader: this.#gate!.before(options.upgrader),
    })
    return transport
  }

  /** Noise, then the proof of membership on the encrypted connection, before any other protocol. */
  #provenNoise(inner: ConnectionEncrypter, listener: NetworkListener): ConnectionEncrypter {
    const capabilities = { [serviceCapabilities]: ['@libp2p/connection-encryption', '@chainsafe/libp2p-noise'] }
    return Object.assign(capabilities, {
      protocol: inner.protocol,
      secureOutbound: async (connection: MessageStream, options?: SecureConnectionOptions) =>
        this.#prove(await inner.secureOutbound(connection, options), undefined, listener, options?.signal),
      secureInbound: async (connection: MessageStream, options?: SecureConnectionOptions) =>
        this.#prove(await inner.secureInbound(connection, options), this.#gate!.unprovenOf(connection), listener,
          options?.signal),
    })
  }

  /** @param unproven the incoming connection; undefined for one that this host dialed. */
  async #prove(
    secured: SecuredConnection, unproven: Unproven | undefined, listener: NetworkListener,
    outer: AbortSignal | undefined,
  ): Promise<SecuredConnection> {
    const remotePeerId = secured.remotePeer.toString()
    const bytes = byteStream(secured.connection, { maxBufferSize: PROOF_BUFFER_BYTES_MAX })
    const timeout = new AbortController()
    const timer = this.#components.clock.after(PROOF_TIMEOUT_MS, () =>
      timeout.abort(new StrangerError('the peer did not prove the cluster key in time')))
    const signal = outer === undefined ? timeout.signal : AbortSignal.any([outer, timeout.signal])
    const channel: ProofChannel = {
      read: async (byteCount) => (await bytes.read({ bytes: byteCount, signal })).subarray(),
      write: (data) => bytes.write(data, { signal }),
    }
    const instance = this.#instance
    try {
      if (remotePeerId === this.peerId) return await this.#refuseItself(channel, listener)
      const name = await proveMembership(channel, this.#components, {
        keys: this.#init.keys, role: unproven === undefined ? 'dialer' : 'listener',
        selfPeerId: this.peerId, remotePeerId, name: this.#init.name, instance,
        admit: (...peer) => {
          unproven?.leave()
          return listener.admit(...peer)
        },
      })
      bytes.unwrap()
      this.#peers?.proved(remotePeerId, name)
      return secured
    } catch (error) {
      const isStranger = timeout.signal.aborted || error instanceof StrangerError
      if (isStranger && unproven === undefined) listener.stranger(remotePeerId, String(error))
      if (error instanceof OtherKeyError) listener.otherKey(remotePeerId, unproven === undefined)
      if (error instanceof RefusedError) listener.refused(error)
      // A clean close, no reset: this side's last message must arrive. The cause of the failure is known by now.
      await secured.connection.close({ signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {})
      if (isStranger) unproven?.fail(String(error))
      throw error
    } finally {
      timer.cancel()
    }
  }

  /** Never resolves: this host dialed itself, or there is another host with its identity. */
  async #refuseItself(channel: ProofChannel, listener: NetworkListener): Promise<never> {
    const { name } = this.#init
    const asked = isAnotherOfUs(channel, this.#components, { name, instance: this.#instance })
    // A peer that hangs up or breaks the protocol is an older agent, which took this for itself.
    const isAnother = await asked.catch(() => false)
    if (!isAnother) throw new SelfDialedError()
    listener.metItself()
    throw new Error('another host runs with this host\'s identity')
  }
}

function gossipOptions(counts: { sentBytes: number; receivedBytes: number }): Partial<GossipsubOpts> {
  return {
    D: 4, Dlo: 3, Dhi: 8, Dout: 1, Dscore: 2,
    floodPublish: false,
    allowPublishToZeroTopicPeers: true,
    globalSignaturePolicy: 'StrictSign',
    // Without it the signature of every copy is verified, not only of the first.
    fastMsgIdFn: messageIds(),
    // Many hosts behind one address are a test or a NAT, not an attack: every one of them proved the key.
    scoreParams: { IPColocationFactorWeight: 0 },
    maxInboundDataLength: GOSSIP_BYTES_MAX,
    maxOutboundBufferSize: GOSSIP_QUEUE_BYTES_MAX,
    metricsRegister: byteCounters(counts),
    metricsTopicStrToLabel: new Map(),
  }
}
