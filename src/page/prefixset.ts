/**
 * A set of page-id prefixes as bytes: sorted, delta-coded, Golomb-Rice.
 *
 *   set    = version count bits rice deltas
 *   version = u8 1    count = u32    bits = u8 (32..52)    rice = u8 (0..51)
 *   deltas = count times: quotient in unary (ones, then a zero), remainder in `rice` bits; padded to a byte
 *
 * A prefix is the first `bits` bits of an id, as a number. With log2(count) + 24 bits, a foreign page matches a prefix
 * of the set with a chance below 2^-24. This costs about 3.2 bytes a page: 24 + 1.5 bits; the entropy is 24 + 1.44.
 */
import { BitReader, BitWriter } from '../bytes/bits.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { inPieces } from '../runtime/turn.ts'
import { readRising, RICE_MAX, riceFor, writeRising } from './rising.ts'

export interface PrefixSet {
  /** Bits of each prefix. */
  bits: number
  /** Prefixes in rising order, each below 2^bits; equal neighbours do not occur. */
  prefixes: Float64Array<ArrayBuffer>
}

export const PREFIX_SET_LIMITS = {
  /** Enough for a guest of 64 GiB with all pages distinct; larger guests list only the first ones. */
  countMax: 1 << 24,
  bitsMin: 32,
  bitsMax: 52,
}

const VERSION = 1
const HEADER_BYTES = 7
const SPARE_BITS = 24

/** Number of bits of a prefix in a set of `count`. */
export function prefixBitsFor(count: number): number {
  const needed = SPARE_BITS + Math.ceil(Math.log2(Math.max(2, count)))
  return Math.min(PREFIX_SET_LIMITS.bitsMax, Math.max(PREFIX_SET_LIMITS.bitsMin + 8, needed))
}

/** The first `bits` bits of a 64-bit prefix, as a number below 2^bits. */
export function truncatePrefix(high: number, low: number, bits: number): number {
  // A shift by 32 bits would be none.
  return (high >>> 0) * 2 ** (bits - 32) + (bits === 32 ? 0 : (low >>> 0) >>> (64 - bits))
}

/** The two halves of the 64-bit prefix whose first `bits` bits are `prefix`; the rest is zero. */
export function prefixHigh(prefix: number, bits: number): number {
  return Math.floor(prefix / 2 ** (bits - 32))
}

export function prefixLow(prefix: number, bits: number): number {
  return ((prefix % 2 ** (bits - 32)) * 2 ** (64 - bits)) >>> 0
}

/** Whether a page with this 64-bit prefix may be in the set. */
export function isInSet({ bits, prefixes }: PrefixSet, high: number, low: number): boolean {
  const wanted = truncatePrefix(high, low, bits)
  let from = 0
  let to = prefixes.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (prefixes[middle]! < wanted) from = middle + 1
    else to = middle
  }
  return prefixes[from] === wanted
}

export async function encodePrefixSet(set: PrefixSet): Promise<Uint8Array> {
  const { bits, prefixes } = set
  const count = prefixes.length
  const rice = riceFor(2 ** bits, count)
  const out = new BitWriter(HEADER_BYTES + Math.ceil((count * (rice + 3)) / 8) + 8)
  out.writeBits(VERSION, 8)
  out.writeBits(count, 32)
  out.writeBits(bits, 8)
  out.writeBits(rice, 8)
  await inPieces(count, (from, to) => writeRising(out, prefixes, from, to - from, rice, prefixes[from - 1]))
  return out.finish()
}

/**
 * Rejects with PagemeshError `bad-prefix-set` unless the encoder could have written it, with at most `countMax`
 * prefixes.
 */
export async function decodePrefixSet(bytes: Uint8Array, countMax = PREFIX_SET_LIMITS.countMax): Promise<PrefixSet> {
  const input = new BitReader(bytes)
  if (bytes.length < HEADER_BYTES) throw badSet('it is cut short')
  if (input.readBits(8) !== VERSION) throw badSet('its version is unknown')
  const count = input.readBits(32)
  const bits = input.readBits(8)
  const rice = input.readBits(8)
  if (count > countMax) throw badSet('it claims too many pages')
  if (bits < PREFIX_SET_LIMITS.bitsMin || bits > PREFIX_SET_LIMITS.bitsMax) {
    throw badSet('its prefix size is out of bounds')
  }
  if (rice > RICE_MAX) throw badSet('its Rice parameter is out of bounds')
  // Every entry takes at least rice + 1 bits: refuses an impossible count before allocating memory.
  if (count * (rice + 1) > (bytes.length - HEADER_BYTES) * 8) throw badSet('it is cut short')
  const prefixes = new Float64Array(count)
  await inPieces(count, (from, to) => {
    const fault = readRising(input, prefixes, from, to - from, rice, 2 ** bits, prefixes[from - 1])
    if (fault !== undefined) throw badSet(fault)
  })
  return { bits, prefixes }
}

function badSet(why: string): PagemeshError {
  return new PagemeshError('bad-prefix-set', `A set of page prefixes cannot be read: ${why}.`, { fault: 'peer' })
}
