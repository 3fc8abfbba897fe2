import { PrefixTable } from './prefixtable.ts'
import { ID_BYTES, PAGE_BYTES } from './size.ts'
import type { PageBatch } from './source.ts'

/** Pages of one allocation: most fetches end long before their room is full. */
const CHUNK_PAGES = 256

/** Pages fetched from peers for one handoff, in memory, found by id. */
export class FetchedPages {
  /** Most pages that fit. */
  readonly room: number
  readonly #slots: PrefixTable
  readonly #ids: Buffer
  readonly #chunks: Buffer[] = []
  #count = 0

  constructor(room: number) {
    this.room = room
    this.#slots = new PrefixTable(room)
    this.#ids = Buffer.alloc(room * ID_BYTES)
  }

  get count(): number {
    return this.#count
  }

  /** Keeps verified pages; skips those that are already here or do not fit. */
  add({ count, ids, bytes }: { count: number; ids: Buffer; bytes: Buffer }): void {
    for (let page = 0; page < count && this.#count < this.room; page++) {
      const id = page * ID_BYTES
      if (!this.#slots.add(ids.readUInt32BE(id), ids.readUInt32BE(id + 4), this.#count)) continue
      ids.copy(this.#ids, this.#count * ID_BYTES, id, id + ID_BYTES)
      const { chunk, offset } = this.#placeOf(this.#count)
      bytes.copy(chunk, offset, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
      this.#count += 1
    }
  }

  fill(batch: PageBatch): void {
    const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
    for (let index = 0; index < batch.count; index++) {
      if (batch.isFilled(index)) continue
      const slot = this.#slots.get(ids.readUInt32BE(index * ID_BYTES), ids.readUInt32BE(index * ID_BYTES + 4))
      if (slot === -1 || !batch.isOf(index, this.#ids, slot * ID_BYTES)) continue
      const { chunk, offset } = this.#placeOf(slot)
      chunk.copy(batch.bytes, index * PAGE_BYTES, offset, offset + PAGE_BYTES)
      batch.markFilled(index, 'peer')
    }
  }

  #placeOf(slot: number): { chunk: Buffer; offset: number } {
    const number = Math.floor(slot / CHUNK_PAGES)
    const chunk = this.#chunks[number] ??= Buffer.allocUnsafeSlow(CHUNK_PAGES * PAGE_BYTES)
    return { chunk, offset: (slot % CHUNK_PAGES) * PAGE_BYTES }
  }
}
