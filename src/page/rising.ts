/**
 * Encodes rising whole numbers below 2^52: Golomb-Rice codes of the gaps, each a quotient in unary and a remainder of
 * `rice` bits. Random numbers take 0.03 to 0.13 bits each more than their entropy of log2(limit / count) + 1.44,
 * because the parameter is a whole number.
 */
import type { BitReader, BitWriter } from '../bytes/bits.ts'

/** The largest parameter: remainders of 51 bits are exact in a double. */
export const RICE_MAX = 51

/** The best parameter for `count` random numbers below `limit`. */
export function riceFor(limit: number, count: number): number {
  const meanGap = count === 0 ? 1 : limit / count
  return Math.min(RICE_MAX, Math.max(0, Math.round(Math.log2(meanGap * Math.LN2))))
}

/**
 * Writes `count` numbers of `values` from index `from`: each greater than the one before, the first greater than
 * `floor`, which the reader knows too.
 */
export function writeRising(
  out: BitWriter, values: Float64Array, from: number, count: number, rice: number, floor = -1,
): void {
  const divisor = 2 ** rice
  let previous = floor
  for (let index = from; index < from + count; index++) {
    const gap = values[index]! - previous - 1
    const quotient = Math.floor(gap / divisor)
    out.writeUnary(quotient)
    out.writeBits(gap - quotient * divisor, rice)
    previous = values[index]!
  }
}

/**
 * Reads `count` numbers above `floor` and below `limit` to `into` from index `from`. Returns the error, if any.
 */
export function readRising(
  input: BitReader, into: Float64Array, from: number, count: number, rice: number, limit: number, floor = -1,
): string | undefined {
  const divisor = 2 ** rice
  let previous = floor
  for (let index = from; index < from + count; index++) {
    const value = previous + 1 + input.readUnary() * divisor + input.readBits(rice)
    if (input.exhausted) return 'it is cut short'
    if (value >= limit) return 'a prefix is out of bounds'
    into[index] = value
    previous = value
  }
  return undefined
}
