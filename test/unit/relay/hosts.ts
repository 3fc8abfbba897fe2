/** Two hosts of a mesh in memory that relay: a's connections are a test's, b dials real sockets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { SpentBytes } from '../../../src/conversation/index.ts'
import { MemoryNetwork, type Mesh } from '../../../src/mesh/index.ts'
import { createEndpointPair } from '../../../src/net/endpoint.ts'
import { peek } from '../../../src/net/peekedendpoint.ts'
import { PageBudget, type PageScopes, type PageSource } from '../../../src/page/index.ts'
import { PassageThreads } from '../../../src/passage/index.ts'
import type { IncomingRelay } from '../../../src/relay/incomingrelay.ts'
import { IncomingRelays, OutgoingRelays, RELAY_PROTOCOL, type Connection } from '../../../src/relay/index.ts'
import { systemClock, type Clock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import type { PublicPages, RelayResult } from '../../../src/transfer/index.ts'
import { NO_PEERS, NOTHING_PUBLIC } from '../../support/bothends.ts'
import { hasher, idOf } from '../../support/madepages.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { TestQemu } from '../../support/passagerelay.ts'

const SPENT: SpentBytes = { report: 1, gossip: 2, swap: 3 }

/** The page keys of both hosts. */
export const scopes = madeScopes(hasher.pageKey)

export interface HostsOptions {
  clock?: Clock
  publicPages?: PublicPages
  /** The page keys of both hosts. */
  keys?: PageScopes
  /** What b has. */
  pages?: readonly Buffer[]
  sources?: readonly PageSource[]
}

/** What a destination QEMU took on one connection. */
export interface Arrived {
  socket: Socket
  bytes: () => Buffer
  hasEnded: () => boolean
  isClosed: () => boolean
}

export class Hosts {
  readonly network: MemoryNetwork
  readonly meshes: { a: Mesh; b: Mesh }
  readonly outgoing: OutgoingRelays
  readonly incoming: IncomingRelays
  readonly results: RelayResult[] = []
  readonly managers: (string | undefined)[] = []
  readonly received: IncomingRelay[] = []
  readonly refused: string[] = []
  readonly standing = { a: 0, b: 0 }
  readonly directory = mkdtempSync(join(tmpdir(), 'relay-'))
  readonly path = join(this.directory, 'q')
  /** The connections that the destination QEMU accepted, in order. */
  readonly arrived: Arrived[] = []
  #server: Server | undefined

  constructor(options: HostsOptions = {}) {
    const { clock = systemClock, publicPages = NOTHING_PUBLIC, pages = [], sources = [], keys = scopes } = options
    this.network = new MemoryNetwork({ clock })
    this.meshes = { a: this.network.createMesh('a'), b: this.network.createMesh('b') }
    const log = silentLog
    const threads = new PassageThreads({ log }, { count: 0 })
    const common = { clock, log, scopes: keys, threads, random: systemRandom }
    const standBack = (host: 'a' | 'b') => () => {
      this.standing[host] += 1
      return () => { this.standing[host] -= 1 }
    }
    this.outgoing = new OutgoingRelays({ ...common, mesh: this.meshes.a }, {
      compression: 'never', standBack: standBack('a'), spent: () => SPENT,
      onOver: async (result, { manager }) => {
        this.results.push(result)
        this.managers.push(manager)
      },
    })
    const ids = pages.map(idOf)
    this.incoming = new IncomingRelays({
      ...common, mesh: this.meshes.b, sources, peers: NO_PEERS, budget: new PageBudget(1000), spent: () => SPENT,
      publicPages,
    }, {
      isPrivate: () => false,
      has: (high) => ids.some((id) => id.readUInt32BE(0) === high),
      requireAllowed: (address) => {
        if (address.kind === 'unix' && address.path.startsWith(this.directory)) return
        throw new PagemeshError('not-allowed', 'no.', { fault: 'peer' })
      },
      standBack: standBack('b'), onRefused: ({ code }) => { this.refused.push(code) },
      onOver: async (relay) => { this.received.push(relay) },
    })
    this.meshes.b.handle(RELAY_PROTOCOL, (stream, from) => this.incoming.receive(stream, from))
  }

  /** Begins; a QEMU waits at b. */
  async start(): Promise<this> {
    await this.meshes.a.start()
    await this.meshes.b.start()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const pieces: Buffer[] = []
      let hasEnded = false
      socket.on('data', (bytes) => pieces.push(bytes))
      socket.on('end', () => { hasEnded = true })
      // The test looks at what has come.
      socket.on('error', () => {})
      this.arrived.push({
        socket, bytes: () => Buffer.concat(pieces), hasEnded: () => hasEnded, isClosed: () => socket.destroyed,
      })
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.path, resolve))
    return this
  }

  async stop(): Promise<void> {
    this.outgoing.stop()
    this.incoming.stop()
    for (const { socket } of this.arrived) socket.destroy()
    this.#server?.close()
    await this.meshes.a.stop()
    await this.meshes.b.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** A QEMU of a connects; what it is told comes when the connection is made at b. */
  connect(about: Partial<Omit<Connection, 'endpoint'>> = {}): { qemu: TestQemu; carried: Promise<void> } {
    const [ours, theirs] = createEndpointPair()
    const carried = this.outgoing.carry({
      endpoint: peek(ours), to: 'b', address: { kind: 'unix', path: this.path }, pid: undefined,
      otherwise: 'direct',
      findGuest: async () => ({
        name: undefined, manager: undefined, process: undefined, census: undefined, scope: scopes.oldest,
      }),
      ...about,
    })
    // A test that expects it to fail waits for it.
    carried.catch(() => {})
    return { qemu: new TestQemu(theirs), carried }
  }
}

/** Waits until something is so; the time is the real one. */
export async function eventually(isSo: () => boolean, limitMs = 5000): Promise<void> {
  const deadline = systemClock.now() + limitMs
  while (!isSo()) {
    if (systemClock.now() > deadline) throw new Error(`it did not come to that: ${isSo.toString()}`)
    await systemClock.sleep(5)
  }
}
