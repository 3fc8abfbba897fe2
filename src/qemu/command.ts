/**
 *   command  = 08 u16:command u16:n payload[n]
 *   packaged = 08 0007 0004 u32:L stream[L]           only the run state is searched for in the nested stream
 *
 * Recovery of a broken post-copy begins a new connection with RECV_BITMAP commands and POSTCOPY_RESUME.
 */
import { TARGET_PAGE_BYTES } from './configuration.ts'
import type { ByteInput, Parse } from './input.ts'
import type { StreamKnowledge } from './knowledge.ts'
import type { RunStateSearch } from './runstate.ts'
import type { StreamListener } from './streamreader.ts'
import { fail } from './unintelligible.ts'

export const COMMAND = 0x08

const OPEN_RETURN_PATH = 1
const PING = 2
const POSTCOPY_ADVISE = 3
const POSTCOPY_LISTEN = 4
const POSTCOPY_RUN = 5
const RAM_DISCARD = 6
export const PACKAGED = 7
const ENABLE_COLO = 8
const POSTCOPY_RESUME = 9
const RECEIVED_BITMAP = 10
const SWITCHOVER_START = 11
/** Commands beyond the known ones still have a length; a number above this is not a command. */
const COMMAND_MAX = 63

/** Bytes of each known command's payload: the least and the most. */
const PAYLOAD_BYTES = new Map<number, readonly [least: number, most: number]>([
  [OPEN_RETURN_PATH, [0, 0]],
  [PING, [4, 4]],
  [POSTCOPY_ADVISE, [0, 16]],
  [POSTCOPY_LISTEN, [0, 0]],
  [POSTCOPY_RUN, [0, 0]],
  [RAM_DISCARD, [3, 0xffff]],
  [PACKAGED, [4, 4]],
  [ENABLE_COLO, [0, 0]],
  [POSTCOPY_RESUME, [0, 0]],
  [RECEIVED_BITMAP, [2, 256]],
  [SWITCHOVER_START, [0, 0]],
])

/** Whether QEMU up to 10.2 could write command `number` with a payload of `payloadBytes`. */
export function isKnownCommand(number: number, payloadBytes: number): boolean {
  const bounds = PAYLOAD_BYTES.get(number)
  return bounds !== undefined && payloadBytes >= bounds[0] && payloadBytes <= bounds[1]
}

/** Reads a command, its type byte included, and the package after it. */
export function* command(
  input: ByteInput, knowledge: StreamKnowledge, listener: StreamListener, runState: RunStateSearch,
): Parse {
  yield* input.need(5)
  const number = input.u16(1)
  const payloadBytes = input.u16(3)
  const isOfLaterVersion = number > SWITCHOVER_START && number <= COMMAND_MAX
  if (!isOfLaterVersion && !isKnownCommand(number, payloadBytes)) {
    fail(`a command ${number} with ${payloadBytes} bytes`)
  }
  switch (number) {
    case POSTCOPY_ADVISE:
      if (payloadBytes === 16) yield* advise(input, knowledge)
      break
    case PACKAGED:
      yield* packaged(input, knowledge, listener, runState)
      return
    case POSTCOPY_RESUME:
      knowledge.isPostcopy = true
      listener.mark('resume', input.position)
      break
  }
  input.at += 5 + payloadBytes
}

function* advise(input: ByteInput, knowledge: StreamKnowledge): Parse {
  yield* input.need(5 + 16)
  // The first number is the OR of all blocks' page sizes: 4096 alone means that no block has another.
  knowledge.mayHavePageSizes = input.u32(5) !== 0 || input.u32(9) !== TARGET_PAGE_BYTES
}

function* packaged(
  input: ByteInput, knowledge: StreamKnowledge, listener: StreamListener, runState: RunStateSearch,
): Parse {
  yield* input.need(5 + 4)
  knowledge.isPostcopy = true
  listener.mark('package', input.position)
  const bytes = input.u32(5)
  input.at += 5 + 4
  yield* runState.read(input, bytes)
}
