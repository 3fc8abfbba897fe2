/**
 * The first two messages of a handoff, over a stream between the agents: may this guest come to you?
 *
 *   outgoing -> incoming   offer: guest, mode, whether it runs, a ticket for the lane
 *   incoming -> outgoing   accepted, or refused with a code, a sentence and advice
 */
import type { MigrationMode } from '../guest/index.ts'
import type { LaneTicket } from '../mesh/index.ts'
import { PagemeshError, type Fault } from '../runtime/errors.ts'
import { HANDOFF_VERSION } from './wire.ts'

export interface HandoffOffer {
  version: number
  guest: string
  mode: MigrationMode
  /** Whether the guest runs now, and so shall run at the destination. */
  running: boolean
  /** Only ask what the destination has; no guest moves. */
  dryRun: boolean
  ticket: LaneTicket
}

export type HandoffAnswer = { accepted: true } | { accepted: false; code: string; message: string; advice?: string }

export function encodeOffer(offer: HandoffOffer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(offer))
}

/** Throws PagemeshError `bad-offer` on anything but a whole offer of a version that we speak. */
export function decodeOffer(bytes: Uint8Array): HandoffOffer {
  const value = parseObject(bytes, 'bad-offer')
  const { version, guest, mode, running, dryRun, ticket } = value
  if (version !== HANDOFF_VERSION) {
    throw bad('bad-offer', `it speaks version ${String(version)} of the handoff protocol, this host ${HANDOFF_VERSION}`)
  }
  if (!isText(guest, 255) || (mode !== 'precopy' && mode !== 'postcopy')) throw bad('bad-offer', 'guest or mode is bad')
  if (typeof running !== 'boolean' || typeof dryRun !== 'boolean') throw bad('bad-offer', 'a flag is missing')
  if (typeof ticket !== 'object' || ticket === null) throw bad('bad-offer', 'the ticket is missing')
  const { address, id, key } = ticket as Record<string, unknown>
  if (!isText(address, 255) || !isText(id, 64) || !isText(key, 128)) throw bad('bad-offer', 'the ticket cannot be read')
  return { version, guest, mode, running, dryRun, ticket: { address, id, key } }
}

export function encodeAnswer(answer: HandoffAnswer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(answer))
}

/** Resolves an answer: returns on acceptance, throws what the other side refused with otherwise. */
export function requireAccepted(bytes: Uint8Array, host: string): void {
  const value = parseObject(bytes, 'bad-answer')
  if (value.accepted === true) return
  const { code, message, advice } = value
  if (!isText(code, 64) || !isText(message, 2048)) throw bad('bad-answer', 'a refusal without a reason')
  const fault: Fault = 'peer'
  throw new PagemeshError(code, `${host} refused the guest: ${message}`, {
    fault,
    phase: 'offer',
    ...(isText(advice, 2048) ? { advice } : {}),
  })
}

function parseObject(bytes: Uint8Array, code: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw bad(code, 'it is no JSON')
  }
  if (typeof value !== 'object' || value === null) throw bad(code, 'it is no object')
  return value as Record<string, unknown>
}

function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= lengthMax
}

function bad(code: string, why: string): PagemeshError {
  return new PagemeshError(code, `The other agent's message cannot be read: ${why}.`, {
    fault: 'peer',
    phase: 'offer',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
