import type { Random } from '../../src/runtime/random.ts'
import { seededRandom } from './random.ts'

/** Randomness from a seed: the same numbers in every run. */
export class Chance implements Random {
  readonly #seed: number
  readonly #next: () => number

  constructor(seed: number) {
    this.#seed = seed
    this.#next = seededRandom(seed)
  }

  /** An independent stream for `purpose`: draws of one part do not change those of another. */
  fork(purpose: number): Chance {
    return new Chance(Math.imul(this.#seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(purpose + 1, 0xc2b2ae35))
  }

  fraction(): number {
    return this.#next()
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => Math.floor(this.#next() * 256))
  }

  between(least: number, most: number): number {
    return least + this.#next() * (most - least)
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit)
  }

  happens(probability: number): boolean {
    return this.#next() < probability
  }
}

/** One of the items. */
export function randomIn<T>(items: readonly T[], chance: Chance): T {
  return items[chance.below(items.length)]!
}
