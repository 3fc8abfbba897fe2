/**
 * The messages of a relay's two agents. Received ones are checked field by field: anything odd is a PagemeshError.
 *
 *   source's agent                               destination's agent
 *      | offer (address, guest, ticket) ----------> |   over a stream: may ADDRESS be dialled?
 *      | <------------------- accepted | refused    |
 *      |                                            |   over the ticket's lane, as frames:
 *      | census ----------------------------------> |
 *      | <------------------------------- bitmap    |   which of these pages it has, and its public ones if agreed
 *      | order -----------------------------------> |   where in the guest the others are
 *      | <------------------------------ fetched *  |   pages that came from elsewhere
 *      | channel 0 (ticket) ----------------------> |   dials the lane, and then ADDRESS
 *      | <-------------------- opened 0 | refused 0 |
 *      | channel 1 ... ---------------------------> |   never before `opened 0`: QEMU distinguishes them by their order
 *      | end -------------------------------------> |   every connection is closed
 *      | <------------------------------- summary    |
 *      | outcome ---------------------------------> |   as far as the source's host knows it
 *
 * A relay outlives this lane: a connection that runs goes on without it.
 */
import type { IncomingSummary } from '../conversation/index.ts'
import { MANAGERS, type Manager } from '../guest/index.ts'
import type { LaneTicket } from '../mesh/index.ts'
import { badFrame, type FrameTable } from '../passage/index.ts'
import {
  bad, encodeObject, isId, isText, objectIn, parseObject, readChannel, readOfferedPages, readSummary, readTicket,
  spokenVersion, type Language, type OfferedPages, type RelayResult,
} from '../transfer/index.ts'
import { formatRelayAddress, parseRelayAddress, type RelayAddress } from './address.ts'

export const RELAY_PROTOCOL = '/pagemesh/relay/1'
const RELAY_VERSION = 1
const TEXT_BYTES_MAX = 4096
const SENTENCE_LENGTH_MAX = 1000
const NAME_LENGTH_MAX = 255
const ADDRESS_LENGTH_MAX = 255

export interface RelayOffer {
  /** Names the relay on both hosts: 16 random bytes as hex. */
  id: string
  /** The guest's name; undefined if the source's host does not know whose stream it is. */
  guest: string | undefined
  /** Who started the source QEMU, if known. */
  manager: Manager | undefined
  /** The address to dial at the destination. */
  address: RelayAddress
  /** Whose the guest's pages are; absent from agents of versions without tenants. */
  pages?: OfferedPages
  ticket: LaneTicket
}

/** The outcome of a migration, as far as the source's host knows. */
export type RelayEnding = Pick<RelayResult, 'status' | 'code' | 'reason'>
/** The same, and what it was. */
export type RelayOutcome = RelayEnding & Pick<RelayResult, 'mode'>

export type FromSource =
  | { kind: 'census' | 'order'; body: Buffer }
  | { kind: 'channel'; number: number; ticket: LaneTicket }
  | { kind: 'end' }
  | { kind: 'outcome'; outcome: RelayOutcome }

export type FromDestination =
  | { kind: 'bitmap' | 'fetched'; body: Buffer }
  | { kind: 'opened'; number: number }
  | { kind: 'refused'; number: number; code: string; message: string }
  /** `isUnloaded`: its QEMU closed the main connection and had not taken all of it. Agents of 1.0.0 do not say so. */
  | { kind: 'summary'; summary: IncomingSummary; isUnloaded: boolean }

export function encodeRelayOffer({ id, guest, manager, address: to, pages, ticket }: RelayOffer): Uint8Array {
  const address = formatRelayAddress(to)
  // Undefined fields are left out.
  return encodeObject({ version: RELAY_VERSION, id, guest, manager, address, pages, ticket })
}

/** Throws PagemeshError `bad-offer` unless it is a complete offer of our version. */
export function decodeRelayOffer(bytes: Uint8Array): RelayOffer {
  const { version, id, guest, manager, address, pages, ticket } = parseObject(bytes, 'bad-offer')
  if (version !== RELAY_VERSION) {
    const spoken = spokenVersion(version)
    throw bad('bad-offer', `it speaks version ${spoken} of the relay protocol, this host ${RELAY_VERSION}`)
  }
  if (!isId(id)) throw bad('bad-offer', 'the relay has no id')
  if (guest !== undefined && !isText(guest, NAME_LENGTH_MAX)) throw bad('bad-offer', 'the guest\'s name is bad')
  const readAddress = isText(address, ADDRESS_LENGTH_MAX) ? parseRelayAddress(address) : undefined
  if (readAddress === undefined) throw bad('bad-offer', 'the address cannot be read')
  const read = readTicket(ticket)
  if (read === undefined) throw bad('bad-offer', 'the ticket cannot be read')
  // A manager that this host does not know counts as none.
  const readManager = MANAGERS.find((known) => known === manager)
  const offered = readOfferedPages(pages)
  return {
    id, guest, manager: readManager, address: readAddress, ticket: read,
    ...(offered === undefined ? {} : { pages: offered }),
  }
}

