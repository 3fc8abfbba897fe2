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
 * The preamble says whose connection it is before TLS begins, so that TLS may be made in another thread.
 */
export interface LaneTicket {
  /** Where to dial: `host:port`. */
  address: string
  /** Names the ticket; 16 bytes as hex. */
  id: string
  /** The one-time pre-shared key; 32 bytes as hex. Only ever sent over an encrypted stream to a member. */
  key: string
}

/** What TLS over a connection needs to know. */
export interface LanePass {
  role: 'offered' | 'dialed'
  /** The other end, for messages. */
  address: string
  /** The ticket's id as hex, and its key. */
  id: string
  key: Uint8Array
}

/** A lane on its way to another thread. */
export interface HandedLane extends HandedConnection, LanePass {
  /** What went over the wire before. */
  sentBytes: number
  receivedBytes: number
}

export interface LaneTaker extends Taker {
  /** Resolves once the other end has proved that it has the ticket; rejects if it has not. */
  readonly secured: Promise<void>
}

/** A connection whose ticket was shown, before TLS. Whoever has it goes on with it at once: the other end waits. */
export interface UnsecuredLane {
  /** Makes TLS in this thread. Throws PagemeshError `lane-unreachable`, or the signal's reason, and is closed then. */
  secure(signal: AbortSignal): Promise<Lane>
  /** Gives it to another thread. Undefined, and nothing has happened, where that cannot be. */
  handOver(taker: LaneTaker): HandedLane | undefined
  /** Closes it at once, in whichever thread it is. */
  destroy(): void
}

/** One bulk connection, both ways. */
export interface Lane {
  /**
   * Queues bytes; false says: wait for `drained` before writing more. The bytes must not change afterwards.
   * A lane that is closed takes nothing and says false.
   */
  write(bytes: Uint8Array): boolean
  /**
   * Resolves as soon as the write queue has room again (at once if it has). Uncorks: what is held back cannot drain.
   * Rejects with PagemeshError `lane-closed` when the lane closes, or with the signal's reason.
   */
  drained(signal?: AbortSignal): Promise<void>
  /** Holds back packets between writes, to send one large piece instead of many small ones. */
  cork(): void
  uncork(): void
  /** Hands every arriving piece to `receiver`, which must copy what it keeps: the buffer is used again. Call once. */
  receive(receiver: (bytes: Uint8Array) => void): void
  /**
   * Stops reading from the socket, so that the sender feels it; `resume` goes on.
   * What is already decrypted, a few records, may still reach the receiver.
   */
  pause(): void
  resume(): void
  /** Bytes handed to the operating system and taken from it, TLS framing included. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** What the operating system saw arrive at the other end; undefined where it does not say. */
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
  // Whoever offered may have given up and look at it no more.
  secured.catch(() => {})
  return { ticket, lane: secured }
}
