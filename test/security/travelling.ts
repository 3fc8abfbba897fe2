/** A small guest of real QEMU that moves from one to the next, by the drivers that agents use. */
import { strict as assert } from 'node:assert'

import {
  discoverGuests, QmpIncomingDriver, QmpOutgoingDriver, type DriverInit, type DriverNews, type GuestDiscovery,
  type MigrationMode,
} from '../../src/guest/index.ts'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const NAME = 'travelling'
const MOVE_MS_MAX = 60_000

export interface TravelInit {
  /** Where its QEMUs have their sockets, and where the agents meet them. */
  guestDirectory: string
  runtimeDirectory: string
  /** Further words for QEMU, and what makes it another user's. */
  words?: readonly string[]
  prefix?: readonly string[]
}

interface Station {
  qemu: Qemu
  discovery: GuestDiscovery
}

export class TravellingGuest {
  readonly #init: TravelInit
  #home: Station | undefined
  #count = 0

  constructor(init: TravelInit) {
    this.#init = init
  }

  async begin(): Promise<void> {
    this.#home = await this.#start()
  }

  /**
   * Moves the guest to a QEMU that is started for it; it runs there afterwards, and the one that it left ends. False if
   * somebody took the sockets away, and the guest stays where it is.
   */
  async move(mode: MigrationMode): Promise<boolean> {
    const source = this.#home!
    const destination = await this.#start('-incoming', 'defer')
    const [sourceNews, destinationNews]: [DriverNews[], DriverNews[]] = [[], []]
    const components = { clock: systemClock, random: systemRandom }
    const outgoing = new QmpOutgoingDriver(components, this.#driverInit(source, mode, sourceNews))
    const incoming = new QmpIncomingDriver(components, this.#driverInit(destination, mode, destinationNews))
    const signal = AbortSignal.timeout(MOVE_MS_MAX)
    try {
      const machine = await outgoing.prepare()
      await incoming.check(machine, { source: 'a', destination: 'b' })
      await incoming.prepare()
      const near = await firstOf(incoming.channels(signal))
      const far = await firstOf(outgoing.channels(signal))
      carry(far, near)
      carry(near, far)
      if (mode === 'postcopy') {
        await until(() => said(sourceNews, 'active'))
        await outgoing.startPostcopy()
      }
      await until(() => said(sourceNews, 'completed'))
      assert.equal(await incoming.release('running'), 'running', 'it runs at its destination')
      await until(async () => (await incoming.progress())?.status === 'completed')
    } catch (error) {
      if (!(error instanceof PagemeshError) || error.code !== 'rendezvous-disturbed') throw error
      await end(destination)
      return false
    } finally {
      for (const driver of [outgoing, incoming]) {
        await driver.close()
        driver.stop()
      }
    }
    this.#home = destination
    await end(source)
    return true
  }

  async end(): Promise<void> {
    if (this.#home !== undefined) await end(this.#home)
  }

  /** Throws if anything but the QEMU is taken for the guest's process. */
  async #start(...words: string[]): Promise<Station> {
    const { guestDirectory, words: further = [], prefix } = this.#init
    const args = ['-m', '32', '-name', NAME, ...further, ...words]
    const qemu = await startQemu(guestDirectory, `g${this.#count++}`, args, prefix)
    const discovery = discoverGuests({ clock: systemClock, log: silentLog }, { globs: [qemu.socket] })
    await discovery.start()
    await until(async () => {
      await discovery.refresh()
      return discovery.guests().length > 0
    })
    assert.equal(discovery.guests()[0]!.pid, qemu.pid, 'another process was taken for the QEMU')
    return { qemu, discovery }
  }

  #driverInit({ discovery }: Station, mode: MigrationMode, news: DriverNews[]): DriverInit {
    return {
      directory: this.#init.runtimeDirectory, mode, undo: undefined,
      find: async () => discovery.guests()[0]!,
      onChange: async () => {},
      onNews: (item) => news.push(item),
    }
  }
}

async function end({ qemu, discovery }: Station): Promise<void> {
  await discovery.stop()
  await qemu.kill()
}

async function firstOf(channels: AsyncIterable<Endpoint>): Promise<Endpoint> {
  for await (const endpoint of channels) return endpoint
  throw new Error('no channel')
}

function carry(from: Endpoint, to: Endpoint): void {
  from.receive((bytes) => {
    from.pause()
    // An end that is gone takes nothing more, and the other one hears of it by its own end.
    void to.write(Buffer.from(bytes)).catch(() => to.destroy()).finally(() => from.resume())
  }, () => to.end())
}

function said(news: readonly DriverNews[], status: string): boolean {
  return news.some((item) => item.kind === 'qemu' && item.status === status)
}
