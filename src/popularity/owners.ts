/**
 * Who owns which slice: rendezvous hashing. Each member has a weight for each slice, and a slice's owners are the
 * members with the greatest weights. No election and no coordinator: hosts that know the same members find the same
 * owners, and a member that comes or goes moves only its own slices.
 *
 * A member's weights come from a hash of its peer id, keyed with the cluster key: choosing a host name does not choose
 * slices, and strangers cannot tell the owners. A member can still make identities until one suits it.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash'

import type { Member } from '../mesh/index.ts'
import { SLICE_COUNT } from './slice.ts'

/** Owners of a slice. Up to one host more than this, every host owns every slice. */
export const OWNERS_MAX = 2
const ALL_OWN_HOSTS_MAX = OWNERS_MAX + 1
/** How many ranks of a slice are known: the owners, and the next in line. */
export const RANKED_MAX = 4

const NOBODY = 0xffff

/** A host's name as 32 bits, which stands for it among a page's holders. Never 0. */
export function hostTag(name: string): number {
  let hash = 0x811c_9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193)
  return mix(hash) || 1
}

/** Spreads 32 bits evenly: two rounds of multiply and shift. */
export function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x7feb_352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846c_a68b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Weight of a host for `seed`. Both are spread already, so that one round of multiply and shift is enough. */
export function weightOf(seed: number, tag: number): number {
  const product = Math.imul(seed ^ tag, 0x7feb_352d)
  return Math.imul(product ^ (product >>> 15), 0x846c_a68b) >>> 0
}

const SLICE_SEEDS = Uint32Array.from({ length: SLICE_COUNT }, (_, slice) => mix(slice + 1))

/** The fields of a member that decide its slices. */
export type SliceMember = Pick<Member, 'name' | 'peerId'>

/** The ranking of the known members for every slice, updated as they come and go. */
export class SliceOwners {
  #hasher: Blake3Hasher
  /** By member number; an empty name marks a free number. */
  readonly #names: string[] = []
  readonly #peerIds: string[] = []
  #tags = new Uint32Array(64)
  /** The seeds of each member's weights. */
  #seeds = new Uint32Array(64)
  readonly #numbers = new Map<string, number>()
  readonly #namesByTag = new Map<number, string>()
  /** RANKED_MAX member numbers a slice, best first. */
  readonly #ranking = new Uint16Array(SLICE_COUNT * RANKED_MAX).fill(NOBODY)
  /** The weight of each of them in its slice; 0 where there is nobody. */
  readonly #weights = new Uint32Array(SLICE_COUNT * RANKED_MAX)

  /** @param init.key 32 bytes, derived from the cluster key. */
  constructor({ key }: { key: Uint8Array }) {
    this.#hasher = Blake3Hasher.newKeyed(Buffer.from(key))
  }

