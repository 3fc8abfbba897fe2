/**
 *   records  = record* eos
 *   record   = u64:(offset | 008) [name] page[4096]
 *            | u64:(offset | 002) [name] 00                       a zero page
 *            | u64:(offset | 040) [name] 01 u16:n delta[n]        XBZRLE
 *            | u64:(offset | 100) [name] u32:n deflated[n]        QEMU's own compression, up to 9.0
 *            | u64:200                                            all multifd channels meet here
 *   name     = cstr, absent where the flag 020 says: same block as in the record before on this channel
 *   eos      = u64:010
 *
 * Offsets count from the beginning of the block. This is the hot path: a million records a second.
 */
import { TARGET_PAGE_BYTES } from './configuration.ts'
import { readU16, readU32, type ByteInput, type Parse } from './input.ts'
import type { StreamKnowledge } from './knowledge.ts'
import type { StreamListener } from './streamreader.ts'
import { fail } from './unintelligible.ts'

export const FLAG_MASK = 0xfff
export const ZERO = 0x002
export const PAGE = 0x008
export const END_OF_RECORDS = 0x010
export const SAME_BLOCK = 0x020
export const DELTA = 0x040
export const DEFLATED = 0x100
export const MULTIFD_FLUSH = 0x200

const PAGE_SAME_BLOCK = PAGE | SAME_BLOCK
const ZERO_SAME_BLOCK = ZERO | SAME_BLOCK
/** deflate makes incompressible data only a few bytes larger. */
const DEFLATED_BYTES_MAX = 2 * TARGET_PAGE_BYTES
/** If a block's name passed unread, this many legal records must pass before records without a name are believed. */
const PROBATION_RECORDS = 3

const READ = 0
const ENDED = -1

/** Counts of the records that were read. */
export interface RecordCounts {
  pages: number
  zeroPages: number
  /** Pages that QEMU compressed, or sent as XBZRLE deltas: their bytes pass raw. */
  encodedPages: number
  /** Pages not announced, because their block is not known yet. */
  unplacedPages: number
}

/** Walks RAM records; one per channel, because "same block" refers to the channel. */
export class RamRecords {
  readonly counts: RecordCounts = { pages: 0, zeroPages: 0, encodedPages: 0, unplacedPages: 0 }
  readonly #input: ByteInput
  readonly #knowledge: StreamKnowledge
  readonly #listener: StreamListener
  /** The block of the last record, -1 while unknown. */
  #block = -1
  /** Bytes of `#block`; 0 while unknown, so that no offset is inside. */
  #blockBytes = 0
  #onProbation = 0

  constructor(input: ByteInput, knowledge: StreamKnowledge, listener: StreamListener) {
    this.#input = input
    this.#knowledge = knowledge
    this.#listener = listener
  }

  /** Records passed unread: the last block is no longer known. */
  forgetBlock(): void {
    this.#block = -1
    this.#blockBytes = 0
    this.#onProbation = 0
  }

  /** Reads records up to and including the end mark. */
  *read(): Parse {
    for (;;) {
      this.#readRun()
      const wanted = this.#readRecord()
      if (wanted === ENDED) return
      if (wanted !== READ) yield* this.#input.need(wanted)
    }
  }

