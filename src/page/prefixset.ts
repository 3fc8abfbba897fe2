/**
 * A set of page-id prefixes as bytes: sorted, delta-coded, Golomb-Rice.
 *
 *   set    = version count bits rice deltas
 *   version = u8 1    count = u32    bits = u8 (32..52)    rice = u8 (0..51)
 *   deltas = count times: quotient in unary (ones, then a zero), remainder in `rice` bits; padded to a byte
 *
 * A prefix is the first `bits` bits of an id, as a number. 24 bits more than the set's own size needs keep a chance
 * meeting with a foreign page below 2^-24 times the foreign pages per page of the set, at about 3.2 bytes a page:
 * log2(2^24) + 1.5 bits. The entropy of such a set is log2(2^24) + 1.44 bits a page.
 */
import { PagemeshError } from '../runtime/errors.ts'

export interface PrefixSet {
  /** Bits of each prefix. */
  bits: number
  /** Prefixes in rising order, each below 2^bits; equal neighbours do not occur. */
  prefixes: Float64Array<ArrayBuffer>
}

export const PREFIX_SET_LIMITS = {
  /** Pages of a guest of 64 GiB with nothing twice; larger guests send what comes first. */
  countMax: 1 << 24,
  bitsMin: 32,
  bitsMax: 52,
}

const VERSION = 1
const HEADER_BYTES = 7
const SPARE_BITS = 24

/** How many bits a prefix needs in a set of `count`. */
export function prefixBitsFor(count: number): number {
  const needed = SPARE_BITS + Math.ceil(Math.log2(Math.max(2, count)))
  return Math.min(PREFIX_SET_LIMITS.bitsMax, Math.max(PREFIX_SET_LIMITS.bitsMin + 8, needed))
}

/** The first `bits` bits of a 64-bit prefix, as a number below 2^bits. */
export function truncatePrefix(high: number, low: number, bits: number): number {
  return (high >>> 0) * 2 ** (bits - 32) + ((low >>> 0) >>> (64 - bits))
}

/** The two halves of the 64-bit prefix whose first `bits` bits are `prefix`; the rest is zero. */
export function prefixHigh(prefix: number, bits: number): number {
  return Math.floor(prefix / 2 ** (bits - 32))
}

export function prefixLow(prefix: number, bits: number): number {
  return ((prefix % 2 ** (bits - 32)) * 2 ** (64 - bits)) >>> 0
}

export function encodePrefixSet(set: PrefixSet): Uint8Array {
  const { bits, prefixes } = set
  const count = prefixes.length
  const meanGap = count === 0 ? 1 : 2 ** bits / count
  const rice = Math.min(51, Math.max(0, Math.round(Math.log2(meanGap * Math.LN2))))
  const out = new BitWriter(HEADER_BYTES + Math.ceil((count * (rice + 3)) / 8) + 8)
  out.writeBits(VERSION, 8)
  out.writeBits(count, 32)
  out.writeBits(bits, 8)
  out.writeBits(rice, 8)
  const divisor = 2 ** rice
  let previous = -1
  for (let i = 0; i < count; i++) {
    const delta = prefixes[i]! - previous - 1
    const quotient = Math.floor(delta / divisor)
    out.writeOnes(quotient)
    out.writeBits(0, 1)
    out.writeBits(delta - quotient * divisor, rice)
    previous = prefixes[i]!
  }
  return out.finish()
}

