import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'

import { createSocketEndpoint } from '../../../../src/guest/socketendpoint.ts'
import type { UnsecuredLane } from '../../../../src/mesh/index.ts'
import { dialLaneSocket } from '../../../../src/mesh/lanes/lanedial.ts'
import { LaneServer } from '../../../../src/mesh/lanes/laneserver.ts'
import type { Endpoint } from '../../../../src/net/endpoint.ts'
import { kernelInUse, type PageHasher, type PageSource } from '../../../../src/page/index.ts'
import {
  openPassageLane, PassageThreads, type IncomingRun, type OutgoingPassageInit, type OutgoingRun,
} from '../../../../src/passage/index.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { hasher, NOTHING } from '../../../support/madepages.ts'
import { listenerOf, TestQemu, type Said } from '../../../support/passagerelay.ts'

/** For `before`: skips what hands connections over where that cannot be. */
export function skipWithoutKernel(this: Mocha.Context): void {
  if (kernelInUse() === 'package') this.skip()
}

export interface ThreadEnd<Run> {
  passage: Run
  qemu: TestQemu
  said: Said
  /** The agent's side of QEMU's connection. */
  endpoint: Endpoint
}

export interface ThreadRelayOptions {
  init?: Partial<OutgoingPassageInit>
  sources?: readonly PageSource[]
  publicHasher?: PageHasher
  isReading?: boolean
}

/** Both ends of passages over real sockets, each end in a worker thread or in this one. */
export class ThreadPlace {
  readonly folder = mkdtempSync('/tmp/pm-threads-')
  readonly threads: { outgoing: PassageThreads; incoming: PassageThreads }
  readonly strangers: string[] = []
  readonly server = new LaneServer({ clock: systemClock, log: silentLog, random: systemRandom }, {
    isKnown: () => false, stranger: (host, reason) => this.strangers.push(`${host}: ${reason}`),
  })
  readonly signal = new AbortController().signal
  /** Passages that got a thread. */
  readonly taken = { outgoing: 0, incoming: 0 }
  relays = 0
  #sockets = 0
  readonly #endpoints: Endpoint[] = []
  readonly #qemus: TestQemu[] = []

  /** @param counts how many threads each end may have. */
  constructor(counts: { outgoing: number; incoming: number }, workerUrl?: URL) {
    const threadsOf = (end: 'outgoing' | 'incoming'): PassageThreads => {
      const threads = new PassageThreads({ log: silentLog }, {
        count: counts[end], ...(workerUrl === undefined ? {} : { workerUrl }),
      })
      const take = threads.take.bind(threads)
      threads.take = (listener) => {
        const thread = take(listener)
        if (thread !== undefined) this.taken[end] += 1
        return thread
      }
      return threads
    }
    this.threads = { outgoing: threadsOf('outgoing'), incoming: threadsOf('incoming') }
  }

  async start(): Promise<this> {
    await this.server.listen('127.0.0.1:0')
    return this
  }

  /** Resolves when all connections are closed, and all threads are free again. */
  async isQuiet(): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.closed))
  }

  async stop(): Promise<void> {
    await Promise.all([this.threads.outgoing.stop(), this.threads.incoming.stop(), this.server.close()])
    for (const qemu of this.#qemus) qemu.endpoint.destroy()
    for (const endpoint of this.#endpoints) endpoint.destroy()
    rmSync(this.folder, { recursive: true })
  }

  /** The two ends of a lane before TLS. */
  async lanes(): Promise<{ offered: UnsecuredLane; dialed: UnsecuredLane }> {
    const { ticket, lane } = this.server.offer(this.signal)
    const dialed = await dialLaneSocket({ clock: systemClock }, ticket.address, ticket, this.signal)
    return { offered: await lane, dialed }
  }

  /** A QEMU of the test, and the agent's end of its connection. */
  async qemu(isReading = true): Promise<{ qemu: TestQemu; endpoint: Endpoint }> {
    const path = join(this.folder, String(this.#sockets++))
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    await new Promise<void>((resolve) => { server.listen(path, resolve) })
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const client = connect({ path, allowHalfOpen: true })
    client.pause()
    const [[agents]] = await Promise.all([accepted, once(client, 'connect')])
    server.close()
    const endpoint = createSocketEndpoint(agents)
    this.#endpoints.push(endpoint)
    const qemu = new TestQemu(createSocketEndpoint(client), isReading)
    this.#qemus.push(qemu)
    return { qemu, endpoint }
  }

  async relay(options: ThreadRelayOptions = {}): Promise<{
    outgoing: ThreadEnd<OutgoingRun>; incoming: ThreadEnd<IncomingRun>
  }> {
    const { init = {}, sources = [], publicHasher, isReading = true } = options
    this.relays += 1
    const lanes = await this.lanes()
    const [offered, dialed] = await Promise.all([
      openPassageLane({ clock: systemClock, threads: this.threads.outgoing }, lanes.offered, this.signal),
      openPassageLane({ clock: systemClock, threads: this.threads.incoming }, lanes.dialed, this.signal),
    ])
    const said = { outgoing: { words: [], errors: [] } as Said, incoming: { words: [], errors: [] } as Said }
    const [source, destination] = [await this.qemu(), await this.qemu(isReading)]
    const outgoing = offered.startOutgoing({ hasher, qemu: source.endpoint }, {
      known: NOTHING, compression: 'always', bytesPerSecondMax: Infinity, listener: listenerOf(said.outgoing), ...init,
    })
    const incoming = dialed.startIncoming({ hasher, publicHasher, qemu: destination.endpoint, sources }, {
      listener: listenerOf(said.incoming),
    })
    return {
      outgoing: { passage: outgoing, ...source, said: said.outgoing },
      incoming: { passage: incoming, ...destination, said: said.incoming },
    }
  }
}