  /** Reads the usual records, pages and zero pages of the same block, as far as the window reaches. */
  #readRun(): void {
    const input = this.#input
    const { bytes, end, base } = input
    const blockBytes = this.#blockBytes
    let at = input.at
    while (end - at > 8) {
      const low = readU32(bytes, at + 4)
      const flags = low & FLAG_MASK
      if (readU32(bytes, at) * 0x1_0000_0000 + low - flags >= blockBytes) break
      if (flags === PAGE_SAME_BLOCK) {
        this.counts.pages += 1
        this.#listener.page(base + at + 8)
        at += 8 + TARGET_PAGE_BYTES
      } else if (flags === ZERO_SAME_BLOCK && bytes[at + 8] === 0) {
        this.counts.zeroPages += 1
        this.#listener.zeroPage()
        at += 9
      } else {
        break
      }
    }
    input.at = at
  }

  /** Reads any one record. Returns READ, ENDED, or how many bytes of the record must have arrived first. */
  #readRecord(): number {
    const input = this.#input
    if (!input.has(8)) return 8
    const flags = input.u32(4) & FLAG_MASK
    const offset = input.u64(0) - flags
    switch (flags & ~SAME_BLOCK) {
      case PAGE: case ZERO: case DELTA: case DEFLATED:
        return this.#readPage(flags, offset)
    }
    if (offset === 0 && flags === END_OF_RECORDS) {
      input.at += 8
      return ENDED
    }
    if (offset !== 0 || flags !== MULTIFD_FLUSH) fail(`a RAM record with flags 0x${flags.toString(16)}`)
    input.at += 8
    return READ
  }

  #readPage(flags: number, offset: number): number {
    const input = this.#input
    let bodyAt = 8
    if ((flags & SAME_BLOCK) === 0) {
      if (!input.has(9)) return 9
      bodyAt = 9 + input.u8(8)
      if (!input.has(bodyAt)) return bodyAt
      this.#enterBlock(this.#knowledge.blocks.find(input.bytes, input.at + 8, this.#block))
    }
    const isPlaced = this.#block >= 0
    const blockBytes = isPlaced ? this.#blockBytes : this.#knowledge.blocks.length(this.#knowledge.blocks.largest)
    if (offset >= blockBytes) fail('a page outside of its RAM block')
    const bodyBytes = this.#bodyBytes(flags & ~SAME_BLOCK, bodyAt)
    if (bodyBytes < 0) return -bodyBytes
    if (isPlaced) this.#announce(flags & ~SAME_BLOCK, bodyAt)
    else this.#passUnplaced()
    input.at += bodyAt + bodyBytes
    return READ
  }

  /** Bytes of a record after its header; negative: that many bytes of the record must arrive before it can tell. */
  #bodyBytes(kind: number, bodyAt: number): number {
    const input = this.#input
    if (kind === PAGE) return TARGET_PAGE_BYTES
    const fixedBytes = kind === ZERO ? 1 : kind === DELTA ? 3 : 4
    if (!input.has(bodyAt + fixedBytes)) return -(bodyAt + fixedBytes)
    if (kind === ZERO) {
      if (input.u8(bodyAt) !== 0) fail('a zero page that is not zero')
      return 1
    }
    if (kind === DELTA) {
      const length = readU16(input.bytes, input.at + bodyAt + 1)
      if (input.u8(bodyAt) !== 1 || length > TARGET_PAGE_BYTES) fail('a page delta that is none')
      return 3 + length
    }
    const length = input.u32(bodyAt)
    if (length > DEFLATED_BYTES_MAX) fail('a compressed page that is larger than a page can get')
    return 4 + length
  }

  #announce(kind: number, bodyAt: number): void {
    if (kind === PAGE) {
      this.counts.pages += 1
      this.#listener.page(this.#input.position + bodyAt)
    } else if (kind === ZERO) {
      this.counts.zeroPages += 1
      this.#listener.zeroPage()
    } else {
      this.counts.encodedPages += 1
    }
  }

  #enterBlock(block: number): void {
    if (block < 0) fail('a page of an unknown RAM block')
    this.#block = block
    this.#blockBytes = this.#knowledge.blocks.length(block)
  }

  /**
   * A record of "the same block" after that block's name passed unread. Most often QEMU is inside the largest block and
   * will not name it again, so after a few more legal records that block is assumed.
   */
  #passUnplaced(): void {
    this.counts.unplacedPages += 1
    this.#onProbation += 1
    if (this.#onProbation === PROBATION_RECORDS) this.#enterBlock(this.#knowledge.blocks.largest)
  }
}
