import type { PageScopes, PageSource, Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { bytesOf, slotsIn } from './format.ts'
import { lockStore, type StoreLock } from './lock.ts'
import { isKept, makeDirectory, openStore, type OpenStore } from './opening.ts'
import { Reader } from './reader.ts'
import { kindName } from './slots.ts'
import type { PageKind, PagesToKeep, PutCounts, Store } from './store.ts'
import { Writer } from './writer.ts'

export interface StoreComponents {
  clock: Clock
  log: Log
  random: Random
  /** Whose pages are kept, and the keys that seal them. What is of no live scope is dropped. */
  scopes: PageScopes
}

export interface StoreInit {
  /** The directory of the files; it is created. */
  path: string
  /** Disk space of all files together, bytes. */
  bytesMax: number
}

/** State that exists only while the store is open. */
interface Opened {
  lock: StoreLock
  store: OpenStore
  reader: Reader
  writer: Writer
  unfollow: () => void
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
    const { clock, log, scopes } = this.#components
    const { path, bytesMax } = this.#init
    await makeDirectory(path)
    const lock = await lockStore({ clock }, path)
    try {
      const begunAt = clock.now()
      const store = await openStore(this.#components, { directory: path, slotsMax: slotsIn(bytesMax) })
      const writer = new Writer({ store, clock, log, scopes })
      const reader = new Reader({ store, clock, hasher: scopes.verifier, log }, {
        onDamaged: (slots) => writer.condemn(slots),
      })
      const follow = (): void => {
        if (store.seals.end((scope) => scopes.isLive(scope))) writer.dropEnded()
      }
      this.#opened = { lock, store, reader, writer, unfollow: scopes.onChange(follow) }
      // They may have changed while the store was opened.
      follow()
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
    const { store, reader, writer, lock, unfollow } = opened
    unfollow()
    await reader.drain()
    await writer.close()
    await store.slab.close()
    await store.index.close()
    await lock.release()
  }

  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean {
    if (this.#opened === undefined) return false
    const slot = this.#opened.store.table.find(prefixHigh, prefixLow, prefixBits)
    return slot >= 0 && isKept(this.#opened.store, slot)
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
      if (!isKept(this.#opened.store, slot)) continue
      visit(prefixes[slot * 2]!, prefixes[slot * 2 + 1]!, kindName(states[slot]!), times[slot]!)
    }
  }
}
