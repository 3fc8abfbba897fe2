import { timingSafeEqual } from 'node:crypto'

import { deriveKeys, keyIdOf, type ClusterKeys, type HeldKeys } from './clusterkey.ts'
import type { Unsubscribe } from './mesh.ts'

/** What proves membership: by the first key or, while keys are rotated, by the other one. Read anew for each proof. */
export interface MemberKeys {
  readonly memberKey: Uint8Array
  readonly otherMemberKey?: Uint8Array | undefined
}

/** A cluster key and what is derived from it. */
export interface RingKey {
  id: string
  clusterKey: Uint8Array
  keys: ClusterKeys
}

/** The cluster keys of this host as they are now: one that it uses, and at most one more that it accepts. */
export class KeyRing implements MemberKeys {
  #used: RingKey
  #other: RingKey | undefined
  readonly #listeners = new Set<() => void>()

  constructor({ used, other }: HeldKeys) {
    this.#used = ringKey(used)
    this.#other = other === undefined ? undefined : ringKey(other)
  }

  get used(): RingKey {
    return this.#used
  }

  get other(): RingKey | undefined {
    return this.#other
  }

  /** The key that is used first. */
  get all(): RingKey[] {
    return this.#other === undefined ? [this.#used] : [this.#used, this.#other]
  }

  get ids(): string[] {
    return this.all.map(({ id }) => id)
  }

  get memberKey(): Uint8Array {
    return this.#used.keys.memberKey
  }

  get otherMemberKey(): Uint8Array | undefined {
    return this.#other?.keys.memberKey
  }

  /** What the key file is to hold. */
  get held(): HeldKeys {
    const used = this.#used.clusterKey
    return this.#other === undefined ? { used } : { used, other: this.#other.clusterKey }
  }

  find(id: string): RingKey | undefined {
    return this.all.find((key) => key.id === id)
  }

  /** Called after each change. */
  onChange(listener: () => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  set({ used, other }: HeldKeys): void {
    const known = this.all
    const keyOf = (clusterKey: Uint8Array): RingKey =>
      known.find((key) => timingSafeEqual(key.clusterKey, clusterKey)) ?? ringKey(clusterKey)
    this.#used = keyOf(used)
    this.#other = other === undefined ? undefined : keyOf(other)
    for (const listener of [...this.#listeners]) listener()
  }
}

function ringKey(clusterKey: Uint8Array): RingKey {
  return { id: keyIdOf(clusterKey), clusterKey, keys: deriveKeys(clusterKey) }
}
