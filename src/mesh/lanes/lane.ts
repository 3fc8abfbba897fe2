import type { HandedConnection, Taker } from '../../net/handover.ts'
import type { Delivery } from '../../page/index.ts'

/**
 * The bulk lane: one TLS 1.3 socket for many bytes to one member.
 *
 * Goals: real back-pressure end to end, 5x what a stream over noise and yamux carries, one flow-control domain
 * per QEMU channel. Non-goals: multiplexing, reconnecting (a handoff that loses its lane fails as a whole).
 *
 *   host A (sends)                         host B (receives)
 *     offerLane() -> ticket  --stream-->     dialLane(ticket)
 *     listens on `lane`      <--TCP----      preamble: ticket.id, in clear
 *     TLS server             <--TLS--->      TLS client, pre-shared key = ticket.key, identity = ticket.id
 *
 * The preamble names the ticket before TLS begins, so that TLS may be made in another thread.
 */
export interface LaneTicket {
  /** Where to dial: `host:port`. */
  address: string
  /** Names the ticket; 16 bytes as hex. */
  id: string
  /** The one-time pre-shared key; 32 bytes as hex. Only ever sent over an encrypted stream to a member. */
  key: string
}

/** What TLS over a connection needs. */
export interface LanePass {
  role: 'offered' | 'dialed'
  /** The other end, for log messages. */
  address: string
  /** The ticket's id as hex, and its key. */
  id: string
  key: Uint8Array
}

/** A lane on its way to another thread. */
export interface HandedLane extends HandedConnection, LanePass {
  /** Bytes sent before. */
  sentBytes: number
  receivedBytes: number
}

export interface LaneTaker extends Taker {
  /** Resolves once the other end has proved that it has the ticket; rejects if it has not. */
  readonly secured: Promise<void>
}

/** A connection that showed a valid ticket, before TLS. Its owner must continue at once: the other end waits. */
export interface UnsecuredLane {
  /**
   * Makes TLS in this thread. On failure the connection is closed, and it throws PagemeshError `lane-unreachable` or
   * the signal's reason.
   */
  secure(signal: AbortSignal): Promise<Lane>
  /** Gives it to another thread. Undefined, without any effect, where that is impossible. */
  handOver(taker: LaneTaker): HandedLane | undefined
  /** Closes it at once, in whichever thread it is. */
  destroy(): void
}

/** One bulk connection, both ways. */
export interface Lane {
  /**
   * Queues bytes; false: wait for `drained` before writing more. The bytes must not change afterwards. A closed lane
   * takes nothing and returns false.
   */
  write(bytes: Uint8Array): boolean
  /**
   * Resolves as soon as the write queue has room (at once if it has). Uncorks, since a corked queue cannot drain.
   * Rejects with PagemeshError `lane-closed` when the lane closes, or with the signal's reason.
   */
  drained(signal?: AbortSignal): Promise<void>
  /** Holds back packets between writes, to send one large piece instead of many small ones. */
  cork(): void
  uncork(): void
  /** Passes every arriving piece to `receiver`, which must copy what it keeps: the buffer is reused. Call once. */
  receive(receiver: (bytes: Uint8Array) => void): void
  /**
   * Stops reading from the socket, which stops the sender; `resume` continues. A few records that are already decrypted
   * may still reach the receiver.
   */
  pause(): void
  resume(): void
  /** Bytes handed to the operating system and taken from it, TLS framing included. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** What the operating system knows to have arrived at the other end; undefined where it does not tell. */
  readonly delivery: Delivery | undefined
  /** Sends what is queued, then closes. Throws `lane-stalled` if the peer takes nothing more for 30 s. */
  end(): Promise<void>
  /** Closes at once. */
  destroy(): void
  /** Resolves when the lane is closed, with the error that closed it, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>
}

/** An offer whose lane gets its TLS in this thread. */
export function securedOffer(
  { ticket, lane }: { ticket: LaneTicket; lane: Promise<UnsecuredLane> }, signal: AbortSignal,
): { ticket: LaneTicket; lane: Promise<Lane> } {
  const secured = lane.then((unsecured) => unsecured.secure(signal))
  // The caller may have given up and not look at it any more.
  secured.catch(() => {})
  return { ticket, lane: secured }
}
