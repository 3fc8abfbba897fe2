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

class BitWriter {
  #bytes: Uint8Array
  #length = 0
  /** Bits of the byte at #length that are taken. */
  #used = 0

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes)
  }

  /** Writes the `count` (0..52) lowest bits of `value`, highest first. */
  writeBits(value: number, count: number): void {
    let left = count
    while (left > 0) {
      this.#reserve()
      const room = 8 - this.#used
      const take = Math.min(room, left)
      const chunk = Math.floor(value / 2 ** (left - take)) % 2 ** take
      this.#bytes[this.#length]! |= chunk << (room - take)
      this.#advance(take)
      left -= take
    }
  }

  writeOnes(count: number): void {
    for (let left = count; left > 0; left -= 8) {
      const take = Math.min(8, left)
      this.writeBits(2 ** take - 1, take)
    }
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length + (this.#used > 0 ? 1 : 0))
  }

  #advance(bits: number): void {
    this.#used += bits
    if (this.#used === 8) {
      this.#used = 0
      this.#length += 1
    }
  }

  #reserve(): void {
    if (this.#length < this.#bytes.length) return
    const larger = new Uint8Array(this.#bytes.length * 2 + 64)
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

class BitReader {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether more was read than there is; what was read past the end is zero. */
  get exhausted(): boolean {
    return this.#position > this.#bytes.length * 8
  }

  readBits(count: number): number {
    let value = 0
    let left = count
    while (left > 0) {
      const used = this.#position & 7
      const take = Math.min(8 - used, left)
      const byte = this.#bytes[this.#position >>> 3] ?? 0
      value = value * 2 ** take + ((byte >>> (8 - used - take)) & (2 ** take - 1))
      this.#position += take
      left -= take
    }
    return value
  }

  readOnes(): number {
    let count = 0
    while (this.readBits(1) === 1) count += 1
    return count
  }
}
