import type { Endpoint } from '../net/endpoint.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { countOfChannels } from './channels.ts'
import type { MachineDescription } from './description.ts'
import { differencesOf } from './differences.ts'
import type { Guest, GuestState } from './guest.ts'
import type { IncomingMigration, OpenInit } from './migration.ts'
import { QmpDriver } from './qmpdriver.ts'
import type { Rendezvous } from './rendezvous.ts'

/** Limit of the wait for post-copy's switch: the device state, some megabytes, arrives before it. */
const SWITCH_MS_MAX = 20_000
const LOOK_EVERY_MS = 10
const BEFORE_SWITCH: ReadonlySet<string> = new Set(['none', 'setup', 'active'])

export class QmpIncomingDriver extends QmpDriver<IncomingMigration> {
  /**
   * Compares the machines and checks all that can be checked beforehand; leaves nothing changed.
   * Throws PagemeshError `machines-differ` and the errors of the guest's checks.
   */
  async check(source: MachineDescription, hosts: { source: string; destination: string }): Promise<void> {
    const side = await this.open()
    // In a cut post-copy QEMU may be unable to answer now. It reports errors when it is told to recover.
    if (this.rejoins) return
    await side.check({ mode: this.init.mode, beside: this.beside, host: hosts.destination })
    const differences = differencesOf(source, await side.describe(), hosts, this.init.mode)
    if (differences.length === 0) return
    throw new PagemeshError('machines-differ', `The two QEMUs differ: ${differences.join(' ')}`, {
      fault: 'usage', phase: 'offer', data: { differences },
      advice: `Start the QEMU on ${hosts.destination} with the same machine as the one on ${hosts.source}.`,
    })
  }

  /** Prepares QEMU; from now on it never starts the guest by itself. */
  async prepare(): Promise<void> {
    const { beside, init: { mode } } = this
    if (!this.rejoins) await (await this.open()).prepare({ mode, beside, onChange: this.noteChange })
  }

  async release(runState: GuestState): Promise<GuestState> {
    const side = await this.open()
    if (this.init.mode === 'postcopy') await this.#untilSwitchedOver(side)
    return await side.release(runState)
  }

  /** Waits for QEMU's switch to post-copy: the source's message may arrive before its stream. */
  async #untilSwitchedOver(side: IncomingMigration): Promise<void> {
    const { clock } = this.components
    const deadline = clock.now() + SWITCH_MS_MAX
    while (BEFORE_SWITCH.has((await side.progress()).status) && clock.now() < deadline) await clock.sleep(LOOK_EVERY_MS)
  }

  /** Ends the copy; resolves when its process is gone. */
  async end(): Promise<void> {
    await (await this.open()).end()
  }

  protected override openSide(guest: Guest, init: OpenInit): Promise<IncomingMigration> {
    if (guest.openIncoming === undefined) {
      throw new PagemeshError('guest-not-movable', `The guest ${guest.name} cannot take a migration here.`, {
        fault: 'guest', phase: 'offer',
      })
    }
    return guest.openIncoming(init)
  }

  protected override tellToMigrate(side: IncomingMigration, socketPath: string): Promise<void> {
    return this.rejoins ? side.recover(socketPath) : side.begin(socketPath)
  }

  protected override async meetApart(begin: () => Promise<Endpoint>): Promise<Endpoint> {
    return await begin()
  }

  protected override async *meet(
    rendezvous: Rendezvous, signal: AbortSignal, tell: () => Promise<void>,
  ): AsyncGenerator<Endpoint> {
    await tell()
    for (let count = 0; count < countOfChannels(this.beside); count++) yield await rendezvous.connect(signal)
  }
}
