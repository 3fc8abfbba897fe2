import {
  firstOf, ID_BYTES, pack, PAGE_BYTES, PageBatch, PREFIX_BYTES, verified,
  type PageHasher, type PageSource, type Prefixes,
} from '../page/index.ts'
import { setBit } from '../runtime/bits.ts'
import { BufferPool } from '../runtime/bufferpool.ts'
import { LIMITS } from './limits.ts'

/** Pages for one want: which of them there are, and these in order under zstd. */
export interface ReadPages {
  count: number
  bitmap: Uint8Array
  packed: Buffer
}

/**
 * Reads what others want out of what this host has at that moment. A guest's memory may have changed since it was
 * scanned: every page is hashed before it leaves.
 */
export class PageReading {
  readonly #source: Pick<PageSource, 'fill'>
  readonly #isPopular: (high: number, low: number) => boolean
  readonly #rooms = new BufferPool(LIMITS.pagesPerWant * PAGE_BYTES, LIMITS.answersInHand)

  constructor(components: {
    hasher: PageHasher
    sources: readonly PageSource[]
    isPopular: (high: number, low: number) => boolean
  }) {
    this.#source = firstOf(components.sources.map((source) => verified(source, components.hasher)))
    this.#isPopular = components.isPopular
  }

  /** Pages that too few hosts hold are not even looked for: nobody is told whether this host has them. */
  async read(wanted: Prefixes, signal: AbortSignal): Promise<ReadPages> {
    const places = this.#popularAmong(wanted)
    const bitmap = new Uint8Array(Math.ceil(wanted.count / 8))
    if (places.length === 0) return { count: 0, bitmap, packed: Buffer.alloc(0) }
    const room = this.#rooms.take()
    const batch = new PageBatch(idsOf(wanted, places), room, PREFIX_BYTES)
    await this.#source.fill(batch, signal)
    let count = 0
    for (let page = 0; page < batch.count; page++) {
      if (!batch.isFilled(page)) continue
      if (count < page) room.copyWithin(count * PAGE_BYTES, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
      const place = places[page]!
      setBit(bitmap, place)
      count += 1
    }
    const packed = await pack(room.subarray(0, count * PAGE_BYTES))
    // What does not shrink travels out of the room itself, which is not used again then.
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

function idsOf({ high, low }: Prefixes, places: Uint16Array): Buffer {
  const ids = Buffer.alloc(places.length * ID_BYTES)
  for (let page = 0; page < places.length; page++) {
    ids.writeUInt32BE(high[places[page]!]!, page * ID_BYTES)
    ids.writeUInt32BE(low[places[page]!]!, page * ID_BYTES + 4)
  }
  return ids
}
