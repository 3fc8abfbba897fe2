import { setBit } from '../bytes/bits.ts'
import { BufferPool } from '../bytes/bufferpool.ts'
import type { Member } from '../mesh/index.ts'
import {
  closeUp, firstOf, idsOf, pack, PAGE_BYTES, PageBatch, PREFIX_BYTES, prefixesAt, verified,
  type PageSource, type PageVerifier, type Prefixes,
} from '../page/index.ts'
import { LIMITS } from './limits.ts'

/** Pages for one want: which of them this host sends, and these in order under zstd. */
export interface ReadPages {
  count: number
  bitmap: Uint8Array
  packed: Buffer
}

/** Pages read for another host, as columns, their bytes one after the other. */
export interface ReadColumns extends Prefixes {
  bytes: Uint8Array
  /** 1 for each page that a guest of this host holds now, 0 for pages that only the store has. */
  resident: Uint8Array
}

/** For which host pages are read, and whether an arriving guest waits for them. */
export interface ReadFor {
  asker: Member
  isUrgent: boolean
  signal: AbortSignal
}

/** Which of the pages are proven on enough hosts, so that they may leave this one: 1 for each. */
export type Confirm = (pages: ReadColumns, by: ReadFor) => Promise<Uint8Array>

/**
 * Reads wanted pages from what this host has at that moment. A guest's memory may have changed since the scan: every
 * page is hashed before it leaves.
 */
export class PageReading {
  readonly #source: Pick<PageSource, 'fill'>
  readonly #isPopular: (high: number, low: number) => boolean
  readonly #confirm: Confirm
  readonly #rooms = new BufferPool(LIMITS.pagesPerWant * PAGE_BYTES, LIMITS.answersInHand)

  constructor(components: {
    hasher: PageVerifier
    sources: readonly PageSource[]
    isPopular: (high: number, low: number) => boolean
    confirm: Confirm
  }) {
    this.#source = firstOf(components.sources.map((source) => verified(source, components.hasher)))
    this.#isPopular = components.isPopular
    this.#confirm = components.confirm
  }

  /**
   * Pages that too few hosts are said to hold are not even looked up, so that nobody learns whether this host has them.
   * Of the others, those that too few hosts have proven to hold are left out: reports may be lies.
   */
  async read(wanted: Prefixes, by: ReadFor): Promise<ReadPages> {
    const places = this.#popularAmong(wanted)
    const bitmap = new Uint8Array(Math.ceil(wanted.count / 8))
    if (places.length === 0) return { count: 0, bitmap, packed: Buffer.alloc(0) }
    const room = this.#rooms.take()
    const popular = prefixesAt(wanted, places)
    const batch = new PageBatch(idsOf(popular), room, PREFIX_BYTES)
    await this.#source.fill(batch, by.signal)
    const filled = Uint16Array.from(places.keys()).filter((page) => batch.isFilled(page))
    closeUp(room, filled, PAGE_BYTES)
    const mayLeave = await this.#confirm({
      ...prefixesAt(popular, filled),
      bytes: room,
      resident: Uint8Array.from(filled, (page) => (batch.filledBy(page) === 'resident' ? 1 : 0)),
    }, by)
    const leaving = Uint16Array.from(filled.keys()).filter((index) => mayLeave[index] === 1)
    closeUp(room, leaving, PAGE_BYTES)
    for (const index of leaving) setBit(bitmap, places[filled[index]!]!)
    const count = leaving.length
    const packed = await pack(room.subarray(0, count * PAGE_BYTES))
    // Incompressible pages are sent from the room itself, which is then not reused.
    if (packed.buffer !== room.buffer) this.#rooms.give(room)
    return { count, bitmap, packed }
  }

  #popularAmong({ count, high, low }: Prefixes): Uint16Array {
    const places = new Uint16Array(count)
    let popular = 0
    for (let place = 0; place < count; place++) {
      if (this.#isPopular(high[place]!, low[place]!)) places[popular++] = place
    }
    return places.subarray(0, popular)
  }
}
