/** Two hosts whose handoffs a test plays, and what it can make of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  destinationGuest, sourceGuest, type DestinationOptions, type FakeDestination, type FakeSource, type SourceOptions,
} from '../../support/fakeguest.ts'
import { until } from '../../support/passagerelay.ts'
import { postcopyStream, precopyStream } from '../../support/streambuilder.ts'
import { Hosts, type Host } from './madehosts.ts'

const BLOCKS = [{ name: 'pc.ram', pages: [undefined, undefined] }]
export const STREAM = precopyStream(BLOCKS).bytes
export const POSTCOPY = postcopyStream(BLOCKS, BLOCKS).bytes
export const MOVE = { guest: 'web', to: 'b' }

interface World {
  hosts: Hosts
  a: Host
  b: Host
  source: FakeSource
  destination: FakeDestination
}

/** For the `describe` that calls it: hosts that are stopped after each test. */
export function playedWorlds() {
  const directory = mkdtempSync(join(tmpdir(), 'pm-handoffs-'))
  let running: Host[] = []

  afterEach(async () => {
    for (const { handoffs, mesh } of running) {
      await mesh.stop()
      void handoffs.stop()
    }
    running = []
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  async function start(hosts: Hosts, ...args: Parameters<Hosts['start']>): ReturnType<Hosts['start']> {
    const host = await hosts.start(...args)
    running.push(host)
    return host
  }

  /** Two hosts, with `web` at a and a QEMU that waits for it at b. */
  async function world(
    options: { source?: SourceOptions; destination?: DestinationOptions; stream?: Uint8Array } = {},
  ): Promise<World> {
    const { stream = STREAM } = options
    const hosts = new Hosts(directory)
    const source = sourceGuest('web', [], stream, options.source)
    const destination = destinationGuest('web', stream.length, options.destination)
    const a = await start(hosts, 'a', { records: new Map(), guests: [source.guest] })
    const b = await start(hosts, 'b', { records: new Map(), guests: [destination.guest] })
    return { hosts, a, b, source: source.control, destination: destination.control }
  }

  /** A world in which the stream stands still. */
  async function moving(): Promise<World & { result: ReturnType<Host['handoffs']['migrate']> }> {
    const made = await world({ source: { holdAfter: 20 } })
    const result = made.a.handoffs.migrate(MOVE)
    await until(() => made.destination.receivedBytes > 0 || made.destination.status === 'active')
    return { ...made, result }
  }

  /** A whole copy that is held at b: the hosts cannot reach each other, and the source has not decided. */
  async function held(): Promise<World & { result: ReturnType<Host['handoffs']['migrate']> }> {
    const made = await world({ source: { onShut: () => {}, onCut: () => {} } })
    made.source.ignoresCancel = true
    const result = made.a.handoffs.migrate(MOVE)
    await until(() => made.destination.status === 'completed')
    await made.hosts.wait()
    made.hosts.network.disconnect('b')
    made.hosts.network.cutLanes()
    await until(() => made.b.handoffs.allHeld().length === 1)
    return { ...made, result }
  }

  return { directory, start, world, moving, held }
}
