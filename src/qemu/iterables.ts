/**
 * The bodies of sections other than RAM that may come before RAM's end. They have no length, so they are walked only to
 * find what comes after them.
 *
 *   dirtyBitmap       = (flags [cstr:node] [cstr:bitmap] chunk)* flags:01
 *   block             = (u64:(sector | 1) cstr:device [1 MiB] | u64:(progress | 4))* u64:2
 *   htab              = u32:size                               in the setup, or where the kernel has the table
 *                     | u32:0 (u32:index u16:n u16:m entry[16 * n])*   until all three are 0
 *   storageAttributes = (u64:(page | 2) u64:n attribute[n] | u64:8)* u64:1
 *   virtioMemEarly    = u64:address u64:region u64:block u32:node u64:size u64[region / block / 64]
 */
import type { ByteInput, Parse } from './input.ts'
import { fail } from './unintelligible.ts'

const DISK_BLOCK_BYTES = 2 ** 20
/** The most bytes that a length in these bodies may name: far above any real one, and arithmetic stays exact. */
const LENGTH_MAX = 2 ** 40

/** Reads `cstr` and discards it. */
function* skipName(input: ByteInput): Parse {
  yield* input.need(1)
  input.at += 1 + input.u8(0)
}

function boundedLength(length: number): number {
  if (length > LENGTH_MAX) fail('a length that no device has')
  return length
}

const BITMAP_END = 0x01
const BITMAP_ZEROES = 0x02
const BITMAP_NAME = 0x04
const BITMAP_NODE_NAME = 0x08
const BITMAP_START = 0x10
const BITMAP_BITS = 0x40
const BITMAP_MORE_FLAGS = 0x80

export function* dirtyBitmap(input: ByteInput): Parse {
  for (;;) {
    const flags = yield* dirtyBitmapFlags(input)
    if ((flags & BITMAP_NODE_NAME) !== 0) yield* skipName(input)
    if ((flags & BITMAP_NAME) !== 0) yield* skipName(input)
    if ((flags & BITMAP_END) !== 0) return
    if ((flags & BITMAP_START) !== 0) input.at += 4 + 1
    if ((flags & BITMAP_BITS) === 0) continue
    yield* input.need(8 + 4)
    input.at += 8 + 4
    if ((flags & BITMAP_ZEROES) !== 0) continue
    yield* input.need(8)
    input.at += 8 + boundedLength(input.u64(0))
  }
}

/** One byte; if its top bit is set, one more follows, and if that one's is set, two more. Returns the last byte. */
function* dirtyBitmapFlags(input: ByteInput): Parse<number> {
  yield* input.need(1)
  let length = 1
  if ((input.u8(0) & BITMAP_MORE_FLAGS) !== 0) {
    yield* input.need(2)
    length = (input.u8(1) & BITMAP_MORE_FLAGS) === 0 ? 2 : 4
    yield* input.need(length)
  }
  const flags = input.u8(length - 1)
  input.at += length
  return flags
}

const DISK_BLOCK = 0x01
const DISK_END = 0x02
const DISK_PROGRESS = 0x04
const DISK_ZERO_BLOCK = 0x08
const SECTOR_FLAGS_MASK = 0x1ff

export function* diskBlocks(input: ByteInput): Parse {
  for (;;) {
    yield* input.need(8)
    const flags = input.u32(4) & SECTOR_FLAGS_MASK
    input.at += 8
    if ((flags & DISK_BLOCK) !== 0) {
      yield* skipName(input)
      if ((flags & DISK_ZERO_BLOCK) === 0) input.at += DISK_BLOCK_BYTES
    } else if ((flags & DISK_END) !== 0) {
      return
    } else if ((flags & DISK_PROGRESS) === 0) {
      fail(`a disk record with flags 0x${flags.toString(16)}`)
    }
  }
}

const HTAB_ABSENT = 0xffffffff
const HTAB_ENTRY_BYTES = 16

export function* hashTable(input: ByteInput): Parse {
  yield* input.need(4)
  const header = input.u32(0)
  input.at += 4
  // A number other than 0 is the table's size, or means that the kernel has the table: nothing follows.
  if (header > 0 && header <= HTAB_ABSENT) return
  for (;;) {
    yield* input.need(8)
    const isEnd = input.u32(0) === 0 && input.u32(4) === 0
    input.at += 8 + input.u16(4) * HTAB_ENTRY_BYTES
    if (isEnd) return
  }
}

const ATTRIBUTES_END = 0x01
const ATTRIBUTES_MORE = 0x02
const ATTRIBUTES_DONE = 0x08
const PAGE_FLAGS_MASK = 0xfff

export function* storageAttributes(input: ByteInput): Parse {
  for (;;) {
    yield* input.need(8)
    const flags = input.u32(4) & PAGE_FLAGS_MASK
    input.at += 8
    if (flags === ATTRIBUTES_END) return
    if (flags === ATTRIBUTES_DONE) continue
    if (flags !== ATTRIBUTES_MORE) fail(`storage attributes with flags 0x${flags.toString(16)}`)
    yield* input.need(8)
    input.at += 8 + boundedLength(input.u64(0))
  }
}

export function* virtioMemEarly(input: ByteInput): Parse {
  const fixedBytes = 8 + 8 + 8 + 4 + 8
  yield* input.need(fixedBytes)
  const bitmapWords = Math.ceil(Math.ceil(input.u64(8) / input.u64(16)) / 64)
  // A block size of 0 makes the quotient infinite or NaN: neither is at most the bound.
  if (!(bitmapWords * 8 <= LENGTH_MAX)) fail('a memory device of impossible size')
  input.at += fixedBytes + bitmapWords * 8
}
