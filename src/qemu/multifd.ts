/**
 *   multifd = hello packet*
 *   hello   = 11223344 u32:1 uuid[16] u8:id reserved[39]
 *   packet  = 11223344 u32:1 u32:flags u32:alloc u32:pages u32:bytes u64:number u32:zeros rest[1308] page[4096]{pages}
 *           | 11223344 u32:1 u32:(flags with 40) name[256] u32:instance u32:n state[n]          a device's, 10.0+
 *
 * `bytes` counts the payload, and is meaningless without pages: QEMU up to 8.1 leaves the last packet's value there.
 * Pages may come in a packet that synchronises all channels (flag 01, before 9.0), and zero pages are counted only from
 * 9.0 on. Bits 1 to 5 of the flags are QEMU's compression: one compressor spans the whole channel, so that no page can
 * be taken out.
 */
import { TARGET_PAGE_BYTES } from './configuration.ts'
import type { ByteInput, Parse } from './input.ts'
import type { RecordCounts } from './ramrecords.ts'
import type { StreamListener } from './streamreader.ts'
import { failForGood } from './unintelligible.ts'

export const MULTIFD_MAGIC = 0x11223344
const MULTIFD_VERSION = 1
const HELLO_BYTES = 64

const COMPRESSION = 0x3e
const DEVICE_STATE = 0x40
const FLAGS_KNOWN = 0x7f

/** Bytes up to and including the count of zero pages. */
const COUNTS_BYTES = 36
/** QEMU sends half a MiB at most in one packet, and its header has room for as many offsets. */
const PAGES_MAX = 512 * 1024 / TARGET_PAGE_BYTES
const PACKET_HEADER_BYTES = 320 + 8 * PAGES_MAX
const DEVICE_HEADER_BYTES = 276

/** Reads a multifd channel. It has nothing to resynchronise at: after unknown bytes all the rest is raw. */
export function* multifd(
  input: ByteInput, { listener, counts }: { listener: StreamListener; counts: RecordCounts },
): Parse {
  yield* magic(input)
  input.at += HELLO_BYTES
  for (;;) {
    yield* magic(input)
    yield* input.need(COUNTS_BYTES)
    const flags = input.u32(8)
    if ((flags & ~FLAGS_KNOWN) !== 0) failForGood(`a multifd packet with flags 0x${flags.toString(16)}`)
    if ((flags & DEVICE_STATE) !== 0) {
      yield* deviceState(input)
      continue
    }
    const { pages, zeros } = pageCounts(input, flags)
    input.at += PACKET_HEADER_BYTES
    counts.zeroPages += zeros
    for (let zero = 0; zero < zeros; zero++) listener.zeroPage()
    for (let page = 0; page < pages; page++) {
      // Reported when the page begins, not before: its batch must have begun, too.
      if (!input.has(0)) yield* input.need(0)
      counts.pages += 1
      listener.page(input.position)
      input.at += TARGET_PAGE_BYTES
    }
  }
}

function* magic(input: ByteInput): Parse {
  yield* input.need(8)
  if (input.u32(0) !== MULTIFD_MAGIC) failForGood('no multifd packet where one should begin')
  if (input.u32(4) !== MULTIFD_VERSION) failForGood(`multifd version ${input.u32(4)}, not ${MULTIFD_VERSION}`)
}

function* deviceState(input: ByteInput): Parse {
  yield* input.need(DEVICE_HEADER_BYTES)
  input.at += DEVICE_HEADER_BYTES + input.u32(DEVICE_HEADER_BYTES - 4)
}

function pageCounts(input: ByteInput, flags: number): { pages: number; zeros: number } {
  const pages = input.u32(16)
  const zeros = input.u32(32)
  if (input.u32(12) > PAGES_MAX || pages + zeros > PAGES_MAX) failForGood('a multifd packet with too many pages')
  if (pages > 0 && (flags & COMPRESSION) !== 0) failForGood('QEMU compresses on this channel')
  const payloadBytes = input.u32(20)
  if (pages > 0 && payloadBytes !== pages * TARGET_PAGE_BYTES) failForGood('multifd pages of another size')
  return { pages, zeros }
}
