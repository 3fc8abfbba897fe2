/**
 * How pages are sealed on the disk: each by itself, since pages give way and are read one by one, with AES-256-GCM.
 *
 *   name = HKDF(store key, salt, "pagemesh store 2 name")          of a scope in this store
 *   key  = HKDF(store key, salt, "pagemesh store 2 pages " run)    of the pages that one run of an agent seals
 *   data authenticated with a page = version slot prefix
 *
 * The store key is the scope's, of its tenant and epoch, and is in memory only. The salt is random, made for each scope
 * of each store, and lies in the head of the index: once it is overwritten, nobody can open what is left of the scope,
 * with the cluster key or without. Slot and prefix bind a page to where it belongs.
 *
 * No nonce is used twice with one key. Nonces are random, 96 bits, so that nothing need be counted on a disk that may
 * be copied or set back. Hosts share a store key, hence the salt. Each opening of a store draws another run, 32 bits,
 * so that copies of a disk go on with different keys, and another one after 2^30 pages: two of a key's nonces are the
 * same with a probability of 2^-37.
 */
import { hkdfSync } from 'node:crypto'

import { bufferOver } from '../bytes/bufferover.ts'
import {
  BOUND_BYTES, createPageSealer, NONCE_BYTES, type PageScope, type PageSealer, type SealedPages,
} from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import type { Random } from '../runtime/random.ts'
import { NAME_BYTES, SALT_BYTES, SLOT_BYTES, VERSION, wordOf, type NamedScope } from './format.ts'

const KEY_BYTES = 32
/** Pages sealed in one run. */
const RUN_PAGES_MAX = 2 ** 30
/** Keys of runs at hand; a disk may name as many as it has pages. */
const KEYS_MAX = 256
/** The position of no scope. */
const NO_SCOPE = 0xff

/** Neighbouring slots of the slab, and the pages that are sealed into them or opened from them. */
export class SlotRun implements SealedPages {
  pages: Uint8Array = new Uint8Array(0)
  readonly sealed: Buffer
  readonly offsets: Uint32Array
  readonly places: Uint32Array
  readonly bound: Buffer
  /** Positions of the pages' scopes. */
  readonly scopes: Uint8Array
  readonly isOpen: Uint8Array
  count = 0

  constructor(slotsMax: number) {
    this.sealed = Buffer.from(new ArrayBuffer(slotsMax * SLOT_BYTES))
    this.offsets = new Uint32Array(slotsMax)
    this.places = new Uint32Array(slotsMax)
    this.bound = Buffer.alloc(slotsMax * BOUND_BYTES)
    this.scopes = new Uint8Array(slotsMax)
    this.isOpen = new Uint8Array(slotsMax)
  }

  begin(pages: Uint8Array): void {
    this.pages = pages
    this.count = 0
  }

  /** Adds the page at byte `offset` of the pages, whose slot is the `place`-th of this run. */
  add(offset: number, place: number, scope: number, slot: number, high: number, low: number): void {
    const at = this.count * BOUND_BYTES
    this.offsets[this.count] = offset
    this.places[this.count] = place * SLOT_BYTES
    this.scopes[this.count] = scope
    this.bound.writeUInt32LE(VERSION, at)
    this.bound.writeUInt32LE(slot, at + 4)
    this.bound.writeUInt32LE(high, at + 8)
    this.bound.writeUInt32LE(low, at + 12)
    this.count += 1
  }

  /** Adds a page that could not be read: it will not be open. */
  addUnread(): void {
    this.scopes[this.count] = NO_SCOPE
    this.count += 1
  }
}

/** What seals and opens the pages of one scope in one store. */
export class ScopeSeal implements NamedScope {
  readonly scope: PageScope
  readonly name: Uint8Array
  readonly salt: Uint8Array
  readonly word: number
  readonly #random: Random
  readonly #sealers = new Map<number, PageSealer>()
  #run: { number: number; pages: number } | undefined

  constructor(components: { random: Random }, scope: PageScope, salt: Uint8Array) {
    this.#random = components.random
    this.scope = scope
    this.salt = salt
    this.name = nameOf(scope, salt)
    this.word = wordOf(this.name)
  }

  /** Seals the entries from `first` to `behind` (exclusive). */
  seal(slots: SlotRun, first: number, behind: number): void {
    const number = this.#runOf(behind - first)
    for (let entry = first; entry < behind; entry++) slots.sealed.writeUInt32LE(number, slots.places[entry])
    this.#sealerOf(number).seal(slots, first, behind, this.#random.bytes((behind - first) * NONCE_BYTES))
  }

