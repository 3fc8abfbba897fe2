/**
 * Resynchronising after bytes that were not understood. Searched for at every byte:
 *
 *   7e <open section> element      the footer of the section that was not understood, and a possible next element
 *   02|03 <ram> record             more of RAM, with a legal first record
 *   01 <id> 03 'ram' 0 4 u64:..004 RAM's beginning
 *   08 0007 0004 <L> 08 0004 0000  the device package, which begins with POSTCOPY_LISTEN
 *
 * Each takes at least 64 bits to match by chance. A wrong match costs compression, never correctness. No candidate
 * waits for more bytes than it takes to reject it, so that a page's record is known as soon as its header has arrived.
 */
import { MEMORY_SIZE } from './blocklist.ts'
import { COMMAND, isKnownCommand, PACKAGED } from './command.ts'
import type { ByteInput, Parse } from './input.ts'
import type { StreamKnowledge } from './knowledge.ts'
import {
  DEFLATED, DELTA, END_OF_RECORDS, FLAG_MASK, MULTIFD_FLUSH, PAGE, SAME_BLOCK, ZERO,
} from './ramrecords.ts'
import {
  RAM_VERSION, SECTION_END, SECTION_FOOTER, SECTION_FULL, SECTION_PART, SECTION_START,
} from './section.ts'

/** `03 'ram'` as a number. */
const RAM_NAME_COUNTED = 0x0372616d
const POSTCOPY_LISTEN = 0x04
const NAME_BYTES_MIN = 1

/** The result of checking one place, or how many bytes from there must have arrived to tell. */
const MATCH = 0
const MISMATCH = -1

/** Skips bytes until an element begins; `openSection` is the section that was not understood. */
export function* resynchronise(
  input: ByteInput, knowledge: StreamKnowledge, openSection: number | undefined,
): Parse {
  for (;;) {
    seekCandidate(input)
    const verdict = input.has(1) ? judge(input, knowledge, openSection) : 1
    if (verdict === MATCH) break
    if (verdict === MISMATCH) input.at += 1
    else yield* input.need(verdict)
  }
  if (input.u8(0) === SECTION_FOOTER) input.at += 5
}

/** Moves to the first byte of the window that can begin an element, or to the window's end. */
function seekCandidate(input: ByteInput): void {
  const { bytes, end } = input
  let at = input.at
  while (at < end) {
    const byte = bytes[at]!
    if (byte === SECTION_FOOTER || byte === COMMAND || (byte >= SECTION_START && byte <= SECTION_END)) break
    at += 1
  }
  input.at = at
}

function judge(input: ByteInput, knowledge: StreamKnowledge, openSection: number | undefined): number {
  if (!input.has(5)) return 5
  switch (input.u8(0)) {
    case SECTION_FOOTER:
      if (input.u32(1) !== openSection || !knowledge.hasFooters) return MISMATCH
      return judgeFollower(input, knowledge)
    case SECTION_PART:
    case SECTION_END:
      return input.u32(1) === knowledge.ramSection ? judgeRecord(input, knowledge, 5) : MISMATCH
    case SECTION_START:
      return judgeRamStart(input)
    case COMMAND:
      return judgePackage(input)
    default:
      return MISMATCH
  }
}

/** What may follow a footer; the end of the stream may not, before RAM's end. */
function judgeFollower(input: ByteInput, knowledge: StreamKnowledge): number {
  if (!input.has(10)) return 10
  switch (input.u8(5)) {
    case SECTION_PART:
    case SECTION_END: {
      const id = input.u32(6)
      if (id === knowledge.ramSection) return judgeRecord(input, knowledge, 10)
      return knowledge.section(id) === undefined ? MISMATCH : MATCH
    }
    case SECTION_START:
    case SECTION_FULL:
      return judgeHeader(input)
    case COMMAND:
      return isKnownCommand(input.u16(6), input.u16(8)) ? MATCH : MISMATCH
    default:
      return MISMATCH
  }
}

/** A section header after a footer: its name is text. */
function judgeHeader(input: ByteInput): number {
  const nameAt = 11
  if (!input.has(nameAt)) return nameAt
  const length = input.u8(nameAt - 1)
  if (length < NAME_BYTES_MIN) return MISMATCH
  const cameBytes = Math.min(length, input.unreadBytes - nameAt)
  for (let i = 0; i < cameBytes; i++) {
    const byte = input.u8(nameAt + i)
    if (byte < 0x20 || byte > 0x7e) return MISMATCH
  }
  return cameBytes === length ? MATCH : nameAt + cameBytes + 1
}

/** The first record of a RAM section, `ahead` of the input's position. */
function judgeRecord(input: ByteInput, knowledge: StreamKnowledge, ahead: number): number {
  if (!input.has(ahead + 8)) return ahead + 8
  const flags = input.u32(ahead + 4) & FLAG_MASK
  const offset = input.u64(ahead) - flags
  const blocks = knowledge.blocks
  switch (flags) {
    case END_OF_RECORDS:
      return offset === 0 ? judgeFooterOfRam(input, knowledge, ahead + 8) : MISMATCH
    case MULTIFD_FLUSH:
      return offset === 0 ? MATCH : MISMATCH
    case PAGE | SAME_BLOCK: case ZERO | SAME_BLOCK: case DELTA | SAME_BLOCK: case DEFLATED | SAME_BLOCK:
      return offset < blocks.length(blocks.largest) ? MATCH : MISMATCH
    case PAGE: case ZERO: case DELTA: case DEFLATED: {
      const nameAt = ahead + 8
      if (!input.has(nameAt + 1)) return nameAt + 1
      const nameEnd = nameAt + 1 + input.u8(nameAt)
      if (!input.has(nameEnd)) return nameEnd
      return offset < blocks.length(blocks.find(input.bytes, input.at + nameAt, -1)) ? MATCH : MISMATCH
    }
    default:
      return MISMATCH
  }
}

function judgeFooterOfRam(input: ByteInput, knowledge: StreamKnowledge, ahead: number): number {
  if (!knowledge.hasFooters) return MATCH
  if (!input.has(ahead + 5)) return ahead + 5
  const isFooter = input.u8(ahead) === SECTION_FOOTER && input.u32(ahead + 1) === knowledge.ramSection
  return isFooter ? MATCH : MISMATCH
}

function judgeRamStart(input: ByteInput): number {
  if (!input.has(9)) return 9
  if (input.u32(5) !== RAM_NAME_COUNTED) return MISMATCH
  if (!input.has(17)) return 17
  if (input.u32(9) !== 0 || input.u32(13) !== RAM_VERSION) return MISMATCH
  if (!input.has(25)) return 25
  return (input.u32(21) & FLAG_MASK) === MEMORY_SIZE ? MATCH : MISMATCH
}

function judgePackage(input: ByteInput): number {
  if (input.u16(1) !== PACKAGED || input.u16(3) !== 4) return MISMATCH
  if (!input.has(14)) return 14
  const isListen = input.u8(9) === COMMAND && input.u16(10) === POSTCOPY_LISTEN && input.u16(12) === 0
  return isListen ? MATCH : MISMATCH
}
