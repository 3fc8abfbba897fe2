import { bufferOver } from '../bytes/bufferover.ts'
import { ID_BYTES, idsAt, PAGE_BYTES, placesOf, type PageScopes, type Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { nextTurn } from '../runtime/turn.ts'
import { overwriteHead, writeHead, type OpenStore } from './opening.ts'
import { RunWriter } from './runwriter.ts'
import { holdsPage, kindNumber, SLOT } from './slots.ts'
import type { PageKind, PagesToKeep, PutCounts } from './store.ts'
import { Victims } from './victims.ts'
import { WriteQueue } from './writequeue.ts'

/** A page that is put again gets a newer time only if it is this much newer, s: each renewal costs a write. */
const RENEW_SECONDS = 60
/** After a full disk the store keeps its present size for this long, ms, before it tries to grow. */
const FULL_MS = 60_000
/** Pages hashed, and slots looked through, before yielding to the event loop. */
const TURN_PAGES = 256
const TURN_SLOTS = 65_536
const DISK_FULL = ['ENOSPC', 'EDQUOT', 'EFBIG']

const NOWHERE = -1

/**
 * Writes pages to the slab and removes them, one batch after the other. A page is written first, then it can be found,
 * then its record is written: a process that dies leaves only whole pages behind, and at worst unused room.
 *
 * Nothing is forced to disk (no fsync): a power loss may lose pages, and a record without its page is detected when the
 * page is hashed. Lost pages are fetched again; an fsync per batch would cost more than that.
 */
export class Writer {
  readonly #store: OpenStore
  readonly #clock: Clock
  readonly #log: Log
  readonly #scopes: PageScopes
  readonly #runs: RunWriter
  readonly #victims: Victims
  readonly #queue = new WriteQueue()
  readonly #slotsMax: number
  /** Whether the head lacks a scope that has pages. */
  #isHeadOutdated = false
  /** Slots of damaged pages whose records are still to be cleared. */
  #condemned: number[] = []
  #isFailing = false
  #fullUntil = 0

  constructor(components: { store: OpenStore; clock: Clock; log: Log; scopes: PageScopes }) {
    this.#store = components.store
    this.#clock = components.clock
    this.#log = components.log
    this.#scopes = components.scopes
    this.#runs = new RunWriter(components.store)
    this.#victims = new Victims(components.store.slots)
    this.#slotsMax = components.store.slots.countMax
  }

  put(pages: PagesToKeep, kind: PageKind): Promise<PutCounts> {
    const { count } = pages
    return this.#queue.run(count, () => this.#put(pages, kindNumber(kind)), { stored: 0, known: 0, refused: count })
  }

  remove(prefixes: Prefixes): Promise<number> {
    return this.#queue.run(0, () => this.#remove(prefixes), 0)
  }

  /** Takes busy slots of damaged pages; they become free when their records are cleared. */
  condemn(slots: Uint32Array): void {
    const isFirst = this.#condemned.length === 0
    for (const slot of slots) this.#condemned.push(slot)
    if (!isFirst) return
    // Never rejects: records that cannot be cleared are logged.
    void this.#queue.append(0, () => {
      const condemned = Int32Array.from(this.#condemned)
      this.#condemned = []
      return this.#clear(condemned)
    }, undefined)
  }

  /** Drops the pages of scopes that have ended, behind what is queued, and forgets their keys. */
  dropEnded(): void {
    // Never rejects: what cannot be written is logged, and done when the store is opened next.
    void this.#queue.append(0, () => this.#dropEnded(), undefined)
  }

  close(): Promise<void> {
    return this.#queue.close()
  }

  async #put(pages: PagesToKeep, state: number): Promise<PutCounts> {
    const countBefore = this.#store.slots.count
    if (this.#clock.now() >= this.#fullUntil) this.#store.slots.countMax = this.#slotsMax
    const batch = this.#place(pages, state, await this.#ownersOf(pages))
    const { count } = pages
    const { known, stored } = batch
    try {
      if (this.#isHeadOutdated) await writeHead(this.#store.index, this.#store.seals)
      this.#isHeadOutdated = false
      await this.#runs.writePages(pages.bytes, placesOf(batch.fresh))
      for (const slot of batch.fresh) if (slot !== NOWHERE) this.#store.slots.setState(slot, state)
      await this.#runs.writeRecords(pages.ids, placesOf(batch.records))
    } catch (error) {
      await this.#undo(batch.fresh, countBefore, error)
      return { stored: 0, known, refused: count - known }
    }
    if (stored > 0) this.#isFailing = false
    return { stored, known, refused: count - known - stored }
  }

  /** The scope of each page, by its position; nowhere: it is of none that lives. Pages kept already are not hashed. */
  async #ownersOf({ ids, bytes, count }: PagesToKeep): Promise<Int16Array> {
    const { table, seals, slots } = this.#store
    const owners = new Int16Array(count).fill(NOWHERE)
    const view = bufferOver(ids)
    for (let index = 0; index < count; index++) {
      const there = table.find(view.readUInt32BE(index * ID_BYTES), view.readUInt32BE(index * ID_BYTES + 4))
      if (there >= 0) owners[index] = slots.scopes[there]!
    }
    const fresh = Uint32Array.from({ length: count }, (_, index) => index).filter((index) => owners[index] === NOWHERE)
    for (let first = 0; first < fresh.length; first += TURN_PAGES) {
      if (first > 0) await nextTurn()
      const part = fresh.subarray(first, first + TURN_PAGES)
      const offsets = part.map((index) => index * PAGE_BYTES)
      for (const [place, scope] of this.#scopes.ownersOf(bytes, offsets, part.length, idsAt(ids, part)).entries()) {
        if (scope === undefined) continue
        const { position, isNew } = seals.positionOf(scope)
        this.#isHeadOutdated ||= isNew
        owners[part[place]!] = position
      }
    }
    return owners
  }

  /** Finds a slot for each new page, busy until it is written, and renews the pages that are there. */
  #place({ ids, count }: PagesToKeep, state: number, owners: Int16Array): PlacedBatch {
    const { slots, table } = this.#store
    const time = this.#now()
    const view = bufferOver(ids)
    const batch: PlacedBatch = {
      fresh: new Int32Array(count).fill(NOWHERE), records: new Int32Array(count).fill(NOWHERE), known: 0, stored: 0,
    }
    for (let index = 0; index < count; index++) {
      const high = view.readUInt32BE(index * ID_BYTES)
      const low = view.readUInt32BE(index * ID_BYTES + 4)
      const there = table.find(high, low)
      if (there >= 0) {
        batch.known += 1
        if (this.#renew(there, state, time)) batch.records[index] = there
        continue
      }
      // A page that nobody can ask for is not kept: its tenant or key has gone.
      const slot = owners[index] === NOWHERE ? NOWHERE : this.#takeSlot(state)
      if (slot === NOWHERE) continue
      slots.fill(slot, high, low, SLOT.busy, owners[index]!, time)
      table.add(slot)
      batch.fresh[index] = batch.records[index] = slot
      batch.stored += 1
    }
    return batch
  }

  /** Gives a page the better kind and the newer time; returns whether the record must be written. */
  #renew(slot: number, state: number, time: number): boolean {
    const { slots } = this.#store
    // The same page twice in one batch.
    if (slots.states[slot] === SLOT.busy) return false
    const isBetter = state < slots.states[slot]!
    const isNewer = time - slots.times[slot]! >= RENEW_SECONDS
    if (isBetter) slots.setState(slot, state)
    if (isBetter || isNewer) slots.times[slot] = Math.max(time, slots.times[slot]!)
    return isBetter || isNewer
  }

  /** A slot, now busy: a free one, or that of a page which gives way. */
  #takeSlot(state: number): number {
    const { slots, table } = this.#store
    const free = slots.take()
    if (free >= 0 || state >= SLOT.departed) return free
    const victim = this.#victims.next()
    if (victim < 0) return NOWHERE
    table.remove(victim)
    slots.setState(victim, SLOT.busy)
    return victim
  }

  /** Frees the slots of a batch that could not be written, and truncates the files to their size before. */
  async #undo(fresh: Int32Array, countBefore: number, error: unknown): Promise<void> {
    const { slots, table } = this.#store
    if (!this.#isFailing) {
      this.#log.warn('the page store cannot be written to, and goes on with what it has', { error: String(error) })
    }
    this.#isFailing = true
    for (const slot of fresh) {
      // A page found damaged meanwhile is condemned, and its slot no longer ours.
      if (slot === NOWHERE || table.find(slots.prefixes[slot * 2]!, slots.prefixes[slot * 2 + 1]!) !== slot) continue
      table.remove(slot)
      slots.setState(slot, SLOT.free)
    }
    if (!DISK_FULL.includes(systemErrorCode(error) ?? '')) return
    this.#fullUntil = this.#clock.now() + FULL_MS
    let count = slots.count
    while (count > countBefore && slots.states[count - 1] === SLOT.free) count -= 1
    slots.setCount(count)
    slots.countMax = count
    await this.#runs.cut(count)
  }

  async #remove({ high, low, count }: Prefixes): Promise<number> {
    const { slots, table } = this.#store
    const found = new Int32Array(count).fill(NOWHERE)
    let removed = 0
    for (let index = 0; index < count; index++) {
      const slot = table.find(high[index]!, low[index]!)
      if (slot < 0) continue
      table.remove(slot)
      slots.setState(slot, SLOT.busy)
      found[index] = slot
      removed += 1
    }
    await this.#clear(found)
    return removed
  }

  async #dropEnded(): Promise<void> {
    const { slots, table, seals, index } = this.#store
    const { ended } = seals
    if (ended.length === 0) return
    await overwriteHead(index, seals).catch((error: unknown) => {
      this.#log.warn('the salts of what the page store drops could not be overwritten', { error: String(error) })
    })
    let pages = 0
    for (let first = 0; first < slots.count; first += TURN_SLOTS) {
      const found: number[] = []
      for (let slot = first; slot < Math.min(slots.count, first + TURN_SLOTS); slot++) {
        if (!holdsPage(slots.states[slot]!) || !ended.includes(slots.scopes[slot]!)) continue
        table.remove(slot)
        slots.setState(slot, SLOT.busy)
        found.push(slot)
      }
      pages += found.length
      await this.#clear(Int32Array.from(found))
      await nextTurn()
    }
    seals.remove(ended)
    this.#log.info('the page store dropped the pages of keys that are gone', { scopes: ended.length, pages })
  }

  /**
   * Clears the records of slots and frees them. A record that remains does no harm, because its page is hashed before
   * use.
   */
  async #clear(cleared: Int32Array): Promise<void> {
    await this.#runs.clearRecords(placesOf(cleared)).catch((error: unknown) => {
      this.#log.warn('records of the page store could not be cleared', { error: String(error) })
    })
    for (const slot of cleared) if (slot !== NOWHERE) this.#store.slots.setState(slot, SLOT.free)
  }

  #now(): number {
    return Math.floor(this.#clock.wallTime() / 1000)
  }
}

/** Where the pages of a batch go, by index: -1 is nowhere. */
interface PlacedBatch {
  /** Slots of new pages. */
  fresh: Int32Array
  /** Slots whose records must be written. */
  records: Int32Array
  /** How many were there, and how many were not. */
  known: number
  stored: number
}
