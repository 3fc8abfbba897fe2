import { join } from 'node:path'

import { loadState, saveState } from '../support/savedstate.ts'
import type { Witness } from '../support/witness.ts'
import { makeDisk } from './disk.ts'
import { diskWords, type TwoHosts, type WitnessKind, type WitnessOptions } from './twohosts.ts'

/**
 * A guest with a disk that is moved repeatedly between two hosts. It boots once; when lost, it is restored from its
 * saved state within a second.
 */
export class TravellingGuest {
  readonly name: string
  readonly #hosts: TwoHosts
  readonly #options: WitnessOptions
  readonly #diskPath: string
  readonly #statePath: string
  #home: Witness | undefined

  /** @param kind options of its QEMUs, such as memory and release */
  static async boot(hosts: TwoHosts, name: string, kind: WitnessKind = {}): Promise<TravellingGuest> {
    const guest = new TravellingGuest(hosts, { ...kind, name }, await makeDisk(hosts.cluster.directory, name))
    await guest.#save()
    return guest
  }

  private constructor(hosts: TwoHosts, options: WitnessOptions, diskPath: string) {
    this.name = options.name
    this.#hosts = hosts
    this.#options = options
    this.#diskPath = diskPath
    this.#statePath = join(hosts.cluster.directory, `${options.name}.state`)
  }

  /** The QEMU in which it lives. */
  get home(): Witness {
    return this.#home!
  }

  get otherHost(): string {
    return this.home.host === 'a' ? 'b' : 'a'
  }

  /** It has moved; its old QEMU ends. */
  async settleIn(destination: Witness): Promise<void> {
    const left = this.#home
    this.#home = destination
    await this.#hosts.stop(left)
  }

  /**
   * Starts the waiting QEMU on the other host.
   * @param further arguments beyond its own
   * @param other options that differ from the guest's
   * @param diskPath a disk other than the guest's
   */
  async waiting(
    further: readonly string[] = [], other: WitnessKind = {}, diskPath = this.#diskPath,
  ): Promise<Witness> {
    return await this.#hosts.start(this.otherHost, {
      ...this.#options, further: [...diskWords(diskPath), ...further], ...other, incoming: true,
    })
  }

  /** Restores it from its saved state, whatever its state now; `further` are arguments for its QEMU. */
  async restore(host = 'a', further: readonly string[] = [], other: WitnessKind = {}): Promise<void> {
    await this.#hosts.stopAll()
    const home = await this.#hosts.start(host, {
      ...this.#options, further: [...diskWords(this.#diskPath), ...further], ...other, incoming: true,
    })
    await loadState(home.client, this.#statePath)
    this.#home = home
  }

  async #save(): Promise<void> {
    const born = await this.#hosts.start('a', { ...this.#options, further: diskWords(this.#diskPath) })
    await born.guest.ready()
    await born.guest.moreBeats(1)
    await saveState(born.client, this.#statePath)
    await this.restore()
  }
}