  /** Opens entries that one run sealed. */
  open(slots: SlotRun, first: number, behind: number): void {
    this.#sealerOf(runAt(slots, first)).open(slots, first, behind, slots.isOpen)
  }

  /** The run of the next pages. */
  #runOf(pages: number): number {
    if (this.#run === undefined || this.#run.pages + pages > RUN_PAGES_MAX) {
      this.#run = { number: bufferOver(this.#random.bytes(4)).readUInt32LE(0), pages: 0 }
    }
    this.#run.pages += pages
    return this.#run.number
  }

  #sealerOf(run: number): PageSealer {
    const known = this.#sealers.get(run)
    if (known !== undefined) return known
    if (this.#sealers.size >= KEYS_MAX) this.#sealers.clear()
    const sealer = createPageSealer(derived(this.scope, this.salt, `pages ${run}`, KEY_BYTES))
    this.#sealers.set(run, sealer)
    return sealer
  }
}

/** The scopes of an open store, by a position that its slots name. */
export class Seals {
  readonly #random: Random
  readonly #seals: (ScopeSeal | undefined)[] = []
  /** Positions of scopes that live no longer, while slots name them. */
  readonly #ended = new Set<number>()

  constructor(components: { random: Random }) {
    this.#random = components.random
  }

  /** Those that live, as the head has them. */
  get live(): ScopeSeal[] {
    return this.#seals.filter((seal, position) => seal !== undefined && !this.#ended.has(position)) as ScopeSeal[]
  }

  get ended(): number[] {
    return [...this.#ended]
  }

  isLive(position: number): boolean {
    return this.#seals[position] !== undefined && !this.#ended.has(position)
  }

  /** What records name the scope by; also if it has ended and is not removed. */
  wordAt(position: number): number {
    return this.#seals[position]!.word
  }

  /** The position of the scope that records name by this word; -1 if there is none. */
  named(word: number): number {
    return this.#seals.findIndex((seal) => seal?.word === word)
  }

  /** The scope's position, and whether it was not there before. */
  positionOf(scope: PageScope): { position: number; isNew: boolean } {
    const known = this.#seals.findIndex((seal, position) => seal?.scope === scope && !this.#ended.has(position))
    return known >= 0 ? { position: known, isNew: false } : { position: this.add(scope), isNew: true }
  }

  /** Adds a scope by the salt that it has, or another one. */
  add(scope: PageScope, salt?: Uint8Array): number {
    const seal = new ScopeSeal({ random: this.#random }, scope, salt ?? this.#random.bytes(SALT_BYTES))
    const free = this.#seals.indexOf(undefined)
    const position = free < 0 ? this.#seals.length : free
    assert(position < NO_SCOPE, 'a slot names its scope by a byte')
    this.#seals[position] = seal
    return position
  }

  /** Ends the scopes that do not live; returns whether there are ended ones. */
  end(isLive: (scope: PageScope) => boolean): boolean {
    for (const [position, seal] of this.#seals.entries()) {
      if (seal !== undefined && !isLive(seal.scope)) this.#ended.add(position)
    }
    return this.#ended.size > 0
  }

  /** Forgets the keys of scopes that no slot names any more. */
  remove(positions: readonly number[]): void {
    for (const position of positions) {
      this.#seals[position] = undefined
      this.#ended.delete(position)
    }
  }

  /** Seals all pages of a run, those of scopes that ended meanwhile too: they are dropped later. */
  seal(slots: SlotRun): void {
    for (let first = 0, behind = 0; first < slots.count; first = behind) {
      const scope = slots.scopes[first]!
      while (behind < slots.count && slots.scopes[behind] === scope) behind += 1
      this.#seals[scope]!.seal(slots, first, behind)
    }
  }

  /** Opens the pages of a run; `isOpen` says which were sealed so. */
  open(slots: SlotRun): void {
    for (let first = 0, behind = 0; first < slots.count; first = behind) {
      const scope = slots.scopes[first]!
      if (!this.isLive(scope)) {
        slots.isOpen[behind++] = 0
        continue
      }
      const run = runAt(slots, first)
      while (behind < slots.count && slots.scopes[behind] === scope && runAt(slots, behind) === run) behind += 1
      this.#seals[scope]!.open(slots, first, behind)
    }
  }
}

function runAt({ sealed, places }: SlotRun, entry: number): number {
  return sealed.readUInt32LE(places[entry])
}

/** What a scope is called in a store with this salt. */
export function nameOf(scope: PageScope, salt: Uint8Array): Uint8Array {
  return derived(scope, salt, 'name', NAME_BYTES)
}

function derived({ storeKey }: PageScope, salt: Uint8Array, what: string, bytes: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', storeKey, salt, `pagemesh store ${VERSION} ${what}`, bytes))
}
