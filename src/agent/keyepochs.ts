import { keyEpoch, type KeyRing } from '../mesh/index.ts'
import { EPOCHS_MAX, type PageScopes } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'

/** Scans of all guests for which ids by a removed cluster key are still known: other hosts may be as far. */
const RETIRED_AFTER_INTERVALS = 3

/**
 * Page ids while the cluster key is rotated: by the key that is used and by the other one, side by side. From `use` on,
 * guests are hashed anew by the new key. What is known by the old one serves until its key has been removed and some
 * scans have passed, or until a third key is installed.
 */
export class KeyEpochs {
  readonly #clock: Clock
  readonly #ring: KeyRing
  readonly #scopes: PageScopes
  readonly #lingerMs: number
  #retiring: Timer | undefined

  constructor(
    components: { clock: Clock; ring: KeyRing; scopes: PageScopes }, init: { intervalMs: number },
  ) {
    this.#clock = components.clock
    this.#ring = components.ring
    this.#scopes = components.scopes
    this.#lingerMs = RETIRED_AFTER_INTERVALS * init.intervalMs
    this.follow()
  }

  /** The ring has changed. */
  follow(): void {
    const scopes = this.#scopes
    for (const key of this.#ring.all) {
      if (scopes.epochs.includes(key.id)) continue
      if (scopes.epochs.length >= EPOCHS_MAX) this.#retire()
      scopes.add(keyEpoch(key.clusterKey))
    }
    scopes.use(this.#ring.used.id)
    this.stop()
    if (this.#removed().length > 0) this.#retiring = this.#clock.after(this.#lingerMs, () => this.#retire())
  }

  stop(): void {
    this.#retiring?.cancel()
    this.#retiring = undefined
  }

  #removed(): string[] {
    return this.#scopes.epochs.filter((id) => this.#ring.find(id) === undefined)
  }

  #retire(): void {
    for (const id of this.#removed()) this.#scopes.retire(id)
  }
}
