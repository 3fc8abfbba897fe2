/** What a reader of QEMU's stream is told, and says. */
import type { StreamKnowledge } from './knowledge.ts'

/**
 * Points of a stream that matter to others; offsets are those of the element's first byte.
 * 'ramStart': RAM's first section. 'package': the PACKAGED command, behind which the destination of a post-copy may
 * run. 'handedOver': the first section behind it: QEMU looked for errors in between, and cannot go back any more.
 * 'resume': POSTCOPY_RESUME of a recovered post-copy. 'ramEnd': RAM's last section, behind whose records pre-copy sends
 * the devices. 'eof': the end mark; never announced in pre-copy.
 */
export type StreamMark = 'ramStart' | 'package' | 'handedOver' | 'resume' | 'ramEnd' | 'eof'

/**
 * What a reader says, in the order of the stream, during `push`. Offsets are absolute: bytes of this connection in
 * front of it. A listener must not throw and must not push.
 */
export interface StreamListener {
  /**
   * The 4096 bytes of a RAM page begin at `offset`. Said as soon as the record's header has been read: `offset` is
   * never before the piece that is being pushed, and at most at its end.
   */
  page(offset: number): void
  /** A zero-page record was read. */
  zeroPage(): void
  /** `offset` may lie up to `undecidedBytes` before the piece that is being pushed. */
  mark(mark: StreamMark, offset: number): void
  /**
   * The guest's run state at switchover, by QEMU's word for it: `running`, `paused`, `shutdown` ... Said behind
   * 'ramEnd' of a pre-copy or behind 'package', never with machine types up to 2.3. If it is said again, the last one
   * holds: some devices carry bytes of the guest's choice, which could look like it.
   */
  runState(state: string): void
  /** The reader no longer understands the stream: all is raw until `resynchronised`. `reason` is for people. */
  lost(reason: string, offset: number): void
  /** An element begins at `offset` that is understood again. */
  resynchronised(offset: number): void
}

export interface StreamReaderOptions {
  /**
   * Which of a migration's connections this is: its main one, which is the first, or one beside it, multifd or preempt
   * as its first bytes tell. Default 'main'.
   */
  channel?: 'main' | 'beside'
  /**
   * What the migration's main channel told: needed for a preempt channel, and for the new main channel of a recovered
   * post-copy. It is shared, not copied: a preempt channel may be opened before the main channel told all.
   */
  continuation?: StreamKnowledge
}

/** Counts since the beginning of this connection. */
export interface StreamSummary {
  /** Pages announced. */
  pages: number
  zeroPages: number
  /** Pages that QEMU itself encoded (xbzrle, compress): they pass raw. */
  encodedPages: number
  /** Pages read but not announced, because the block's name went by unseen. */
  unplacedPages: number
  /** RAM blocks of the guest. */
  blocks: number
  /** The device package of a post-copy went by. */
  isPostcopy: boolean
  /** How often the reader lost its way. */
  losses: number
}

/** Reads one connection of a migration, source to destination. */
export interface StreamReader {
  /** Takes the next bytes of the stream, in pieces of any size; they may be used again afterwards. Never throws. */
  push(bytes: Uint8Array): void
  /** Bytes pushed so far. */
  readonly offset: number
  /** False from `lost` to `resynchronised`. */
  readonly understands: boolean
  /**
   * How many of the last bytes belong to an element of which too little came to know it: 0 to CARRY_BYTES_MAX.
   * Marks that are yet to come lie no further back than this.
   */
  readonly undecidedBytes: number
  readonly summary: StreamSummary
  /** What later connections of the same migration need to know. */
  readonly knowledge: StreamKnowledge
}
