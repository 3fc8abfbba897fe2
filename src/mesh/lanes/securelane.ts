import { Socket, type SocketConstructorOpts } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'

import { deliveryOver } from '../../page/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { DuplexLane } from './duplexlane.ts'
import type { HandedLane, Lane, LanePass } from './lane.ts'
import { LaneInlet } from './laneinlet.ts'

/**
 * TLS options of both ends of a lane: 1.3 with a pre-shared key and no certificates. With OpenSSL's callback for such
 * keys only suites over SHA-256 work; of these AES has hardware support.
 */
const LANE_TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const
/** Idle time before the kernel probes the other end (TCP keep-alive), ms. */
const LANE_KEEP_ALIVE_MS = 10_000
/** How long the dialer waits for the handshake, ms; the listener waits less. */
const DIALED_MS_MAX = 10_000
const OFFERED_MS_MAX = 5_000

interface LaneConnection {
  socket: Socket
  /** Bytes already sent in another thread. */
  sentBytes?: number
  receivedBytes?: number
}

interface SecuredSocket {
  duplex: TLSSocket
  inlet: LaneInlet
}

/**
 * Makes a lane of a connection whose received bytes are all still in its buffer. On failure the connection is closed,
 * and it throws PagemeshError `lane-unreachable` or the signal's reason.
 */
export async function secureLane(
  components: { clock: Clock }, connection: LaneConnection, pass: LanePass, signal: AbortSignal,
): Promise<Lane> {
  const { socket, sentBytes = 0, receivedBytes = 0 } = connection
  const abort = (): void => { socket.destroy() }
  if (signal.aborted) abort()
  signal.throwIfAborted()
  signal.addEventListener('abort', abort, { once: true })
  const timeout = components.clock.after(DIALED_MS_MAX, () => socket.destroy(new Error('timed out')))
  let secured: SecuredSocket
  try {
    secured = await (pass.role === 'offered' ? accepted(socket, pass) : proved(socket, pass))
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    throw laneUnreachable(pass.address, error)
  } finally {
    timeout.cancel()
    signal.removeEventListener('abort', abort)
  }
  const { duplex, inlet } = secured
  duplex.setNoDelay(true)
  duplex.setKeepAlive(true, LANE_KEEP_ALIVE_MS)
  return new DuplexLane(components, {
    duplex,
    deliver: (receiver) => inlet.deliver(receiver),
    pause: () => inlet.pause(),
    resume: () => inlet.resume(),
    // The TLS socket counts plain bytes; the socket below counts bytes on the wire.
    sentBytes: () => sentBytes + socket.bytesWritten,
    receivedBytes: () => receivedBytes + socket.bytesRead,
    delivery: () => deliveryOver(socket),
  })
}

/** The connection of a lane that came from another thread. */
export function openHandedLane({ fd, early, sentBytes, receivedBytes }: HandedLane): Required<LaneConnection> {
  const options: SocketConstructorOpts & { pauseOnCreate: boolean } = { fd, pauseOnCreate: true }
  const socket = new Socket(options)
  // A broken connection closes next, and that is handled.
  socket.on('error', () => {})
  if (early.length > 0) socket.unshift(early)
  return { socket, sentBytes, receivedBytes }
}

/** TLS at the dialed end. A TLS server of its own for this one connection reports errors in the usual ways. */
function accepted(socket: Socket, { id, key }: LanePass): Promise<SecuredSocket> {
  return new Promise((resolve, reject) => {
    const server = createServer({
      ...LANE_TLS_OPTIONS, handshakeTimeout: OFFERED_MS_MAX,
      pskCallback: (_, shown) => (shown === id ? Buffer.from(key) : null),
    })
    server.on('secureConnection', (duplex) => resolve({ duplex, inlet: new LaneInlet(duplex) }))
    server.on('tlsClientError', reject)
    // A socket that is already closed emits no more events.
    if (socket.destroyed) reject(new Error('the other end closed the connection'))
    else server.emit('connection', socket)
  })
}

/** TLS as the end that dialed. */
function proved(socket: Socket, { id, key }: LanePass): Promise<SecuredSocket> {
  return new Promise((resolve, reject) => {
    const duplex = connect({
      ...LANE_TLS_OPTIONS, socket,
      pskCallback: () => ({ psk: key, identity: id }),
      // There is no certificate: the handshake itself proves the ticket.
      checkServerIdentity: () => undefined,
    })
    let why: Error | undefined
    for (const end of [socket, duplex]) end.on('error', (error: Error) => { why ??= error })
    duplex.once('secureConnect', () => resolve({ duplex, inlet: new LaneInlet(duplex) }))
    // After it is open, this rejection has no effect.
    duplex.once('close', () => reject(why ?? new Error('the other end closed the connection')))
  })
}

export function laneUnreachable(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('lane-unreachable', `The bulk lane ${address} could not be opened.`, {
    fault: 'network', phase: 'opening a lane', data: { address }, cause,
    advice: 'Check that the `lane` port of that host is open to this one, and that the ticket is not an old one.',
  })
}
