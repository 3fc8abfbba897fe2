import { bufferOver } from '../bytes/bufferover.ts'
import { ID_BYTES, isStraight, PAGE_BYTES, runEnd, type Places } from '../page/index.ts'
import { HEAD_BYTES, RECORD_BYTES, RECORD_WORDS, writeRecord } from './format.ts'
import type { OpenStore } from './opening.ts'

/** Slots of one write: a mebibyte of pages. */
const RUN_SLOTS_MAX = 256

/** Writes pages and records, neighbouring ones in one write. Used by one batch at a time. */
export class RunWriter {
  readonly #store: OpenStore
  readonly #seed: number
  readonly #pages = Buffer.from(new ArrayBuffer(RUN_SLOTS_MAX * PAGE_BYTES))
  readonly #words = new Uint32Array(RUN_SLOTS_MAX * RECORD_WORDS)
  readonly #records = new Uint8Array(this.#words.buffer)

  constructor(store: OpenStore, seed: number) {
    this.#store = store
    this.#seed = seed
  }

  /** Writes the page at each entry's index of `bytes` into its slot. */
  async writePages(bytes: Uint8Array, list: Places): Promise<void> {
    for (let first = 0, behind = 0; first < list.count; first = behind) {
      behind = runEnd(list, first, 0, RUN_SLOTS_MAX)
      const isDirect = isStraight(list, first, behind)
      if (!isDirect) this.#copyPages(bytes, list, first, behind)
      const from = isDirect ? bytes : this.#pages
      const offset = isDirect ? list.indices[first]! * PAGE_BYTES : 0
      await this.#store.slab.write(from, offset, (behind - first) * PAGE_BYTES, list.numbers[first]! * PAGE_BYTES)
    }
  }

  /** Writes the present record of each entry's slot, with the id at the entry's index of `ids`. */
  async writeRecords(ids: Uint8Array, list: Places): Promise<void> {
    const { states, times } = this.#store.slots
    const view = bufferOver(ids)
    for (let first = 0, behind = 0; first < list.count; first = behind) {
      behind = runEnd(list, first, 0, RUN_SLOTS_MAX)
      for (let entry = first; entry < behind; entry++) {
        const slot = list.numbers[entry]!
        const idAt = list.indices[entry]! * ID_BYTES
        const at = (entry - first) * RECORD_WORDS
        writeRecord(this.#words, at, slot, this.#seed, view, idAt, states[slot]!, times[slot]!)
      }
      await this.#writeRecordRun(list.numbers[first]!, behind - first)
    }
  }

  async clearRecords(list: Places): Promise<void> {
    for (let first = 0, behind = 0; first < list.count; first = behind) {
      behind = runEnd(list, first, 0, RUN_SLOTS_MAX)
      this.#words.fill(0, 0, (behind - first) * RECORD_WORDS)
      await this.#writeRecordRun(list.numbers[first]!, behind - first)
    }
  }

  /** Truncates both files to this many slots; if that fails, the room is used later. */
  async cut(slots: number): Promise<void> {
    // An error costs nothing but that room.
    await this.#store.slab.truncate(slots * PAGE_BYTES).catch(() => undefined)
    // As above.
    await this.#store.index.truncate(HEAD_BYTES + slots * RECORD_BYTES).catch(() => undefined)
  }

  #copyPages(bytes: Uint8Array, list: Places, first: number, behind: number): void {
    const view = bufferOver(bytes)
    for (let entry = first; entry < behind; entry++) {
      const from = list.indices[entry]! * PAGE_BYTES
      view.copy(this.#pages, (entry - first) * PAGE_BYTES, from, from + PAGE_BYTES)
    }
  }

  async #writeRecordRun(slot: number, count: number): Promise<void> {
    await this.#store.index.write(this.#records, 0, count * RECORD_BYTES, HEAD_BYTES + slot * RECORD_BYTES)
  }
}