const SOURCE_FRAMES: FrameTable<FromSource['kind']> = {
  census: { kind: 1, bytesMin: 0, bytesMax: 64 * 2 ** 20 },
  order: { kind: 2, bytesMin: 0, bytesMax: 32 * 2 ** 20 },
  channel: { kind: 3, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  end: { kind: 4, bytesMin: 0, bytesMax: 0 },
  outcome: { kind: 5, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
}

const DESTINATION_FRAMES: FrameTable<FromDestination['kind']> = {
  bitmap: { kind: 32, bytesMin: 0, bytesMax: 4 * 2 ** 20 },
  fetched: { kind: 33, bytesMin: 0, bytesMax: 64 * 1024 },
  opened: { kind: 34, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  refused: { kind: 35, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  summary: { kind: 36, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
}

function encodeMessage(message: FromSource | FromDestination): Uint8Array {
  switch (message.kind) {
    case 'census': case 'order': case 'bitmap': case 'fetched': return message.body
    case 'end': return new Uint8Array(0)
    // Older agents pass over what they do not know.
    case 'summary': return encodeObject({ ...message.summary, ...(message.isUnloaded ? { isUnloaded: true } : {}) })
    case 'outcome': {
      const { reason, ...outcome } = message.outcome
      return encodeObject({ ...outcome, ...(reason === undefined ? {} : { reason: cut(reason) }) })
    }
    case 'refused': return encodeObject({ number: message.number, code: message.code, message: cut(message.message) })
    case 'opened': return encodeObject({ number: message.number })
    case 'channel': return encodeObject({ number: message.number, ticket: message.ticket })
  }
}

function decodeFromSource(kind: FromSource['kind'], body: Buffer): FromSource {
  switch (kind) {
    case 'census': case 'order': return { kind, body }
    case 'channel': return { kind, ...readChannel(body) }
    case 'end': return { kind }
    case 'outcome': {
      const { status, mode, code, reason } = objectIn(kind, body)
      if (status !== 'completed' && status !== 'cancelled' && status !== 'failed' && status !== 'unknown') {
        throw badFrame('an outcome is unknown')
      }
      if (mode !== 'precopy' && mode !== 'postcopy') throw badFrame('an outcome has an unknown mode')
      return {
        kind,
        outcome: {
          status, mode, ...(isCode(code) ? { code } : {}), ...(isText(reason, SENTENCE_LENGTH_MAX) ? { reason } : {}),
        },
      }
    }
  }
}

function decodeFromDestination(kind: FromDestination['kind'], body: Buffer): FromDestination {
  switch (kind) {
    case 'bitmap': case 'fetched': return { kind, body }
    case 'opened': return { kind, number: numberIn(kind, objectIn(kind, body)) }
    case 'summary': {
      const object = objectIn(kind, body)
      return { kind, summary: readSummary(object), isUnloaded: object.isUnloaded === true }
    }
    case 'refused': {
      const object = objectIn(kind, body)
      const { code, message } = object
      if (!isCode(code) || !isText(message, SENTENCE_LENGTH_MAX)) throw badFrame('a channel is refused without reason')
      return { kind, number: numberIn(kind, object), code, message }
    }
  }
}

/** The messages that the source's end sends and receives, and those of the destination's end. */
export const SOURCE_LANGUAGE: Language<FromSource, FromDestination> = {
  said: SOURCE_FRAMES, heard: DESTINATION_FRAMES, encode: encodeMessage, decode: decodeFromDestination,
}
export const DESTINATION_LANGUAGE: Language<FromDestination, FromSource> = {
  said: DESTINATION_FRAMES, heard: SOURCE_FRAMES, encode: encodeMessage, decode: decodeFromSource,
}

/** Sentences are cut, because frames are bounded; the limit counts characters of up to three bytes. */
function cut(sentence: string): string {
  return sentence.slice(0, SENTENCE_LENGTH_MAX)
}

function isCode(value: unknown): value is string {
  return isText(value, 64) && /^[a-z0-9-]+$/.test(value)
}

function numberIn(kind: string, { number }: Record<string, unknown>): number {
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw badFrame(`its ${kind} has no number`)
}
