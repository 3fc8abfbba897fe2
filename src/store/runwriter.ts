import { bufferOver } from '../bytes/bufferover.ts'
import { ID_BYTES, PAGE_BYTES, runEnd, type Places } from '../page/index.ts'
import { HEAD_BYTES, RECORD_BYTES, RECORD_WORDS, SLOT_BYTES, writeRecord } from './format.ts'
import type { OpenStore } from './opening.ts'
import { SlotRun } from './sealing.ts'

/** Slots of one write: a mebibyte of pages. */
const RUN_SLOTS_MAX = 256

/** Seals and writes pages, and writes records, neighbouring ones in one write. Used by one batch at a time. */
export class RunWriter {
  readonly #store: OpenStore
  readonly #run = new SlotRun(RUN_SLOTS_MAX)
  readonly #words = new Uint32Array(RUN_SLOTS_MAX * RECORD_WORDS)
  readonly #records = new Uint8Array(this.#words.buffer)

  constructor(store: OpenStore) {
    this.#store = store
  }

  /** Seals the page at each entry's index of `bytes`, and writes it into its slot. */
  async writePages(bytes: Uint8Array, list: Places): Promise<void> {
    for (let first = 0, behind = 0; first < list.count; first = behind) {
      behind = runEnd(list, first, 0, RUN_SLOTS_MAX)
      this.#sealPages(bytes, list, first, behind)
      const position = list.numbers[first]! * SLOT_BYTES
      await this.#store.slab.write(this.#run.sealed, 0, (behind - first) * SLOT_BYTES, position)
    }
  }

  /** Writes the present record of each entry's slot, with the id at the entry's index of `ids`. */
  async writeRecords(ids: Uint8Array, list: Places): Promise<void> {
    const { slots: { states, scopes, times }, seals } = this.#store
    const view = bufferOver(ids)
    for (let first = 0, behind = 0; first < list.count; first = behind) {
      behind = runEnd(list, first, 0, RUN_SLOTS_MAX)
      for (let entry = first; entry < behind; entry++) {
        const slot = list.numbers[entry]!
        const idAt = list.indices[entry]! * ID_BYTES
        const at = (entry - first) * RECORD_WORDS
        const word = seals.wordAt(scopes[slot]!)
        writeRecord(this.#words, at, slot, word, view, idAt, states[slot]!, times[slot]!)
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
    await this.#store.slab.truncate(slots * SLOT_BYTES).catch(() => undefined)
    // As above.
    await this.#store.index.truncate(HEAD_BYTES + slots * RECORD_BYTES).catch(() => undefined)
  }

  #sealPages(bytes: Uint8Array, list: Places, first: number, behind: number): void {
    const { slots: { prefixes, scopes }, seals } = this.#store
    this.#run.begin(bytes)
    for (let entry = first; entry < behind; entry++) {
      const slot = list.numbers[entry]!
      const offset = list.indices[entry]! * PAGE_BYTES
      this.#run.add(offset, entry - first, scopes[slot]!, slot, prefixes[slot * 2]!, prefixes[slot * 2 + 1]!)
    }
    seals.seal(this.#run)
  }

  async #writeRecordRun(slot: number, count: number): Promise<void> {
    await this.#store.index.write(this.#records, 0, count * RECORD_BYTES, HEAD_BYTES + slot * RECORD_BYTES)
  }
}
