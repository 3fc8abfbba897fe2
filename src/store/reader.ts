import { ID_BYTES, idsAt, PAGE_BYTES, placesOf, type PageBatch, type PageVerifier, type Places } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { nextTurn } from '../runtime/turn.ts'
import { addRun, BatchRead, Room, spanOf } from './batchread.ts'
import { isKept, type OpenStore } from './opening.ts'
import { SLOT } from './slots.ts'

/**
 * How long a batch may be read synchronously, ms: several times what the page cache takes, and less than a few disk
 * reads.
 */
const AT_ONCE_MS = { batch: 0.2, page: 0.02 }
/** Pages read, opened and hashed before yielding to the event loop. */
const TURN_PAGES = 128
/** Parallel disk reads of one batch: enough that Node's four threads never wait for this thread. */
const LANES = 16
/** Buffers kept for reuse. */
const SPARES_MAX = 16

/**
 * Reads pages from the slab, opens and hashes each. Nothing is locked: a slot that gets another page meanwhile cannot
 * be opened as the wanted one, which is a miss.
 *
 * Reads begin synchronously, without a promise per page: from the page cache that takes microseconds. As soon as they
 * take longer, the disk is at work, and the rest of the batch is read in the background, many pages at a time.
 */
export class Reader {
  readonly #store: OpenStore
  readonly #clock: Clock
  readonly #hasher: PageVerifier
  readonly #log: Log
  readonly #onDamaged: (slots: Uint32Array) => void
  readonly #spares: Room[] = []
  readonly #running = new Set<Promise<void>>()
  #damagedPages = 0
  #isFailing = false

  /** @param init.onDamaged takes dropped slots, so that their records are cleared too. */
  constructor(
    components: { store: OpenStore; clock: Clock; hasher: PageVerifier; log: Log },
    init: { onDamaged: (slots: Uint32Array) => void },
  ) {
    this.#store = components.store
    this.#clock = components.clock
    this.#hasher = components.hasher
    this.#log = components.log
    this.#onDamaged = init.onDamaged
  }

  get damagedPages(): number {
    return this.#damagedPages
  }

