import { join } from 'node:path'

import { loadState, saveState } from '../support/savedstate.ts'
import { SMALL, type Witness } from '../support/witness.ts'
import type { FaultLab } from './lab.ts'

/** What it does: one shares its memory's contents with others, the other is full of what nobody else has. */
export type RoamerWork = 'idle' | 'random'

/** With less, the random one runs out of memory. */
const MEMORY_MIB = { idle: 96, random: 160 } as const

/** A guest that moves among the hosts of the lab, and is back from its saved state if a fault takes it. */
export class Roamer {
  readonly name: string
  readonly #lab: FaultLab
  readonly #work: RoamerWork
  readonly #statePath: string
  #home: Witness | undefined

  constructor(lab: FaultLab, name: string, work: RoamerWork) {
    this.#lab = lab
    this.name = name
    this.#work = work
    this.#statePath = join(lab.cluster.directory, `${name}.state`)
  }

  /** The QEMU in which it lives. */
  get home(): Witness {
    return this.#home!
  }

  /** Boots it once, and saves its state. */
  async boot(host: string): Promise<void> {
    const born = await this.#start(host, false)
    await born.guest.ready()
    await saveState(born.client, this.#statePath)
    await this.#lab.stop(born)
    await this.restore(host)
  }

  /** Starts a QEMU that waits for it. */
  async waiting(host: string): Promise<Witness> {
    return await this.#start(host, true)
  }

  /** It lives there from now on; every other QEMU of it ends. */
  async settleIn(home: Witness): Promise<void> {
    this.#home = home
    await this.#endOthers(home)
  }

  /** Restores it from its saved state, whatever its state now. */
  async restore(host: string): Promise<void> {
    await this.#endOthers(undefined)
    const home = await this.#start(host, true)
    await loadState(home.client, this.#statePath)
    this.#home = home
  }

  async #endOthers(home: Witness | undefined): Promise<void> {
    for (const witness of this.#lab.qemusOf(this.name)) if (witness !== home) await this.#lab.stop(witness)
  }

  async #start(host: string, incoming: boolean): Promise<Witness> {
    return await this.#lab.start(host, {
      ...SMALL, memoryMiB: MEMORY_MIB[this.#work], name: this.name, work: this.#work, incoming,
    })
  }
}
