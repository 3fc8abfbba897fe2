/**
 * Page keys by scope. A scope is a tenant and a key epoch, and has a page key of its own: ids of two scopes have
 * nothing to do with each other, so that guests of two tenants share no page, whoever looks it up where. An epoch is
 * one cluster key; while the cluster key is rotated there are two.
 */
import { assert } from '../runtime/assert.ts'
import { createPageHasher, type PageHasher, type PageVerifier } from './hasher.ts'
import { ID_BYTES } from './size.ts'
import { hashRest, KeysVerifier } from './verifier.ts'

/** The tenant of guests that no rule names. */
export const SHARED_TENANT = 'shared'
/**
 * The tenant of guests whose pages are no secret, such as images that everyone may have: a page of theirs may leave its
 * host without anyone proving that another host holds it, and guests of every tenant may be moved with references to
 * it. Only guests that a rule names are of it, and only they make a page public.
 */
export const PUBLIC_TENANT = 'public'
export const TENANTS_MAX = 16
export const EPOCHS_MAX = 2

export interface ScopeName {
  readonly tenant: string
  /** The id of a key epoch. */
  readonly epoch: string
}

/** One object a scope: two of them are the same if they are identical. */
export interface PageScope extends ScopeName {
  readonly hasher: PageHasher
  /** 32 bytes, from which the keys come that seal its pages on a disk. */
  readonly storeKey: Uint8Array
}

/** What one cluster key gives. */
export interface KeyEpoch {
  /** Names the cluster key without revealing it. */
  readonly id: string
  /** 32 bytes: keys the hash that makes page ids. */
  pageKeyOf(tenant: string): Uint8Array
  /** 32 bytes, of no use for page ids. */
  storeKeyOf(tenant: string): Uint8Array
}

export interface PageScopesInit {
  epoch: KeyEpoch
  /** The tenants of this host's guests; at most TENANTS_MAX with the shared one. */
  tenants: readonly string[]
  tenantOf: (guest: string) => string
}

/** The page keys of this host. */
export class PageScopes {
  readonly #verifier = new KeysVerifier(() => this.#hashers)
  readonly tenants: readonly string[]
  readonly #tenantOf: (guest: string) => string
  /** The tenant that all guests have, whatever their names. */
  readonly #onlyTenant: string | undefined
  /** The oldest first. */
  #epochs: KeyEpoch[]
  /** The epoch in which guests' pages are hashed. */
  #used: KeyEpoch
  /** Live scopes, the likeliest first. */
  #scopes: PageScope[] = []
  #hashers: PageHasher[] = []
  readonly #listeners = new Set<() => void>()

  constructor({ epoch, tenants, tenantOf }: PageScopesInit) {
    const ofGuests = new Set(tenants)
    this.#onlyTenant = ofGuests.size === 1 ? tenants[0] : undefined
    this.tenants = [...new Set([...tenants, SHARED_TENANT])]
    assert(this.tenants.length <= TENANTS_MAX, 'there are at most 16 tenants')
    this.#tenantOf = tenantOf
    this.#epochs = [epoch]
    this.#used = epoch
    this.#arrange()
  }

  /** Verifies pages of any live scope. */
  get verifier(): PageVerifier {
    return this.#verifier
  }

  /** Ids of the live epochs, the one in use first, otherwise the oldest first. */
  get epochs(): string[] {
    return [this.#used, ...this.#epochs.filter((epoch) => epoch !== this.#used)].map(({ id }) => id)
  }

  tenantOf(guest: string): string {
    return this.#tenantOf(guest)
  }

  /**
   * The scope in which this guest's pages are hashed now. A guest without a name may be anyone's: it has a scope only
   * if there is one tenant.
   */
  of(guest: string | undefined): PageScope | undefined {
    const tenant = guest === undefined ? this.#onlyTenant : this.#tenantOf(guest)
    return tenant === undefined ? undefined : this.find({ tenant, epoch: this.#used.id })
  }

  /** All live scopes. */
  all(): readonly PageScope[] {
    return this.#scopes
  }

  /** The live scope of this name. */
  find({ tenant, epoch }: ScopeName): PageScope | undefined {
    return this.#scopes.find((scope) => scope.tenant === tenant && scope.epoch === epoch)
  }

  /** Hashes as public guests' pages are in this live epoch, though this host may have no such guests. */
  publicHasher(epoch: string): PageHasher | undefined {
    const live = this.#epochs.find(({ id }) => id === epoch)
    return live === undefined ? undefined : createPageHasher(live.pageKeyOf(PUBLIC_TENANT))
  }

  /** The one that agents of versions without scopes have. */
  get oldest(): PageScope {
    return this.find({ tenant: SHARED_TENANT, epoch: this.#epochs[0]!.id })!
  }

  /**
   * The live scope of each page's id, undefined where there is none: page i begins at byte `offsets[i]`, its id at byte
   * `i * ID_BYTES` of `ids`.
   */
  ownersOf(pages: Uint8Array, offsets: Uint32Array, count: number, ids: Uint8Array): (PageScope | undefined)[] {
    const owners = new Array<PageScope | undefined>(count)
    let rest: Uint32Array = Uint32Array.from({ length: count }, (_, place) => place)
    const own = new Uint8Array(count * ID_BYTES)
    for (const hasher of this.#verifier.likeliestFirst) {
      if (rest.length === 0) break
      const scope = this.#scopes.find((one) => one.hasher === hasher)
      for (const place of rest) owners[place] = scope
      rest = hashRest(hasher, pages, offsets, rest, ids, own)
    }
    for (const place of rest) owners[place] = undefined
    return owners
  }

  isLive(scope: PageScope): boolean {
    return this.#scopes.includes(scope)
  }

  /** Makes an epoch live: its pages are verified, and guests' pages are hashed in it only after `use`. */
  add(epoch: KeyEpoch): void {
    if (this.#epochs.some(({ id }) => id === epoch.id)) return
    assert(this.#epochs.length < EPOCHS_MAX, 'at most two epochs live')
    this.#epochs.push(epoch)
    this.#change()
  }

  /** From now on guests' pages are hashed in this epoch. */
  use(id: string): void {
    const epoch = this.#epochs.find((live) => live.id === id)
    assert(epoch !== undefined, 'only an epoch that lives can be used')
    if (epoch === this.#used) return
    this.#used = epoch
    this.#change()
  }

  /** Ends an epoch that is not in use: what was hashed in it is forgotten. */
  retire(id: string): void {
    assert(id !== this.#used.id, 'the epoch in use lives')
    this.#epochs = this.#epochs.filter((epoch) => epoch.id !== id)
    this.#change()
  }

  /** Calls `listener` after each change of the epochs; returns a function that ends this. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #change(): void {
    this.#arrange()
    for (const listener of [...this.#listeners]) listener()
  }

  #arrange(): void {
    const before = this.#scopes
    this.#scopes = [this.#used, ...this.#epochs.filter((epoch) => epoch !== this.#used)].flatMap((epoch) => {
      return this.tenants.map((tenant) => {
        return before.find((scope) => scope.tenant === tenant && scope.epoch === epoch.id) ??
          madeScope(tenant, epoch)
      })
    })
    this.#hashers = this.#scopes.map(({ hasher }) => hasher)
  }
}

function madeScope(tenant: string, epoch: KeyEpoch): PageScope {
  return {
    tenant, epoch: epoch.id, hasher: createPageHasher(epoch.pageKeyOf(tenant)), storeKey: epoch.storeKeyOf(tenant),
  }
}
