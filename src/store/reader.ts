import { ID_BYTES, PAGE_BYTES, type PageBatch, type PageHasher } from '../page/index.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { OpenStore } from './opening.ts'
import { isStraight, placesOf, runEnd, type Places } from './places.ts'
import { holdsPage, SLOT } from './slots.ts'

/** Unwanted slots that are read along rather than begin another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64
/** Reads of one batch that are under way at once: Node's four threads never wait for this one. */
const LANES = 16
/** Rooms that are kept for use again. */
const SPARES_MAX = 16

/** What one lane works with. */
interface Room {
  /** For pages that cannot be read into their batch; made when first needed. */
  pages: Buffer | undefined
  offsets: Uint32Array
  ids: Buffer
}

/**
 * Pages out of the slab, each hashed after it was read. Nothing is locked: a slot that is given to another page
 * meanwhile yields a page that is not the wanted one, which is a miss.
 */
export class Reader {
  readonly #store: OpenStore
  readonly #hasher: PageHasher
  readonly #log: Log
  readonly #onDamaged: (slots: Uint32Array) => void
  readonly #spares: Room[] = []
  readonly #running = new Set<Promise<void>>()
  #damagedPages = 0

  /** @param init.onDamaged takes slots that were dropped, so that their records go too. */
  constructor(
    components: { store: OpenStore; hasher: PageHasher; log: Log }, init: { onDamaged: (slots: Uint32Array) => void },
  ) {
    this.#store = components.store
    this.#hasher = components.hasher
    this.#log = components.log
    this.#onDamaged = init.onDamaged
  }

  get damagedPages(): number {
    return this.#damagedPages
  }

