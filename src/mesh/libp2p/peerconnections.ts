import type { NetworkListener } from '../network.ts'

/** What is used of an upgraded libp2p connection. */
export interface PeerConnection {
  readonly status: string
  readonly remotePeer: { toString(): string }
  readonly remoteAddr: { toString(): string }
  abort(error: Error): void
}

type PeerListener = Pick<NetworkListener, 'admit' | 'connected' | 'disconnected'>

/** The open connections by peer, and the name under which each peer proved the key. */
export class PeerConnections<Connection extends PeerConnection> {
  readonly #listener: PeerListener
  readonly #namesMax: number
  readonly #connections = new Map<string, Set<Connection>>()
  /** Proven names of peers whose connection is being upgraded or is open. */
  readonly #names = new Map<string, string>()

  /** @param init.namesMax above it, names of peers that never connected are forgotten. */
  constructor(listener: PeerListener, init: { namesMax: number }) {
    this.#listener = listener
    this.#namesMax = init.namesMax
  }

  /** Ids of the peers that are connected. */
  peers(): string[] {
    return [...this.#connections.keys()]
  }

  all(): Connection[] {
    return [...this.#connections.values()].flatMap((connections) => [...connections])
  }

  of(peerId: string): Connection[] {
    return [...this.#connections.get(peerId) ?? []]
  }

  /** A peer proved the key under this name; its connection opens soon. */
  proved(peerId: string, name: string): void {
    this.#names.delete(peerId)
    this.#names.set(peerId, name)
    if (this.#names.size <= this.#namesMax) return
    for (const other of this.#names.keys()) {
      if (!this.#connections.has(other)) this.#names.delete(other)
    }
  }

  opened(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    const name = this.#names.get(peerId)
    if (name === undefined || this.#listener.admit(name, peerId).code !== 'accepted') {
      // Two hosts of one name proved the key at the same moment: the first to get here stays.
      connection.abort(new Error('the name was taken meanwhile'))
      return
    }
    const connections = this.#connections.get(peerId) ?? new Set()
    this.#connections.set(peerId, connections.add(connection))
    this.#listener.connected({ peerId, name, address: connection.remoteAddr.toString() })
  }

  closed(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    const connections = this.#connections.get(peerId)
    if (connections?.delete(connection) !== true || connections.size > 0) return
    this.#connections.delete(peerId)
    this.#names.delete(peerId)
    this.#listener.disconnected(peerId)
  }
}