  /** Resolves when no read is running. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running])
  }

  async fill(batch: PageBatch, signal: AbortSignal): Promise<void> {
    const reading = this.#fill(batch, signal)
    this.#running.add(reading)
    try {
      await reading
    } finally {
      this.#running.delete(reading)
    }
  }

  async #fill(batch: PageBatch, signal: AbortSignal): Promise<void> {
    const reading = new BatchRead(batch, this.#find(batch), signal)
    let failed: PromiseRejectedResult | undefined
    await this.#fillAtOnce(reading)
    if (!reading.isOver) {
      // The batch's memory goes back to its owner only after all reads into it.
      const lanes = await Promise.allSettled(Array.from({ length: LANES }, () => this.#runLane(reading)))
      failed = lanes.find((lane) => lane.status === 'rejected')
    }
    if (reading.damaged.length > 0) this.#onDamaged(Uint32Array.from(reading.damaged))
    if (failed !== undefined) throw failed.reason
    signal.throwIfAborted()
  }

  #find(batch: PageBatch): Places {
    const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
    const slots = new Int32Array(batch.count).fill(-1)
    for (let index = 0; index < batch.count; index++) {
      if (batch.isFilled(index)) continue
      const at = index * ID_BYTES
      const slot = this.#store.table.find(ids.readUInt32BE(at), ids.readUInt32BE(at + 4))
      if (slot >= 0 && isKept(this.#store, slot)) slots[index] = slot
    }
    return placesOf(slots)
  }

  /** Fills from the page cache; stops when a read takes as long as a disk's, or fails. */
  async #fillAtOnce(reading: BatchRead): Promise<void> {
    const room = this.#spares.pop() ?? new Room()
    let isSlow = false
    room.readMs = 0
    for (let pages = 0; !isSlow && !reading.isOver;) {
      room.begin(reading, reading.next)
      while (!isSlow && !reading.isOver && room.hasRoom) isSlow = !this.#readAtOnce(reading, room)
      const turn = Math.floor(pages / TURN_PAGES)
      pages += room.behind - room.first
      isSlow ||= room.readMs > AT_ONCE_MS.batch + pages * AT_ONCE_MS.page
      this.#keepRight(reading, room)
      if (Math.floor(pages / TURN_PAGES) > turn) await nextTurn()
    }
    this.#putAway(room)
  }

  /** Reads the next run; false if the disk refuses, which is handled later. */
  #readAtOnce(reading: BatchRead, room: Room): boolean {
    const first = reading.takeRun()
    const { position, length } = spanOf(reading.list, first, reading.next)
    const begunAt = this.#clock.now()
    let bytes
    try {
      bytes = this.#store.slab.readAtOnce(room.run.sealed, room.end, length, position)
    } catch {
      // Read again in the background, which tells damaged slots from slow ones.
      reading.putBack(first)
      return false
    }
    room.readMs += this.#clock.now() - begunAt
    addRun(reading, first, reading.next, bytes, room, this.#store.slots)
    return true
  }

  async #runLane(reading: BatchRead): Promise<void> {
    const room = this.#spares.pop() ?? new Room()
    while (!reading.isOver) {
      const first = reading.takeRun()
      await this.#fillRun(reading, first, reading.next, room)
    }
    this.#putAway(room)
  }

  /** Reads the entries from `first` to `behind` (exclusive) in the background; one by one if the disk refuses. */
  async #fillRun(reading: BatchRead, first: number, behind: number, room: Room): Promise<void> {
    const { position, length } = spanOf(reading.list, first, behind)
    let bytes = 0
    try {
      bytes = await this.#store.slab.read(room.run.sealed, 0, length, position)
    } catch (error) {
      if (systemErrorCode(error) !== 'EIO') {
        if (!this.#isFailing) this.#log.warn('the page store cannot be read', { error: String(error) })
        this.#isFailing = true
        return
      }
      if (behind - first > 1) {
        for (let entry = first; entry < behind; entry++) await this.#fillRun(reading, entry, entry + 1, room)
        return
      }
    }
    room.begin(reading, first)
    addRun(reading, first, behind, bytes, room, this.#store.slots)
    this.#keepRight(reading, room)
  }

  /** Opens the pages of a room's group, marks the right ones as filled, and drops damaged ones. */
  #keepRight({ batch, list, damaged }: BatchRead, { run, first, behind, offsets, ids }: Room): void {
    this.#store.seals.open(run)
    for (let entry = first; entry < behind; entry++) offsets[entry - first] = list.indices[entry]! * PAGE_BYTES
    const wanted = idsAt(batch.ids, list.indices.subarray(first, behind))
    this.#hasher.hashLike(batch.bytes, offsets, behind - first, wanted, ids)
    for (let entry = first; entry < behind; entry++) {
      const index = list.indices[entry]!
      const slot = list.numbers[entry]!
      const idAt = (entry - first) * ID_BYTES
      const isThere = run.isOpen[entry - first] === 1
      if (isThere && batch.isOf(index, ids, idAt)) batch.markFilled(index, 'store')
      else if (this.#isDamaged(batch, index, slot, isThere ? ids : undefined, idAt)) {
        this.#drop(slot)
        damaged.push(slot)
      }
    }
  }

  /**
   * Whether a slot holds another page than it should; its page has id `idAt` of `ids`. It is not damaged if its page
   * was removed or its scope ended since the lookup, or if the wanted id only shares the page's prefix.
   */
  #isDamaged(batch: PageBatch, index: number, slot: number, ids: Buffer | undefined, idAt: number): boolean {
    const wanted = Buffer.from(batch.ids.buffer, batch.ids.byteOffset + index * ID_BYTES, ID_BYTES)
    const high = wanted.readUInt32BE(0)
    const low = wanted.readUInt32BE(4)
    if (this.#store.table.find(high, low) !== slot || !isKept(this.#store, slot)) return false
    return ids === undefined || ids.readUInt32BE(idAt) !== high || ids.readUInt32BE(idAt + 4) !== low
  }

  #drop(slot: number): void {
    this.#store.table.remove(slot)
    this.#store.slots.setState(slot, SLOT.busy)
    if (this.#damagedPages === 0) this.#log.warn('pages of the store are damaged; status counts them', { slot })
    this.#damagedPages += 1
  }

  #putAway(room: Room): void {
    if (this.#spares.length < SPARES_MAX) this.#spares.push(room)
  }
}