  /** Draws all owners anew, by another key. */
  rekey(key: Uint8Array): void {
    const members = [...this.#numbers].map(([name, number]) => ({ name, peerId: this.#peerIds[number]! }))
    this.update([])
    this.#hasher = Blake3Hasher.newKeyed(Buffer.from(key))
    this.update(members)
  }

  /** Number of members, this host among them. */
  get hostCount(): number {
    return this.#numbers.size
  }

  /** Number of owners of each slice. */
  get ownersPerSlice(): number {
    return this.hostCount <= ALL_OWN_HOSTS_MAX ? this.hostCount : OWNERS_MAX
  }

  /** Whether every host owns every slice, so that none needs to hear of it from another. */
  get allOwn(): boolean {
    return this.hostCount <= ALL_OWN_HOSTS_MAX
  }

  /** Takes the present members, this host among them. Returns those that left or have another identity. */
  update(members: readonly SliceMember[]): string[] {
    const wanted = new Map(members.map(({ name, peerId }) => [name, peerId]))
    const left = [...this.#numbers].filter(([name, number]) => wanted.get(name) !== this.#peerIds[number])
      .map(([name]) => name)
    const isGone = new Uint8Array(this.#names.length)
    for (const name of left) {
      isGone[this.#numbers.get(name)!] = 1
      this.#dismiss(name)
    }
    const joined = members.filter(({ name }) => !this.#numbers.has(name)).map((member) => this.#admit(member))
    const numbers = Uint16Array.from(this.#numbers.values())
    const newNumbers = Uint16Array.from(joined)
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      if (left.length > 0 && this.#hasRanked(slice, isGone)) this.#rank(slice, numbers)
      else this.#insertAll(slice, newNumbers)
    }
    return left
  }

  /** Rank of a host for a slice, 0 for the first; -1 if it is not among the first RANKED_MAX. */
  rankOf(name: string, slice: number): number {
    const number = this.#numbers.get(name)
    if (number === undefined) return -1
    for (let rank = 0; rank < RANKED_MAX; rank++) {
      if (this.#ranking[slice * RANKED_MAX + rank] === number) return rank
    }
    return -1
  }

  /** The host at a rank of a slice; undefined if there are fewer. */
  at(slice: number, rank: number): string | undefined {
    return this.#names[this.#ranking[slice * RANKED_MAX + rank]!]
  }

  /** The tag of the host at a rank of a slice; 0 if there are fewer. */
  tagAt(slice: number, rank: number): number {
    return this.#tags[this.#ranking[slice * RANKED_MAX + rank]!] ?? 0
  }

  owns(name: string, slice: number): boolean {
    const rank = this.rankOf(name, slice)
    return rank >= 0 && rank < this.ownersPerSlice
  }

  nameOfTag(tag: number): string | undefined {
    return this.#namesByTag.get(tag)
  }

  #admit({ name, peerId }: SliceMember): number {
    const free = this.#names.indexOf('')
    const number = free === -1 ? this.#names.length : free
    this.#names[number] = name
    this.#peerIds[number] = peerId
    if (number === this.#tags.length) {
      this.#tags = doubled(this.#tags)
      this.#seeds = doubled(this.#seeds)
    }
    const tag = hostTag(name)
    this.#tags[number] = tag
    this.#seeds[number] = this.#seedOf(peerId)
    this.#numbers.set(name, number)
    // Names can be chosen to collide in one tag: it stays with the first.
    if (!this.#namesByTag.has(tag)) this.#namesByTag.set(tag, name)
    return number
  }

  #seedOf(peerId: string): number {
    this.#hasher.reset()
    this.#hasher.update(Buffer.from(peerId))
    return this.#hasher.digestBuffer().readUInt32LE()
  }

  #dismiss(name: string): void {
    const tag = hostTag(name)
    this.#names[this.#numbers.get(name)!] = ''
    this.#numbers.delete(name)
    if (this.#namesByTag.get(tag) !== name) return
    const heir = [...this.#numbers.keys()].find((other) => hostTag(other) === tag)
    if (heir === undefined) this.#namesByTag.delete(tag)
    else this.#namesByTag.set(tag, heir)
  }

  #hasRanked(slice: number, isGone: Uint8Array): boolean {
    for (let rank = 0; rank < RANKED_MAX; rank++) {
      if (isGone[this.#ranking[slice * RANKED_MAX + rank]!] === 1) return true
    }
    return false
  }

  #rank(slice: number, numbers: Uint16Array): void {
    this.#ranking.fill(NOBODY, slice * RANKED_MAX, (slice + 1) * RANKED_MAX)
    this.#weights.fill(0, slice * RANKED_MAX, (slice + 1) * RANKED_MAX)
    this.#insertAll(slice, numbers)
  }

  /** Inserts members into a slice's ranking, where they rank high enough. */
  #insertAll(slice: number, numbers: Uint16Array): void {
    const base = slice * RANKED_MAX
    const seed = SLICE_SEEDS[slice]!
    const seeds = this.#seeds
    const weights = this.#weights
    for (let index = 0; index < numbers.length; index++) {
      const number = numbers[index]!
      const weight = weightOf(seed, seeds[number]!)
      if (weight < weights[base + RANKED_MAX - 1]!) continue
      let place = base + RANKED_MAX
      while (place > base && this.#outweighs(weight, number, place - 1)) place -= 1
      if (place === base + RANKED_MAX) continue
      this.#ranking.copyWithin(place + 1, place, base + RANKED_MAX - 1)
      this.#weights.copyWithin(place + 1, place, base + RANKED_MAX - 1)
      this.#ranking[place] = number
      this.#weights[place] = weight
    }
  }

  #outweighs(weight: number, number: number, place: number): boolean {
    const otherWeight = this.#weights[place]!
    if (weight !== otherWeight) return weight > otherWeight
    const other = this.#ranking[place]!
    // Two weights are equal once in 2^32: then the names decide, the same on all hosts.
    return other === NOBODY || this.#names[number]! < this.#names[other]!
  }
}

function doubled(values: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(values.length * 2)
  larger.set(values)
  return larger
}
