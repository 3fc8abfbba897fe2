import { parseTcpMultiaddr } from '../../net/hostport.ts'
import type { Clock } from '../../runtime/clock.ts'
import { SelfDialedError, type NetworkListener } from '../network.ts'
import { Arrivals, type Unproven } from './arrivals.ts'

/** Like libp2p's own limit for an upgrade. */
const UNPROVEN_MS = 10_000
/** A silent connection costs a few kilobytes, and dropping one that reconnects costs more: so there is much room. */
const UNPROVEN_CONNECTIONS_MAX = { roomMax: 2_048, addressMax: 1_280 }

/** What the gate needs of a raw connection of libp2p. */
export interface RawConnection {
  readonly status: string
  readonly remoteAddr: { toString(): string }
  abort(error: Error): void
  addEventListener(type: 'close', listener: () => void): void
}

/** libp2p's `AbstractMessageStream` hands every piece from the socket to this method of its own. */
interface Receiving {
  onData?: (bytes: { byteLength: number }) => void
}

interface Upgrader<Connection, Options> {
  upgradeInbound(connection: Connection, options: Options): Promise<void>
}

/** Holds incoming connections until each has proved the cluster key; in front of libp2p's upgrade. */
export class Gate {
  readonly #arrivals: Arrivals
  readonly #unproven = new WeakMap<object, Unproven>()

  constructor(components: { clock: Clock }, listener: Pick<NetworkListener, 'isKnown' | 'stranger'>) {
    this.#arrivals = new Arrivals(components, {
      limits: { ...UNPROVEN_CONNECTIONS_MAX, limitMs: UNPROVEN_MS },
      isKnown: (host) => listener.isKnown(host),
      stranger: (host, reason) => listener.stranger(host, reason),
    })
  }

  /** The upgrader as listeners shall see it. */
  before<Connection extends RawConnection, Options, Behind extends Upgrader<Connection, Options>>(
    upgrader: Behind,
  ): Behind {
    const upgradeInbound: Upgrader<Connection, Options>['upgradeInbound'] = (connection, options) =>
      this.#pass(connection, () => upgrader.upgradeInbound(connection, options))
    return Object.create(upgrader, { upgradeInbound: { value: upgradeInbound } }) as Behind
  }

  /** Undefined for a connection that this host dialed. */
  unprovenOf(connection: object): Unproven | undefined {
    return this.#unproven.get(connection)
  }

  stop(): void {
    this.#arrivals.stop()
  }

  async #pass(connection: RawConnection, upgrade: () => Promise<void>): Promise<void> {
    const unproven = this.#arrivals.arrived({
      host: parseTcpMultiaddr(connection.remoteAddr.toString())?.host ?? connection.remoteAddr.toString(),
      drop: (reason) => connection.abort(new Error(reason)),
    })
    this.#unproven.set(connection, unproven)
    try {
      // The dialer sends first. Until then a silent connection costs only its socket.
      await firstBytes(connection, unproven)
      unproven.spoke()
      await upgrade()
    } catch (error) {
      // A connection that this host closed is no stranger's: of two that members dial at once, one is closed.
      const isOwn = connection.status !== 'open' || String(error).includes(new SelfDialedError().message)
      if (!isOwn) unproven.fail(String(error))
      throw error
    } finally {
      unproven.leave()
    }
  }
}

/** Resolves when the connection sends something, and counts what it sends from then on. Rejects when it closes. */
function firstBytes(connection: RawConnection & Receiving, unproven: Unproven): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const { onData } = connection
  if (onData === undefined) return Promise.resolve()
  // Not a listener of `message`: libp2p would then no longer keep what arrives between two of its own listeners.
  connection.onData = (bytes) => {
    unproven.read(bytes.byteLength)
    if (connection.status !== 'open') return
    onData.call(connection, bytes)
    resolve()
  }
  connection.addEventListener('close', () => reject(new Error('the connection was closed')))
  return promise
}
