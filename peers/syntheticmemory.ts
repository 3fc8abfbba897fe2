import { PAGE_BYTES, type Clock, type GuestMemory, type RamBlock } from '../src/index.ts'
import { MODEL, type SyntheticGuest } from './model.ts'

/** Bytes of noise in a page; the rest repeats them, so that pages compress about as well as real ones. */
const NOISE_BYTES = 1024

/** Real pages for a synthetic guest: pages with equal content in the model have equal bytes on all hosts. */
export class SyntheticMemory implements GuestMemory {
  readonly name: string
  readonly blocks: readonly RamBlock[]
  readonly #clock: Clock
  readonly #guest: SyntheticGuest
  readonly #lookMs: number

  /** @param init.lookMs time between two looks of the model, ms: the shorter, the faster pages change. */
  constructor(components: { clock: Clock; guest: SyntheticGuest }, init: { name: string; lookMs: number }) {
    this.name = init.name
    this.#clock = components.clock
    this.#guest = components.guest
    this.#lookMs = init.lookMs
    const zeroPages = Math.round(this.#guest.pages * MODEL.zeroShare / (1 - MODEL.zeroShare))
    this.blocks = [{ name: 'synthetic', bytes: (this.#guest.pages + zeroPages) * PAGE_BYTES }]
  }

  async resident(_block: number, _firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    into.fill(1, 0, pageCount)
  }

  async read(_block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    const look = lookAt(this.#clock, this.#lookMs)
    for (let i = 0; i < pageCount; i++) {
      const page = firstPage + i
      const place = into.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
      if (page < this.#guest.pages) writePage(this.#guest.contentAt(page, look), place)
      else place.fill(0)
    }
  }

  async close(): Promise<void> {}
}

/** The number of the present look: the same on all machines whose clocks agree. */
export function lookAt(clock: Clock, lookMs: number): number {
  return Math.floor(clock.wallTime() / lookMs) % 2 ** 31
}

/** Writes the 4096 bytes of a content into `into`. */
export function writePage(content: number, into: Uint8Array): void {
  let state = (content % 2 ** 32) | 0 || 1
  let other = Math.floor(content / 2 ** 32)
  for (let i = 0; i < NOISE_BYTES; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    other = (Math.imul(other, 0x2c1b3c6d) + 0x297a2d39) | 0
    into[i] = (state + (other >>> 16)) & 0xff
  }
  for (let end = NOISE_BYTES; end < PAGE_BYTES; end *= 2) into.copyWithin(end, 0, end)
}
