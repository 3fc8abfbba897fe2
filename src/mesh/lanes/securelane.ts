import { Socket, type SocketConstructorOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'

import { deliveryOver } from '../../page/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { DuplexLane } from './duplexlane.ts'
import type { HandedLane, Lane, LanePass } from './lane.ts'
import { LaneInlet } from './laneinlet.ts'
import { acceptPreshared, provePreshared } from './presharedtls.ts'

/** Idle time before the kernel probes the other end (TCP keep-alive), ms. */
const LANE_KEEP_ALIVE_MS = 10_000
/** How long the dialer waits for the handshake, ms; the listener waits less. */
const DIALED_MS_MAX = 10_000

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
    secured = await (pass.role === 'offered' ? acceptPreshared : provePreshared)(socket, pass, withInlet)
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

/** Before the TLS socket has read anything. */
function withInlet(duplex: TLSSocket): SecuredSocket {
  return { duplex, inlet: new LaneInlet(duplex) }
}

export function laneUnreachable(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('lane-unreachable', `The bulk lane ${address} could not be opened.`, {
    fault: 'network', phase: 'opening a lane', data: { address }, cause,
    advice: 'Check that the `lane` port of that host is open to this one, and that the ticket is not an old one.',
  })
}
