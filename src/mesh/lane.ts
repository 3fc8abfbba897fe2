/**
 * The bulk lane: one TLS 1.3 socket for many bytes to one member.
 *
 * Goals: real back-pressure end to end, 5x what a stream over noise and yamux carries, one flow-control domain
 * per QEMU channel. Non-goals: multiplexing, reconnecting (a handoff that loses its lane fails as a whole).
 *
 *   host A (sends)                         host B (receives)
 *     offerLane() -> ticket  --stream-->     dialLane(ticket)
 *     TLS server on `lane`   <--TCP----      TLS client, pre-shared key = ticket.key, identity = ticket.id
 */
export interface LaneTicket {
  /** Where to dial: `host:port`. */
  address: string
  /** Names the ticket; 16 bytes as hex. */
  id: string
  /** The one-time pre-shared key; 32 bytes as hex. Only ever sent over an encrypted stream to a member. */
  key: string
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
  /** Sends what is queued, then closes. Throws `lane-stalled` if the peer takes nothing more for 30 s. */
  end(): Promise<void>
  /** Closes at once. */
  destroy(): void
  /** Resolves when the lane is closed, with the error that closed it, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>
}
