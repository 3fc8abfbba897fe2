import type { ErrorCode } from '../../src/runtime/errors.ts'

/** Something that reads bytes from outside, and what it may do with them. */
export interface Target {
  name: string
  /** What an honest sender writes; inputs are damaged from these. */
  seeds: readonly (string | Uint8Array)[]
  /** The codes of its own refusals; anything else that is thrown is a fault. */
  refusals?: readonly ErrorCode[]
  /**
   * Decodes the input as its users do, and asserts what holds for everything that is accepted. The result only tells
   * one outcome from another; undefined means refused.
   */
  decode(input: Buffer): unknown
  /** Words that lead further than random bytes. */
  words?: readonly string[]
  /** Length of the longest input, bytes: what a frame, a line or a file of it may have. Default: a message's 64 KiB. */
  bytesMax?: number
  /** Memory that one input may take while it is read, garbage included: bytes, and bytes for each byte of input. */
  room?: number
  growth?: number
  /** Time that an input may take besides what its bytes may, ms. */
  msMax?: number
  /** How many inputs it gets for one of the others; those that write files are slow. Default 1. */
  share?: number
}

export const DEFAULTS = { bytesMax: 64 * 1024, room: 512 * 1024, growth: 192, share: 1 } as const

/** The seeds of a target as bytes. */
export function seedsOf({ seeds }: Target): Buffer[] {
  return seeds.map((seed) => Buffer.from(seed as Uint8Array))
}
