import { Socket, type SocketConstructorOpts } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'

import { deliveryOver } from '../../page/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { DuplexLane } from './duplexlane.ts'
import type { HandedLane, Lane, LanePass } from './lane.ts'
import { LaneInlet } from './laneinlet.ts'

/**
 * TLS as both ends of a lane set it: 1.3 with a pre-shared key and no certificates. OpenSSL's callback for such keys
 * allows the suites over SHA-256 only; AES is the one that processors have instructions for.
 */
const LANE_TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const
/** Idle time after which the kernel asks whether the other end is still there. */
const LANE_KEEP_ALIVE_MS = 10_000
/** Whoever dialed gives the other end so long; whoever was dialed has less patience. */
const DIALED_MS_MAX = 10_000
const OFFERED_MS_MAX = 5_000

interface LaneConnection {
  socket: Socket
  /** What went over the wire in another thread. */
  sentBytes?: number
  receivedBytes?: number
}

interface SecuredSocket {
  duplex: TLSSocket
  inlet: LaneInlet
}

/**
 * Makes a lane of a connection from which nothing was read that stands not in its buffer.
 * Throws PagemeshError `lane-unreachable`, or the signal's reason; then the connection is closed.
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
    // The TLS socket counts what it carries; the one below, what goes over the wire.
    sentBytes: () => sentBytes + socket.bytesWritten,
    receivedBytes: () => receivedBytes + socket.bytesRead,
    delivery: () => deliveryOver(socket),
  })
}

/** The connection of a lane that came from another thread. */
export function openHandedLane({ fd, early, sentBytes, receivedBytes }: HandedLane): Required<LaneConnection> {
  const options: SocketConstructorOpts & { pauseOnCreate: boolean } = { fd, pauseOnCreate: true }
  const socket = new Socket(options)
  // What breaks it closes it next, and that is heard.
  socket.on('error', () => {})
  if (early.length > 0) socket.unshift(early)
  return { socket, sentBytes, receivedBytes }
}

/** TLS as the end that was dialed. A server of its own, for this one connection, gives the errors their usual ways. */
function accepted(socket: Socket, { id, key }: LanePass): Promise<SecuredSocket> {
  return new Promise((resolve, reject) => {
    const server = createServer({
      ...LANE_TLS_OPTIONS, handshakeTimeout: OFFERED_MS_MAX,
      pskCallback: (_, shown) => (shown === id ? Buffer.from(key) : null),
    })
    server.on('secureConnection', (duplex) => resolve({ duplex, inlet: new LaneInlet(duplex) }))
    server.on('tlsClientError', reject)
    // One that is closed already says nothing more.
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
      // There is no certificate to look at: that the handshake succeeds proves the ticket.
      checkServerIdentity: () => undefined,
    })
    let why: Error | undefined
    for (const end of [socket, duplex]) end.on('error', (error: Error) => { why ??= error })
    duplex.once('secureConnect', () => resolve({ duplex, inlet: new LaneInlet(duplex) }))
    // Once it is open nobody hears of this any more.
    duplex.once('close', () => reject(why ?? new Error('the other end closed the connection')))
  })
}

export function laneUnreachable(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('lane-unreachable', `The bulk lane ${address} could not be opened.`, {
    fault: 'network', phase: 'opening a lane', data: { address }, cause,
    advice: 'Check that the `lane` port of that host is open to this one, and that the ticket is not an old one.',
  })
}
