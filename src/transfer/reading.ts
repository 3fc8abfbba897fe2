/** Reads another agent's message field by field: anything odd is a PagemeshError. Pure. */
import type { LaneTicket } from '../mesh/index.ts'
import { badFrame } from '../passage/index.ts'
import { PagemeshError, type ErrorCode } from '../runtime/errors.ts'

export function encodeObject(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** Throws PagemeshError `code`. */
export function parseObject(bytes: Uint8Array, code: ErrorCode): Record<string, unknown> {
  const value = recordOf(bytes)
  if (value === undefined) throw bad(code, 'it is no JSON object')
  return value
}

/** The object in a frame's body. Throws PagemeshError `bad-frame`. */
export function objectIn(kind: string, body: Uint8Array): Record<string, unknown> {
  const value = recordOf(body)
  if (value === undefined) throw badFrame(`its ${kind} is no JSON object`)
  return value
}

export function bad(code: ErrorCode, why: string): PagemeshError {
  return new PagemeshError(code, `The other agent's message cannot be read: ${why}.`, {
    fault: 'peer',
    phase: 'offer',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}

/** Another agent's version of a protocol, for a sentence: a number, and nothing else that a message can hold there. */
export function spokenVersion(version: unknown): string {
  return Number.isSafeInteger(version) ? String(version) : 'unknown'
}

/** Identifies a transfer on both hosts: 16 random bytes as hex. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
}

/** A ticket from another host; undefined if malformed. */
export function readTicket(value: unknown): LaneTicket | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { address, id, key } = value as Record<string, unknown>
  return isText(address, 255) && isText(id, 64) && isText(key, 128) ? { address, id, key } : undefined
}

/** Number and ticket of a channel, in a frame's body. Throws PagemeshError `bad-frame`. */
export function readChannel(body: Uint8Array): { number: number; ticket: LaneTicket } {
  const { number, ticket } = objectIn('channel', body)
  const isNumber = typeof number === 'number' && Number.isSafeInteger(number) && number >= 0
  if (!isNumber) throw badFrame('a channel has no number')
  const read = readTicket(ticket)
  if (read === undefined) throw badFrame('a channel has no ticket')
  return { number, ticket: read }
}

export function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= lengthMax
}

function recordOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown> : undefined
  } catch {
    // Not JSON: the caller refuses it, with the peer's name.
    return undefined
  }
}
