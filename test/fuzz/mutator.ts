/** Damages inputs: bits, bytes, length fields, pieces, words; and values of JSON, lines of text. Seeded. */
import { damageJson } from './jsondamage.ts'

export interface MutatorInit {
  random: () => number
  words: readonly string[]
  bytesMax: number
}

/** One in so many inputs is made long, which shows what takes more than its length in time or memory. */
const LONG_EVERY = 48
const EXTREMES = [0, 1, 2, 3, 127, 128, 255, 256, 4095, 4096, 32_767, 32_768, 65_535, 65_536, 2 ** 24, 2 ** 31 - 1,
  2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1]
const COMMON_WORDS = [
  '\0', '\n', '\r\n', ' ', '\t', '../', '__proto__', 'constructor', '-1', '1e999', '9007199254740993', '%', '*', '\\',
  '"', '{', '}', '[', ']', ':', ',', '\u2028', '\u202e', '\x1b[2J', '\ud800', 'null', 'true', '\xff\xfe',
]

export class Mutator {
  readonly #random: () => number
  readonly #words: readonly Buffer[]
  readonly #bytesMax: number

  constructor({ random, words, bytesMax }: MutatorInit) {
    this.#random = random
    this.#words = [...COMMON_WORDS, ...words].map((word) => Buffer.from(word))
    this.#bytesMax = bytesMax
  }

  /** A damaged copy of one of `pool`; now and then with a piece of another, or made long. */
  next(pool: readonly Buffer[]): Buffer {
    let bytes: Buffer = Buffer.from(this.#pick(pool))
    const text = bytes[0] === 0x7b && this.#chance(2) ? damageJson(bytes, this.#random) : undefined
    if (text !== undefined) bytes = text
    const rounds = text !== undefined && this.#chance(2) ? 0 : 1 + Math.floor(-Math.log2(1 - this.#random()))
    for (let round = 0; round < rounds; round++) bytes = this.#damaged(bytes, pool)
    if (this.#chance(LONG_EVERY)) bytes = this.#long(bytes)
    return bytes.length > this.#bytesMax ? bytes.subarray(0, this.#bytesMax) : bytes
  }

  #damaged(bytes: Buffer, pool: readonly Buffer[]): Buffer {
    const at = this.#place(bytes.length)
    switch (this.#below(12)) {
      case 0: case 1: return this.#overwritten(bytes, at, Buffer.of((bytes[at] ?? 0) ^ (1 << this.#below(8))))
      case 2: return this.#overwritten(bytes, at, Buffer.of(this.#below(256)))
      case 3: case 4: return this.#overwritten(bytes, at, this.#extreme())
      case 5: return bytes.subarray(0, at)
      case 6: return spliced(bytes, at, this.#below(this.#chance(2) ? 4 : 300), Buffer.alloc(0))
      case 7: return spliced(bytes, at, 0, this.#noise(this.#below(12)))
      case 8: return spliced(bytes, at, this.#chance(2) ? 0 : this.#below(8), this.#pick(this.#words))
      case 9: return spliced(bytes, at, 0, this.#pieceOf(bytes))
      case 10: return Buffer.concat([bytes.subarray(0, at), this.#pieceOf(this.#pick(pool))])
      default: return this.#chance(8) ? this.#noise(this.#below(300)) : spliced(bytes, at, 4, this.#extreme())
    }
  }

  /** Repeats a piece up to the limit, which shows what is quadratic. */
  #long(bytes: Buffer): Buffer {
    const at = this.#place(bytes.length)
    const piece = this.#chance(2) ? this.#pick(this.#words)
      : this.#pieceOf(bytes).subarray(0, this.#chance(2) ? 1 + this.#below(4) : 400)
    const room = this.#bytesMax - bytes.length
    if (piece.length === 0 || room <= piece.length) return bytes
    return spliced(bytes, at, 0, Buffer.alloc(Math.floor(room * (this.#chance(2) ? 1 : this.#random())), piece))
  }

  /** A number that a length, a count or a version never has. */
  #extreme(): Buffer {
    const value = this.#chance(4) ? this.#below(2 ** 32) : this.#pick(EXTREMES)
    const bytes = Buffer.alloc(8)
    switch (this.#below(6)) {
      case 0: return Buffer.of(value & 0xff)
      case 1: return bytes.subarray(0, bytes.writeUInt16BE(value & 0xffff, 0))
      case 2: return bytes.subarray(0, bytes.writeUInt32LE(value, 0))
      case 3: return bytes.subarray(0, bytes.writeBigUInt64BE((1n << 64n) - 1n - BigInt(value), 0))
      case 4: return bytes.subarray(0, bytes.writeBigUInt64BE(BigInt(value), 0))
      default: return bytes.subarray(0, bytes.writeUInt32BE(value, 0))
    }
  }

  #pieceOf(bytes: Buffer): Buffer {
    const from = this.#place(bytes.length)
    return bytes.subarray(from, from + 1 + this.#below(this.#chance(2) ? 16 : bytes.length))
  }

  #overwritten(bytes: Buffer, at: number, with_: Buffer): Buffer {
    return spliced(bytes, at, with_.length, with_)
  }

  #noise(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.#below(256)))
  }

  /** Heads are at the start: damage is more frequent there. */
  #place(length: number): number {
    const at = this.#random()
    return Math.floor((this.#chance(2) ? at : at ** 3) * length)
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  /** True once in so many times. */
  #chance(times: number): boolean {
    return this.#random() * times < 1
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!
  }
}

function spliced(bytes: Buffer, at: number, removed: number, added: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)])
}
