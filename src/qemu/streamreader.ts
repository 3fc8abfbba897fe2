/** What a reader of QEMU's stream is told, and says. */
import type { StreamKnowledge } from './knowledge.ts'

/**
 * Points of a stream; offsets are those of the element's first byte. 'ramStart': RAM's first section. 'package': the
 * PACKAGED command, after which the destination of a post-copy may run. 'handedOver': the first section after it: QEMU
 * has checked for errors in between and cannot go back any more. 'resume': POSTCOPY_RESUME of a recovered post-copy.
 * 'ramEnd': RAM's last section; in pre-copy the devices follow its records. 'eof': the end mark; never announced in
 * pre-copy.
 */
export type StreamMark = 'ramStart' | 'package' | 'handedOver' | 'resume' | 'ramEnd' | 'eof'

/**
 * What a reader reports during `push`, in stream order. Offsets are absolute: they count the bytes of this connection.
 * A listener must not throw or push.
 */
export interface StreamListener {
  /**
   * The 4096 bytes of a RAM page begin at `offset`. Called as soon as the record's header has been read: `offset` lies
   * within the pushed piece or at its end.
   */
  page(offset: number): void
  /** A zero-page record was read. */
  zeroPage(): void
  /** `offset` may lie up to `undecidedBytes` before the pushed piece. */
  mark(mark: StreamMark, offset: number): void
  /**
   * The guest's run state at switchover, in QEMU's words: `running`, `paused`, `shutdown` ... Called after 'ramEnd' of
   * a pre-copy or after 'package', never with machine types up to 2.3. If it is called again, the last one holds: some
   * device states contain bytes of the guest's choice, which could imitate it.
   */
  runState(state: string): void
  /** The reader no longer understands the stream: all bytes pass raw until `resynchronised`. `reason` is for people. */
  lost(reason: string, offset: number): void
  /** The reader understands the stream again, from the element at `offset`. */
  resynchronised(offset: number): void
}

export interface StreamReaderOptions {
  /**
   * Which of a migration's connections this is: 'main' is the first; 'beside' is multifd or preempt, as its first bytes
   * tell. Default 'main'.
   */
  channel?: 'main' | 'beside'
  /**
   * Knowledge from the migration's main channel: needed for a preempt channel, and for the new main channel of a
   * recovered post-copy. It is shared, not copied: a preempt channel may open before the main channel is fully known.
   */
  continuation?: StreamKnowledge
}

/** Counts since the beginning of this connection. */
export interface StreamSummary {
  /** Pages announced. */
  pages: number
  zeroPages: number
  /** Pages that QEMU itself compressed (xbzrle, compress): they pass raw. */
  encodedPages: number
  /** Pages read but not announced, because their block's name passed unread. */
  unplacedPages: number
  /** RAM blocks of the guest. */
  blocks: number
  /** The device package of a post-copy passed. */
  isPostcopy: boolean
  /** How often the reader lost the stream. */
  losses: number
}

/** Reads one connection of a migration, source to destination. */
export interface StreamReader {
  /** Takes the next bytes of the stream, in pieces of any size; their memory may be reused afterwards. Never throws. */
  push(bytes: Uint8Array): void
  /** Bytes pushed so far. */
  readonly offset: number
  /** False from `lost` to `resynchronised`. */
  readonly understands: boolean
  /**
   * How many of the last bytes belong to an element that is not yet complete enough to be recognised: 0 to
   * CARRY_BYTES_MAX. Later marks lie no further back than this.
   */
  readonly undecidedBytes: number
  readonly summary: StreamSummary
  /** What later connections of the same migration need to know. */
  readonly knowledge: StreamKnowledge
}
