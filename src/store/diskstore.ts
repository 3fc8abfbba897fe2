import type { PageHasher, PageSource, PageVerifier, Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { bytesOf, markOf, seedOf, slotsIn } from './format.ts'
import { lockStore, type StoreLock } from './lock.ts'
import { makeDirectory, openStore, type OpenStore } from './opening.ts'
import { Reader } from './reader.ts'
import { holdsPage, kindName } from './slots.ts'
import type { PageKind, PagesToKeep, PutCounts, Store } from './store.ts'
import { Writer } from './writer.ts'

export interface StoreComponents {
  clock: Clock
  log: Log
  /** Verifies what is read. */
  hasher: PageVerifier
  /** Its key marks the store as this cluster's. */
  marker: PageHasher
}

export interface StoreInit {
  /** The directory of the files; it is created. */
  path: string
  /** Those whose pages are kept, but for the shared one. With others the store is begun anew. */
  tenants?: readonly string[]
  /** Disk space of all files together, bytes. */
  bytesMax: number
}

/** State that exists only while the store is open. */
interface Opened {
  lock: StoreLock
  store: OpenStore
  reader: Reader
  writer: Writer
}

/** A store in two files of its own directory. */
export class DiskStore implements Store {
  readonly source: PageSource
  readonly #components: StoreComponents
  readonly #init: StoreInit
  #opened: Opened | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  constructor(components: StoreComponents, init: StoreInit) {
    this.#components = components
    this.#init = init
    this.source = {
      kind: 'store',
      isVerified: true,
      fill: async (batch, signal) => this.#opened?.reader.fill(batch, signal),
    }
  }

  get pages(): number {
    return this.#opened?.store.slots.pages ?? 0
  }

  get pagesMax(): number {
    return slotsIn(this.#init.bytesMax)
  }

  get bytes(): number {
    return this.#opened === undefined ? 0 : bytesOf(this.#opened.store.slots.count)
  }

  get bytesMax(): number {
    return this.#init.bytesMax
  }

  get memoryBytes(): number {
    if (this.#opened === undefined) return 0
    const { slots, table } = this.#opened.store
    return slots.bytes + table.bytes
  }

  get damagedPages(): number {
    return this.#opened === undefined ? 0 : this.#opened.store.damagedPages + this.#opened.reader.damagedPages
  }

  start(): Promise<void> {
    this.#starting ??= this.#open(this.#stopping).catch((error: unknown) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  async #open(stopping: Promise<void> | undefined): Promise<void> {
    await stopping
    const { clock, log, hasher, marker } = this.#components
    const { path, bytesMax, tenants } = this.#init
    await makeDirectory(path)
    const lock = await lockStore({ clock }, path)
    try {
      const begunAt = clock.now()
      const mark = markOf(marker, tenants)
      const store = await openStore({ log }, { directory: path, mark, slotsMax: slotsIn(bytesMax) })
      const writer = new Writer({ store, clock, log }, { seed: seedOf(mark) })
      const reader = new Reader({ store, clock, hasher, log }, { onDamaged: (slots) => writer.condemn(slots) })
      this.#opened = { lock, store, reader, writer }
      const { table, damagedPages } = store
      log.info('page store opened', { path, pages: table.size, damagedPages, ms: Math.round(clock.now() - begunAt) })
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  stop(): Promise<void> {
    if (this.#starting === undefined) return this.#stopping ?? Promise.resolve()
    this.#stopping = this.#close(this.#starting)
    this.#starting = undefined
    return this.#stopping
  }

  async #close(starting: Promise<void>): Promise<void> {
    // The caller of `start` got its error.
    await starting.catch(() => undefined)
    const opened = this.#opened
    if (opened === undefined) return
    this.#opened = undefined
    const { store, reader, writer, lock } = opened
    await reader.drain()
    await writer.close()
    await store.slab.close()
    await store.index.close()
    await lock.release()
  }

  outdate(): void {
    this.#opened?.reader.outdate()
  }

  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean {
    if (this.#opened === undefined) return false
    const { slots, table } = this.#opened.store
    const slot = table.find(prefixHigh, prefixLow, prefixBits)
    return slot >= 0 && holdsPage(slots.states[slot]!)
  }

  async put(pages: PagesToKeep, kind: PageKind): Promise<PutCounts> {
    return await this.#opened?.writer.put(pages, kind) ?? { stored: 0, known: 0, refused: pages.count }
  }

  async remove(prefixes: Prefixes): Promise<number> {
    return await this.#opened?.writer.remove(prefixes) ?? 0
  }

  forEach(visit: (high: number, low: number, kind: PageKind, time: number) => void): void {
    if (this.#opened === undefined) return
    const { states, prefixes, times, count } = this.#opened.store.slots
    for (let slot = 0; slot < count; slot++) {
      if (!holdsPage(states[slot]!)) continue
      visit(prefixes[slot * 2]!, prefixes[slot * 2 + 1]!, kindName(states[slot]!), times[slot]!)
    }
  }
}
