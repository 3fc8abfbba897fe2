/** The most bits shifted at once: with up to 7 waiting ones they fit a 32-bit integer. */
const SHIFT_BITS_MAX = 24
const SHIFT_FACTOR = 2 ** SHIFT_BITS_MAX

/** Bits to bytes, highest first. */
export class BitWriter {
  #bytes: Uint8Array
  #length = 0
  /** Bits that do not fill a byte yet: `#waitingBits` of them, fewer than 8. */
  #waiting = 0
  #waitingBits = 0

  constructor(expectedBytes = 256) {
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

  /** Writes `count` ones and a zero. */
  writeUnary(count: number): void {
    for (let left = count; left > 0; left -= 8) {
      const take = Math.min(8, left)
      this.writeBits(2 ** take - 1, take)
    }
    this.writeBits(0, 1)
  }

  /** Elias gamma: a whole number from 1 to 2^32 - 1 in 2 log2(value) + 1 bits. */
  writeGamma(value: number): void {
    const extraBits = 31 - Math.clz32(value)
    this.writeUnary(extraBits)
    this.writeBits(value >= 2 ** 31 ? value - 2 ** 31 : value & ((1 << extraBits) - 1), extraBits)
  }

  /** Writes all bits of `other`. */
  writeAll(other: BitWriter): void {
    for (let at = 0; at < other.#length; at++) this.writeBits(other.#bytes[at]!, 8)
    this.writeBits(other.#waiting, other.#waitingBits)
  }

  /** Length of the result of `finish`. */
  get byteLength(): number {
    return this.#length + (this.#waitingBits > 0 ? 1 : 0)
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

/** Bytes to bits. Reading past the end gives zeros and sets `exhausted`, which a decoder checks once per record. */
export class BitReader {
  readonly #bytes: Uint8Array
  #at = 0
  #waiting = 0
  #waitingBits = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether more was read than there is. */
  get exhausted(): boolean {
    return this.#at > this.#bytes.length
  }

  get bitsLeft(): number {
    return Math.max(0, this.#bytes.length - this.#at) * 8 + this.#waitingBits
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

  /** How many ones come before the next zero. */
  readUnary(): number {
    let count = 0
    while (this.readBits(1) === 1) count += 1
    return count
  }

  /** Elias gamma; NaN if it is larger than 2^32 - 1. */
  readGamma(): number {
    const extraBits = this.readUnary()
    return extraBits > 31 ? NaN : 2 ** extraBits + this.readBits(extraBits)
  }
}

/** Whether the bit at `index` of a bitmap is set; the lowest bit of each byte comes first. */
export function hasBit(bitmap: Uint8Array, index: number): boolean {
  return (bitmap[index >>> 3]! & (1 << (index & 7))) !== 0
}

/** Sets the bit at `index` of a bitmap, in the order of `hasBit`. */
export function setBit(bitmap: Uint8Array, index: number): void {
  bitmap[index >>> 3]! |= 1 << (index & 7)
}

/** How many bits of a bitmap are set. */
export function countBits(bitmap: Uint8Array): number {
  let count = 0
  for (let byte of bitmap) for (; byte !== 0; byte &= byte - 1) count += 1
  return count
}
