/**
 *   configuration = 07 u32:n machine[n] subsection*          n <= 255
 *   subsection    = 05 cstr:name u32:version fields
 *   fields        = u32:bits                                 'configuration/target-page-bits'
 *                 | u32:count cstr[count]                    'configuration/capabilities'
 *                 | uuid[16]                                 'configuration/uuid'
 */
import type { ByteInput, Parse } from './input.ts'
import type { StreamKnowledge } from './knowledge.ts'
import { fail, failForGood } from './unintelligible.ts'

export const CONFIGURATION = 0x07

const SUBSECTION = 0x05
const MACHINE_NAME_BYTES_MAX = 255
const CAPABILITIES_MAX = 64
const TARGET_PAGE_BITS = 12
/** Bytes of a page in readable streams; a stream with other pages passes raw. */
export const TARGET_PAGE_BYTES = 2 ** TARGET_PAGE_BITS

/** Reads the configuration section, its type byte included. */
export function* configuration(input: ByteInput, knowledge: StreamKnowledge): Parse {
  yield* input.need(5)
  const nameLength = input.u32(1)
  if (nameLength > MACHINE_NAME_BYTES_MAX) fail('the machine name is longer than 255 bytes')
  input.at += 5 + nameLength
  for (;;) {
    yield* input.need(1)
    if (input.u8(0) !== SUBSECTION) return
    yield* subsection(input, knowledge)
  }
}

function* subsection(input: ByteInput, knowledge: StreamKnowledge): Parse {
  yield* input.need(2)
  const nameLength = input.u8(1)
  yield* input.need(2 + nameLength + 4 + 4)
  const name = input.text(2, nameLength)
  const fieldsAt = 2 + nameLength + 4
  switch (name) {
    case 'configuration/target-page-bits': {
      const bits = input.u32(fieldsAt)
      if (bits !== TARGET_PAGE_BITS) failForGood(`the guest's pages have ${2 ** bits} bytes, not ${TARGET_PAGE_BYTES}`)
      input.at += fieldsAt + 4
      return
    }
    case 'configuration/capabilities':
      input.at += fieldsAt
      yield* capabilities(input, knowledge)
      return
    case 'configuration/uuid':
      input.at += fieldsAt + 16
      return
    default:
      fail('the configuration has a part that this version does not know')
  }
}

function* capabilities(input: ByteInput, knowledge: StreamKnowledge): Parse {
  yield* input.need(4)
  const count = input.u32(0)
  if (count > CAPABILITIES_MAX) fail(`the configuration lists more than ${CAPABILITIES_MAX} capabilities`)
  input.at += 4
  for (let i = 0; i < count; i++) {
    yield* input.need(1)
    const length = input.u8(0)
    yield* input.need(1 + length)
    const capability = input.text(1, length)
    if (capability === 'mapped-ram') failForGood('mapped-ram writes pages at fixed places of a file')
    if (capability === 'x-ignore-shared') knowledge.hasGuestAddresses = true
    input.at += 1 + length
  }
}
