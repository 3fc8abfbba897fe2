/** What possession does for the rest of the agent. */
import type { Member } from '../mesh/index.ts'
import type { Prefixes } from '../page/index.ts'

/** Up to 256 pages of this host that another wants, as columns; their bytes were hashed and match their ids. */
export interface HeldBatch extends Prefixes {
  /** 4096 bytes each, one after the other. */
  bytes: Uint8Array
  /** 1 for each page that a guest of this host holds now, 0 for pages that only the store has. */
  resident: Uint8Array
}

export interface AskedBy {
  /** The host that wants the pages. It is not challenged itself. */
  asker: Member
  /** An arriving guest waits for the pages. */
  isUrgent: boolean
  signal: AbortSignal
}

export interface PossessionCounts {
  /** Pages that challenged hosts proved; pages that they were said to hold and did not prove; wrong proofs. */
  proven: number
  missing: number
  wrong: number
}

export interface Possession {
  readonly counts: Readonly<PossessionCounts>
  /** Bytes of challenges and their answers, as challenger and as witness. */
  readonly traffic: { sentBytes: number; receivedBytes: number }
  /**
   * Which of these pages enough hosts hold, so that they may leave this one: 1 for each. Takes two seconds at most for
   * an arriving guest. A host that does not answer proves nothing. Rejects only with the signal's reason.
   */
  confirm(pages: HeldBatch, by: AskedBy): Promise<Uint8Array>
  start(): Promise<void>
  stop(): Promise<void>
}