  /** Resolves when nothing is read any more. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running])
  }

  async fill(batch: PageBatch, signal: AbortSignal): Promise<void> {
    const filling = this.#fill(batch, signal)
    this.#running.add(filling)
    try {
      await filling
    } finally {
      this.#running.delete(filling)
    }
  }

  async #fill(batch: PageBatch, signal: AbortSignal): Promise<void> {
    const places = this.#find(batch)
    const filling = new Filling(batch, places, signal)
    // The batch's memory is its owner's again only when no read into it is under way.
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, () => this.#runLane(filling)))
    if (filling.damaged.length > 0) this.#onDamaged(Uint32Array.from(filling.damaged))
    signal.throwIfAborted()
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
  }

  #find(batch: PageBatch): Places {
    const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
    const slots = new Int32Array(batch.count).fill(-1)
    for (let index = 0; index < batch.count; index++) {
      if (batch.isFilled(index)) continue
      const at = index * ID_BYTES
      const slot = this.#store.table.find(ids.readUInt32BE(at), ids.readUInt32BE(at + 4))
      if (slot >= 0 && holdsPage(this.#store.slots.states[slot]!)) slots[index] = slot
    }
    return placesOf(slots)
  }

  async #runLane(filling: Filling): Promise<void> {
    const room = this.#spares.pop() ?? {
      pages: undefined, offsets: new Uint32Array(RUN_SLOTS_MAX), ids: Buffer.alloc(RUN_SLOTS_MAX * ID_BYTES),
    }
    for (let run = filling.nextRun(); run !== undefined; run = filling.nextRun()) {
      await this.#fillRun(filling, run.first, run.behind, room)
    }
    if (this.#spares.length < SPARES_MAX) this.#spares.push(room)
  }

  /** Reads the places from `first` to `behind` at once; where the disk refuses, one by one. */
  async #fillRun(filling: Filling, first: number, behind: number, room: Room): Promise<void> {
    const { batch, places } = filling
    const start = places.slots[first]!
    const count = places.slots[behind - 1]! - start + 1
    // Pages that lie in the batch as they lie in the slab are read into it, all others past it.
    const straight = isStraight(places, first, behind)
    const into = straight ? batch.bytes : room.pages ??= Buffer.from(new ArrayBuffer(RUN_SLOTS_MAX * PAGE_BYTES))
    const offset = straight ? places.indices[first]! * PAGE_BYTES : 0
    let readBytes = 0
    try {
      readBytes = await this.#store.slab.read(into, offset, count * PAGE_BYTES, start * PAGE_BYTES)
    } catch (error) {
      if (systemErrorCode(error) !== 'EIO') {
        this.#log.warn('the page store cannot be read', { error: String(error) })
        return
      }
      if (count > 1) {
        for (let place = first; place < behind; place++) await this.#fillRun(filling, place, place + 1, room)
        return
      }
    }
    if (!straight) copyPages(filling, first, behind, into)
    this.#takeRight(filling, first, behind, Math.floor(readBytes / PAGE_BYTES), room)
  }

  /** Marks the pages filled that are the wanted ones, of the first `whole` slots of a run; drops damaged ones. */
  #takeRight(filling: Filling, first: number, behind: number, whole: number, { offsets, ids }: Room): void {
    const { batch, places, damaged } = filling
    for (let place = first; place < behind; place++) offsets[place - first] = places.indices[place]! * PAGE_BYTES
    this.#hasher.hashScattered(batch.bytes, offsets, behind - first, ids)
    for (let place = first; place < behind; place++) {
      const index = places.indices[place]!
      const slot = places.slots[place]!
      const wasRead = slot - places.slots[first]! < whole
      if (wasRead && ids.compare(batch.ids, index * ID_BYTES, (index + 1) * ID_BYTES, (place - first) * ID_BYTES,
        (place - first + 1) * ID_BYTES) === 0) batch.markFilled(index, 'store')
      else if (this.#isDamaged(batch, index, slot, wasRead ? ids : undefined, (place - first) * ID_BYTES)) {
        this.#drop(slot)
        damaged.push(slot)
      }
    }
  }

  /**
   * Whether a slot no longer holds the page that it should, which has id `idAt` of `ids` now. It does if that page was
   * removed since it was looked up, or if another one was asked for whose id only begins like its own.
   */
  #isDamaged(batch: PageBatch, index: number, slot: number, ids: Buffer | undefined, idAt: number): boolean {
    const wanted = Buffer.from(batch.ids.buffer, batch.ids.byteOffset + index * ID_BYTES, ID_BYTES)
    const high = wanted.readUInt32BE(0)
    const low = wanted.readUInt32BE(4)
    if (this.#store.table.find(high, low) !== slot || !holdsPage(this.#store.slots.states[slot]!)) return false
    return ids === undefined || ids.readUInt32BE(idAt) !== high || ids.readUInt32BE(idAt + 4) !== low
  }

  #drop(slot: number): void {
    this.#store.table.remove(slot)
    this.#store.slots.setState(slot, SLOT.busy)
    if (this.#damagedPages === 0) this.#log.warn('pages of the store are damaged; status counts them', { slot })
    this.#damagedPages += 1
  }
}

/** A batch on its way: the places that are still to be read, and what turned out damaged. */
class Filling {
  readonly batch: PageBatch
  readonly places: Places
  readonly damaged: number[] = []
  readonly #signal: AbortSignal
  #next = 0

  constructor(batch: PageBatch, places: Places, signal: AbortSignal) {
    this.batch = batch
    this.places = places
    this.#signal = signal
  }

  /** Places that are read at once next; none when all are, or nobody waits for them any more. */
  nextRun(): { first: number; behind: number } | undefined {
    if (this.#next >= this.places.count || this.#signal.aborted) return undefined
    const first = this.#next
    this.#next = runEnd(this.places, first, GAP_SLOTS_MAX, RUN_SLOTS_MAX)
    return { first, behind: this.#next }
  }
}

function copyPages({ batch, places }: Filling, first: number, behind: number, room: Buffer): void {
  for (let place = first; place < behind; place++) {
    const from = (places.slots[place]! - places.slots[first]!) * PAGE_BYTES
    room.copy(batch.bytes, places.indices[place]! * PAGE_BYTES, from, from + PAGE_BYTES)
  }
}
