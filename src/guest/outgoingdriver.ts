import type { Endpoint } from '../net/endpoint.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { untilBegun } from './begunendpoint.ts'
import { countOfChannels } from './channels.ts'
import type { MachineDescription } from './description.ts'
import type { Guest, GuestState } from './guest.ts'
import type { OpenInit, OutgoingMigration } from './migration.ts'
import { QmpDriver, type DriverComponents, type DriverInit } from './qmpdriver.ts'
import type { Rendezvous } from './rendezvous.ts'

export class QmpOutgoingDriver extends QmpDriver<OutgoingMigration> {
  readonly #downtimeMsMax: number | undefined
  readonly #channels: number | undefined
  #endpoint: Endpoint | undefined

  constructor(components: DriverComponents, init: DriverInit & { downtimeMsMax?: number; channels?: number }) {
    super(components, init)
    this.#downtimeMsMax = init.downtimeMsMax
    this.#channels = init.channels
  }

  /** Prepares QEMU to migrate. Resolves to the description that the other end compares. Throws PagemeshError. */
  async prepare(): Promise<MachineDescription> {
    const side = await this.open()
    const machine = await side.describe()
    const { mode } = this.init
    this.beside = await side.channels({ mode, count: this.#channels })
    if (this.rejoins) await this.untilPaused(side)
    else {
      const downtime = this.#downtimeMsMax === undefined ? {} : { maxDowntimeMs: this.#downtimeMsMax }
      await side.prepare({ mode, beside: this.beside, onChange: this.noteChange, ...downtime })
    }
    return machine
  }

  async startPostcopy(): Promise<void> {
    await (await this.open()).startPostcopy()
  }

  async allowPause(): Promise<void> {
    await (await this.open()).allowPause()
  }

  /**
   * Asks QEMU to give up; its answer comes as news. If it can no longer be asked, its stream is broken: QEMU gives up
   * unless the destination already has everything. Not in post-copy, where it is too late for that.
   */
  async cancel(): Promise<void> {
    const isAsked = await (await this.open()).cancel()
    if (!isAsked && this.init.mode === 'precopy') this.#endpoint?.destroy()
  }

  async takeBack(runState: GuestState | 'unknown'): Promise<void> {
    // If the run state is unknown, the guest stays paused: its operator can let it run.
    await (await this.open()).takeBack(runState === 'unknown' ? 'paused' : runState)
  }

  protected override openSide(guest: Guest, init: OpenInit): Promise<OutgoingMigration> {
    if (guest.openOutgoing === undefined) {
      throw new PagemeshError('guest-not-movable', `The guest ${guest.name} has no migration of its own.`, {
        fault: 'guest', phase: 'preparing', advice: 'Only guests with a QMP socket can be handed to another host.',
      })
    }
    return guest.openOutgoing(init)
  }

  protected override tellToMigrate(side: OutgoingMigration, socketPath: string): Promise<void> {
    return this.rejoins ? side.resume(socketPath) : side.begin(socketPath)
  }

  protected override async meetApart(begin: () => Promise<Endpoint>): Promise<Endpoint> {
    const endpoint = await begin()
    this.#endpoint = endpoint
    return this.#endpoint = await untilBegun(endpoint)
  }

  protected override async *meet(
    rendezvous: Rendezvous, signal: AbortSignal, tell: () => Promise<void>,
  ): AsyncGenerator<Endpoint> {
    const arrivals = await rendezvous.listen(signal)
    await tell()
    let count = 0
    for await (const arrival of arrivals) {
      // Only the main channel is waited for: on others the first bytes may take long.
      if (count === 0) this.#endpoint = await untilBegun(arrival)
      yield count === 0 ? this.#endpoint! : arrival
      count += 1
      if (count === countOfChannels(this.beside)) return
    }
  }
}
