import type { GuestMemory } from '../guest/index.ts'
import { HoldFlag } from '../runtime/holdflag.ts'
import type { Store } from '../store/index.ts'
import type { Keeper, PlacementTotals, StablePages } from './api.ts'
import { DepartedKeeping } from './departedkeeping.ts'
import { Rounds, type RoundsComponents } from './rounds.ts'

export interface KeeperInit {
  /** Time between two plans, ms: the census' interval. */
  intervalMs: number
}

export function createKeeper(components: Omit<RoundsComponents, 'hold'>, init: KeeperInit): Keeper {
  return new HostKeeper(components, init)
}

class HostKeeper implements Keeper {
  readonly #store: Store
  readonly #hold = new HoldFlag()
  readonly #rounds: Rounds
  readonly #departed: DepartedKeeping

  constructor(components: Omit<RoundsComponents, 'hold'>, init: KeeperInit) {
    const all = { ...components, hold: this.#hold }
    this.#store = components.store
    this.#rounds = new Rounds(all, init)
    this.#departed = new DepartedKeeping({ ...all, view: components.popularity.view }, {
      takeSurplus: (countMax) => this.#rounds.takeSurplus(countMax),
      exchange: () => this.#rounds.exchange,
      isResident: (high, low, leaver) => components.census.all()
        .some(({ guest, table }) => guest !== leaver && table.indexOf(high, low) >= 0),
    })
  }

  get totals(): PlacementTotals {
    const held = Math.max(0, this.#store.pages - this.#rounds.surplus)
    const pending = this.#departed.pending + this.#rounds.pending
    return { wanted: held + pending + this.#rounds.givenUp, held, pending }
  }

  async start(): Promise<void> {
    await this.#departed.start()
    this.#rounds.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#rounds.stop(), this.#departed.stop()])
  }

  standBack(): () => void {
    return this.#hold.hold()
  }

  keepDeparted(memory: GuestMemory, pages: StablePages): Promise<void> {
    return this.#departed.keep(memory, pages)
  }
}