/** Throws PagemeshError `bad-prefix-set` on anything that the encoder would not write. */
export function decodePrefixSet(bytes: Uint8Array): PrefixSet {
  const input = new BitReader(bytes)
  if (bytes.length < HEADER_BYTES) throw badSet('it is cut short')
  if (input.readBits(8) !== VERSION) throw badSet('its version is unknown')
  const count = input.readBits(32)
  const bits = input.readBits(8)
  const rice = input.readBits(8)
  if (count > PREFIX_SET_LIMITS.countMax) throw badSet('it claims too many pages')
  if (bits < PREFIX_SET_LIMITS.bitsMin || bits > PREFIX_SET_LIMITS.bitsMax) {
    throw badSet('its prefix size is out of bounds')
  }
  if (rice > 51) throw badSet('its Rice parameter is out of bounds')
  // Every entry takes at least rice + 1 bits: a count that the bytes cannot hold allocates nothing.
  if (count * (rice + 1) > (bytes.length - HEADER_BYTES) * 8) throw badSet('it is cut short')
  const limit = 2 ** bits
  const divisor = 2 ** rice
  const prefixes = new Float64Array(count)
  let previous = -1
  for (let i = 0; i < count; i++) {
    const quotient = input.readOnes()
    const prefix = previous + 1 + quotient * divisor + input.readBits(rice)
    if (input.exhausted) throw badSet('it is cut short')
    if (prefix >= limit) throw badSet('a prefix is out of bounds')
    prefixes[i] = prefix
    previous = prefix
  }
  return { bits, prefixes }
}

function badSet(why: string): PagemeshError {
  return new PagemeshError('bad-prefix-set', `A set of page prefixes cannot be read: ${why}.`, { fault: 'peer' })
}

/** The most bits that are shifted at once: with 7 more that wait, they fit a 32-bit integer. */
const SHIFT_BITS_MAX = 24
const SHIFT_FACTOR = 2 ** SHIFT_BITS_MAX

class BitWriter {
  #bytes: Uint8Array
  #length = 0
  /** Bits that do not fill a byte yet: `#waitingBits` of them, fewer than 8. */
  #waiting = 0
  #waitingBits = 0

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes)
  }

  /** Writes the `count` (0..52) lowest bits of `value`, highest first. */
  writeBits(value: number, count: number): void {
    if (count > SHIFT_BITS_MAX) {
      this.writeBits(Math.floor(value / SHIFT_FACTOR), count - SHIFT_BITS_MAX)
      this.writeBits(value % SHIFT_FACTOR, SHIFT_BITS_MAX)
      return
    }
    if (this.#length + 4 > this.#bytes.length) this.#grow()
    this.#waiting = (this.#waiting << count) | value
    this.#waitingBits += count
    while (this.#waitingBits >= 8) {
      this.#waitingBits -= 8
      this.#bytes[this.#length++] = this.#waiting >>> this.#waitingBits
      this.#waiting &= (1 << this.#waitingBits) - 1
    }
  }

  writeOnes(count: number): void {
    for (let left = count; left > 0; left -= 8) {
      const take = Math.min(8, left)
      this.writeBits(2 ** take - 1, take)
    }
  }

  finish(): Uint8Array {
    if (this.#waitingBits > 0) this.writeBits(0, 8 - this.#waitingBits)
    return this.#bytes.subarray(0, this.#length)
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2 + 64)
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

class BitReader {
  readonly #bytes: Uint8Array
  #at = 0
  #waiting = 0
  #waitingBits = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether more was read than there is; what was read past the end is zero. */
  get exhausted(): boolean {
    return this.#at > this.#bytes.length
  }

  /** The next `count` (0..52) bits. */
  readBits(count: number): number {
    if (count > SHIFT_BITS_MAX) {
      return this.readBits(count - SHIFT_BITS_MAX) * SHIFT_FACTOR + this.readBits(SHIFT_BITS_MAX)
    }
    while (this.#waitingBits < count) {
      this.#waiting = (this.#waiting << 8) | (this.#bytes[this.#at++] ?? 0)
      this.#waitingBits += 8
    }
    this.#waitingBits -= count
    const value = this.#waiting >>> this.#waitingBits
    this.#waiting &= (1 << this.#waitingBits) - 1
    return value
  }

  readOnes(): number {
    let count = 0
    while (this.readBits(1) === 1) count += 1
    return count
  }
}
