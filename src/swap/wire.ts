/**
 * The messages of an asker and a holder.
 *
 * Goals: one session carries any number of wants, many under way at once; pages travel compressed together, over the
 * bulk lane where there are many; a holder that cannot answer now tells so at once. Non-goals: trust (the asker hashes
 * every page); surviving the loss of the stream (the asker goes elsewhere); mixed purposes: a session has one, so that
 * its bytes have one account, and urgent wants never queue behind others.
 *
 *   asker                                       holder
 *     hello (version, purpose) ------------------> |
 *     want (sequence, prefixes) -----------------> |  only popular pages are read, and only those sent
 *       |                                          |  that enough hosts have proven to hold
 *     want (sequence, prefixes) -----------------> |
 *       | <------------- pages (sequence, bitmap, packed)   as slices of one sequence of bytes
 *       | <------------------------ busy (sequence)         ask elsewhere, or again later
 *       | <---------------------------- lane (ticket)       many pages: dial it; all further answers come over it
 *       | <------------------------------------- shut       a guest moves here: open wants stay unanswered
 *       | <------------------------------------- open       ask again
 *     either closes the stream, and with it the session
 *
 * States of a session at the holder: greeting -> open <-> shut -> closed. A message outside its state, a want whose
 * sequence is not above all before it, or an answer that nobody asked for costs the sender standing.
 *
 *   asker to holder, each a message of the stream:
 *   hello  = 1:u8 version:u8 purpose:u8             purpose: 1 placement, 2 handoff
 *   want   = 2:u8 sequence:u32 prefix:8 {1..256}
 *
 *   holder to asker, each a message of the stream:
 *   slice  = 1:u8 bytes            the next bytes of the run of frames
 *   lane   = 2:u8 idBytes:u8 id keyBytes:u8 key address
 *   shut   = 3:u8                  open = 4:u8
 *
 *   The lane then carries its own sequence of frames (frames.ts), only from holder to asker.
 */
import { bufferOver } from '../bytes/bufferover.ts'
import type { LaneTicket } from '../mesh/index.ts'
import { PREFIX_BYTES, readPrefixes, writePrefixes, type Prefixes } from '../page/index.ts'
import type { SwapPurpose } from './api.ts'
import { badSwap } from './badswap.ts'
import { LIMITS } from './limits.ts'

export const SWAP_PROTOCOL = '/pagemesh/swap/1'
const VERSION = 1

const ASKER = { hello: 1, want: 2 } as const
const HOLDER = { slice: 1, lane: 2, shut: 3, open: 4 } as const
const PURPOSES: readonly SwapPurpose[] = ['placement', 'handoff']
const WANT_HEAD_BYTES = 5
const TICKET_BYTES_MAX = 1024

export type AskerMessage =
  | { kind: 'hello'; purpose: SwapPurpose }
  | { kind: 'want'; sequence: number; prefixes: Prefixes }

export type HolderMessage =
  | { kind: 'slice'; bytes: Uint8Array }
  | { kind: 'lane'; ticket: LaneTicket }
  | { kind: 'shut' }
  | { kind: 'open' }

export function encodeHello(purpose: SwapPurpose): Uint8Array {
  return Uint8Array.of(ASKER.hello, VERSION, PURPOSES.indexOf(purpose) + 1)
}

export function encodeWant(sequence: number, prefixes: Prefixes): Uint8Array {
  const bytes = Buffer.allocUnsafe(WANT_HEAD_BYTES + prefixes.count * PREFIX_BYTES)
  bytes[0] = ASKER.want
  bytes.writeUInt32BE(sequence, 1)
  writePrefixes(bytes, WANT_HEAD_BYTES, prefixes)
  return bytes
}

/** Throws PagemeshError `bad-swap` on bytes that no Pagemesh asker writes. */
export function decodeAskerMessage(message: Uint8Array): AskerMessage {
  const bytes = bufferOver(message)
  if (bytes[0] === ASKER.hello) {
    const purpose = PURPOSES[bytes[2]! - 1]
    if (bytes.length !== 3 || bytes[1] !== VERSION || purpose === undefined) throw badSwap('its hello is malformed')
    return { kind: 'hello', purpose }
  }
  if (bytes[0] !== ASKER.want) throw badSwap('its kind is unknown')
  const count = (bytes.length - WANT_HEAD_BYTES) / PREFIX_BYTES
  if (!Number.isInteger(count) || count < 1 || count > LIMITS.pagesPerWant) throw badSwap('a want has a bad length')
  return { kind: 'want', sequence: bytes.readUInt32BE(1), prefixes: readPrefixes(bytes, WANT_HEAD_BYTES, count) }
}

/** Slices of a sequence of frames, each a message of at most `bytesMax` and one byte. */
export function encodeSlice(bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + bytes.length)
  message[0] = HOLDER.slice
  message.set(bytes, 1)
  return message
}

export function encodeShut(isShut: boolean): Uint8Array {
  return Uint8Array.of(isShut ? HOLDER.shut : HOLDER.open)
}

export function encodeTicket({ address, id, key }: LaneTicket): Uint8Array {
  const idBytes = Buffer.from(id, 'hex')
  const keyBytes = Buffer.from(key, 'hex')
  return Buffer.concat([
    Uint8Array.of(HOLDER.lane, idBytes.length), idBytes, Uint8Array.of(keyBytes.length), keyBytes, Buffer.from(address),
  ])
}

/** Throws PagemeshError `bad-swap` on bytes that no Pagemesh holder writes. */
export function decodeHolderMessage(message: Uint8Array): HolderMessage {
  if (message[0] === HOLDER.slice && message.length > 1) return { kind: 'slice', bytes: message.subarray(1) }
  if (message[0] === HOLDER.lane) return { kind: 'lane', ticket: decodeTicket(bufferOver(message)) }
  if (message[0] === HOLDER.shut && message.length === 1) return { kind: 'shut' }
  if (message[0] === HOLDER.open && message.length === 1) return { kind: 'open' }
  throw badSwap('its kind is unknown')
}

function decodeTicket(bytes: Buffer): LaneTicket {
  const keyAt = 2 + (bytes[1] ?? 0)
  const addressAt = keyAt + 1 + (bytes[keyAt] ?? 0)
  if (bytes.length > TICKET_BYTES_MAX || addressAt >= bytes.length) throw badSwap('a ticket is cut short')
  return {
    id: bytes.toString('hex', 2, keyAt),
    key: bytes.toString('hex', keyAt + 1, addressAt),
    address: bytes.toString('utf8', addressAt),
  }
}
