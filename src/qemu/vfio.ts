/**
 *   vfio    = tag* end                                 every tag is a u64 whose high half is ffffffff
 *   tag     = setup | data u64:n bytes[n] | configuration opaque
 *   end     = ...ef100001 | ...ef100005                the latter: initial data sent, 8.1+, instead of the former
 *
 * The device configuration has no length. In pre-copy it comes after RAM's end, where nobody reads; in post-copy (which
 * QEMU allows with VFIO up to 8.1 only) the end tag followed by the section's footer is searched for.
 */
import type { ByteInput, Parse } from './input.ts'
import { fail } from './unintelligible.ts'

const TAG_HIGH = 0xffffffff
const END = 0xef100001
const CONFIGURATION = 0xef100002
const SETUP = 0xef100003
const DATA = 0xef100004
const INITIAL_DATA_SENT = 0xef100005

const FOOTER = 0x7e
const DATA_BYTES_MAX = 2 ** 40

/** Reads the body of section `id`, up to where its footer begins. */
export function* vfio(input: ByteInput, id: number): Parse {
  for (;;) {
    yield* input.need(8)
    if (input.u32(0) !== TAG_HIGH) fail('VFIO state without a tag')
    const tag = input.u32(4)
    input.at += 8
    switch (tag) {
      case END: case INITIAL_DATA_SENT:
        return
      case SETUP:
        break
      case DATA: {
        yield* input.need(8)
        const length = input.u64(0)
        if (length > DATA_BYTES_MAX) fail('VFIO data of impossible length')
        input.at += 8 + length
        break
      }
      case CONFIGURATION:
        yield* configurationEnd(input, id)
        return
      default:
        fail(`VFIO state with tag 0x${tag.toString(16)}`)
    }
  }
}

function* configurationEnd(input: ByteInput, id: number): Parse {
  for (;;) {
    yield* input.need(8 + 5)
    if (input.u32(0) === TAG_HIGH && input.u32(4) === END && input.u8(8) === FOOTER && input.u32(9) === id) break
    input.at += 1
  }
  input.at += 8
}
