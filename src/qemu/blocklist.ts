/**
 *   blocklist = u64:(total | 004) block*                     until the used lengths make up the total
 *   block     = cstr:name u64:used_length [u64:page_size] [u64:guest_address]
 *
 * `guest_address` is present if the configuration lists x-ignore-shared. `page_size` is present only in post-copy, and
 * only for blocks with other pages than the host's; nothing announces it. The bytes after it tell: the next block's
 * name is never empty, so its first byte is not 0, and the first record after the last block has a flag in its low 12
 * bits; page sizes and guest addresses have neither.
 */
import { BLOCKS_MAX } from './blocktable.ts'
import { TARGET_PAGE_BYTES } from './configuration.ts'
import type { ByteInput, Parse } from './input.ts'
import type { StreamKnowledge } from './knowledge.ts'
import { fail } from './unintelligible.ts'

const FLAG_MASK = 0xfff
export const MEMORY_SIZE = 0x004

/** Reads the list of RAM blocks at the start of RAM's first section; replaces the blocks known before. */
export function* blockList(input: ByteInput, knowledge: StreamKnowledge): Parse {
  yield* input.need(8)
  if ((input.u32(4) & FLAG_MASK) !== MEMORY_SIZE) fail('RAM does not begin with its size')
  const total = input.u64(0) - MEMORY_SIZE
  if (total > Number.MAX_SAFE_INTEGER) fail('RAM is larger than any host')
  input.at += 8
  knowledge.blocks.clear()
  for (let sum = 0; sum < total;) {
    if (knowledge.blocks.count === BLOCKS_MAX) fail(`more than ${BLOCKS_MAX} RAM blocks`)
    sum += yield* block(input, knowledge, total - sum)
  }
}

/** Reads one block; `remaining` bytes of RAM are not announced yet. Returns the block's length in bytes. */
function* block(input: ByteInput, knowledge: StreamKnowledge, remaining: number): Parse<number> {
  yield* input.need(1)
  const nameLength = input.u8(0)
  if (nameLength === 0) fail('a RAM block without a name')
  const lengthAt = 1 + nameLength
  yield* input.need(lengthAt + 8)
  const length = input.u64(lengthAt)
  if (length > remaining) fail('the RAM blocks are larger than RAM')
  const addressBytes = knowledge.hasGuestAddresses ? 8 : 0
  const optionalAt = lengthAt + 8
  const pageSizeBytes = knowledge.mayHavePageSizes
    ? yield* pageSizeField(input, optionalAt, addressBytes, length === remaining)
    : 0
  const nameAt = input.at + 1
  knowledge.blocks.add(input.bytes.subarray(nameAt, nameAt + nameLength), length)
  input.at += optionalAt + pageSizeBytes + addressBytes
  return length
}

/** Bytes of a block's page size field: 8, or 0 if it is absent. */
function* pageSizeField(input: ByteInput, ahead: number, addressBytes: number, isLast: boolean): Parse<0 | 8> {
  const behind = ahead + addressBytes
  yield* input.need(behind + 8)
  const isGiven = isLast ? (input.u32(behind + 4) & FLAG_MASK) === 0 : input.u8(behind) === 0
  if (!isGiven) return 0
  const pageSize = input.u64(ahead)
  const isPowerOfTwo = Number.isInteger(Math.log2(pageSize))
  if (pageSize < TARGET_PAGE_BYTES || !isPowerOfTwo) fail('a RAM block with an impossible page size')
  return 8
}
