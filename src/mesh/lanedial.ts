import type { OnReadOpts } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'

import { fromString } from 'uint8arrays/from-string'

import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { DuplexLane } from './duplexlane.ts'
import type { Lane, LaneTicket } from './lane.ts'
import { parseLaneAddress } from './laneaddress.ts'
import { LANE_KEEP_ALIVE_MS, LANE_TLS_OPTIONS } from './lanetls.ts'

const DIAL_TIMEOUT_MS = 10_000
/** The dialing side reads into one buffer of this size for as long as the lane lives. */
const READ_BUFFER_BYTES = 256 * 1024

/**
 * Redeems `ticket` at `address` (`host:port`: the ticket's, its host filled in).
 * Throws PagemeshError `lane-unreachable`, or the signal's reason.
 */
export async function dialLaneSocket(
  components: { clock: Clock }, address: string, ticket: LaneTicket, signal: AbortSignal,
): Promise<Lane> {
  signal.throwIfAborted()
  const inlet = new Inlet()
  const socket = connect(optionsFor(address, ticket, inlet))
  inlet.attach(socket)
  const lane = new DuplexLane(components, inlet)
  const abort = (): void => { socket.destroy(signal.reason instanceof Error ? signal.reason : undefined) }
  signal.addEventListener('abort', abort, { once: true })
  const timeout = components.clock.after(DIAL_TIMEOUT_MS, () => socket.destroy(new Error('timed out')))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', () => resolve())
      // `closed` never rejects; it is heard of too late to matter once the lane is open.
      void lane.closed.then((error) => reject(error ?? new Error('the other end closed the connection')))
    })
  } catch (error) {
    signal.throwIfAborted()
    throw new PagemeshError('lane-unreachable', `The bulk lane ${address} could not be opened.`, {
      fault: 'network', phase: 'opening a lane', data: { address }, cause: error,
      advice: 'Check that the `lane` port of that host is open to this one, and that the ticket is not an old one.',
    })
  } finally {
    timeout.cancel()
    signal.removeEventListener('abort', abort)
  }
  socket.setNoDelay(true)
  socket.setKeepAlive(true, LANE_KEEP_ALIVE_MS)
  return lane
}

function optionsFor(address: string, ticket: LaneTicket, inlet: Inlet): ConnectionOptions {
  // `onread` is documented for tls.connect and missing in its types. It saves a new buffer and an event a piece.
  const options: ConnectionOptions & { onread: OnReadOpts } = {
    ...LANE_TLS_OPTIONS,
    ...parseLaneAddress(address),
    pskCallback: () => ({ psk: fromString(ticket.key, 'hex'), identity: ticket.id }),
    // There is no certificate to look at: that the handshake succeeds proves the ticket.
    checkServerIdentity: () => undefined,
    onread: {
      buffer: new Uint8Array(READ_BUFFER_BYTES),
      callback: (byteCount, buffer) => inlet.take(buffer.subarray(0, byteCount)),
    },
  }
  return options
}

/** The reading side of a dialed socket: hands over the one buffer, and holds the socket while nobody receives. */
class Inlet {
  #socket: TLSSocket | undefined
  #receiver: ((bytes: Uint8Array) => void) | undefined
  #isPaused = true
  /** What had been decrypted before there was a receiver: a TLS record or a few, since reading stops with the first. */
  #early: Uint8Array[] = []
  #counts = { sent: 0, received: 0 }

  attach(socket: TLSSocket): void {
    this.#socket = socket
    socket.once('end', () => this.#count())
  }

  get duplex(): TLSSocket {
    return this.#socket!
  }

  /** Takes a piece; false stops reading. */
  take(bytes: Uint8Array): boolean {
    this.#count()
    if (this.#receiver === undefined) this.#early.push(bytes.slice())
    else this.#receiver(bytes)
    return !this.#isPaused
  }

  deliver(receiver: (bytes: Uint8Array) => void): void {
    this.#receiver = receiver
    for (const bytes of this.#early.splice(0)) receiver(bytes)
    this.resume()
  }

  pause(): void {
    this.#isPaused = true
    this.duplex.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.duplex.resume()
  }

  sentBytes(): number {
    this.#count()
    return Math.max(this.#counts.sent, this.duplex.bytesWritten - this.duplex.writableLength)
  }

  receivedBytes(): number {
    this.#count()
    return Math.max(this.#counts.received, this.duplex.bytesRead)
  }

  /**
   * Only the TCP handle below the TLS one knows what went over the wire, and it has no public name on this side.
   * Where a Node without it leaves the counts at 0, the bytes carried stand in, 0.2 % fewer.
   */
  #count(): void {
    const below = (this.#socket as unknown as { _handle?: TlsHandle | null })._handle?._parent
    if (below?.bytesRead !== undefined) this.#counts.received = Math.max(this.#counts.received, below.bytesRead)
    if (below?.bytesWritten !== undefined) this.#counts.sent = Math.max(this.#counts.sent, below.bytesWritten)
  }
}

interface TlsHandle {
  _parent?: { bytesRead?: number; bytesWritten?: number }
}
