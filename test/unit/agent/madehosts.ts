/** The handoffs of hosts over a mesh in memory, at a time that a test moves on, without all else that an agent has. */
import type { AcceptRule } from '../../../src/agent/acceptance.ts'
import type { AuditEvent } from '../../../src/agent/audit.ts'
import { GuestList } from '../../../src/agent/guestlist.ts'
import { Handoffs, type HandoffsComponents } from '../../../src/agent/handoffs.ts'
import type { HandoffRecord } from '../../../src/agent/index.ts'
import type { Guest } from '../../../src/guest/index.ts'
import { HANDOFF_PROTOCOL, OUTCOME_PROTOCOL } from '../../../src/handoff/index.ts'
import { MemoryNetwork, type Mesh } from '../../../src/mesh/index.ts'
import type { PageSource } from '../../../src/page/index.ts'
import { PassageThreads } from '../../../src/passage/index.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import type { HandoffResult } from '../../../src/transfer/index.ts'
import { NOTHING_PUBLIC } from '../../support/bothends.ts'
import { hasher } from '../../support/madepages.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

const TRAFFIC = { sentBytes: 0, receivedBytes: 0 }
const NO_SOURCE: PageSource = { kind: 'resident', fill: async () => {} }

/** What survives an agent: its journal, its guests and its configuration. */
export interface Kept {
  records: Map<string, unknown>
  guests: Guest[]
  accept?: AcceptRule[]
  /** `handoff.parallel`. */
  parallel?: number
  /** What the journal cannot be written with. */
  unwritable?: Error
}

export class Hosts {
  readonly clock = new VirtualClock()
  readonly network = new MemoryNetwork({ clock: this.clock })
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  async start(name: string, kept: Kept = { records: new Map(), guests: [] }): Promise<Host> {
    const host = new Host(this, name, kept)
    await host.start()
    return host
  }

  /** Lets so much time pass, and everything that follows from it happen. */
  async wait(ms = 0): Promise<void> {
    await rest()
    await this.clock.run(this.clock.now() + ms)
    await rest()
  }
}

/** Waits until nothing is on its way, on files and sockets either: virtual time must not run ahead of those. */
async function rest(): Promise<void> {
  do await settle(20)
  while (process.getActiveResourcesInfo().some((kind) => /^(FS|Close|Connect|Write|Shutdown)/.test(kind)))
}

export class Host {
  readonly name: string
  readonly mesh: Mesh
  readonly handoffs: Handoffs
  readonly kept: Kept
  readonly history: Pick<HandoffRecord, 'direction' | 'status' | 'code'>[] = []
  readonly warnings: string[] = []
  readonly audited: AuditEvent[] = []
  /** Parts that stand back now. */
  standing = 0

  constructor({ clock, network, directory }: Hosts, name: string, kept: Kept) {
    this.name = name
    this.kept = kept
    this.mesh = network.createMesh(name)
    const log: Log = { ...silentLog, warn: (message) => { this.warnings.push(message) } }
    const standBack = () => {
      this.standing += 1
      return () => { this.standing -= 1 }
    }
    const census = {
      standBack, of: () => undefined, has: () => false, resident: NO_SOURCE, add() {}, remove() {}, arrived() {},
    }
    const discovery = {
      guests: () => kept.guests, unusable: () => [], refresh: async () => {}, onChange: () => () => {},
    }
    const popularity = { standBack, traffic: { report: TRAFFIC, view: TRAFFIC }, view: {} }
    const threads = new PassageThreads({ log }, { count: 0 })
    const parts = {
      clock, log, random: systemRandom, mesh: this.mesh, scopes: madeScopes(hasher.pageKey), threads, census,
      publicPages: NOTHING_PUBLIC,
      popularity,
      store: { has: () => false, source: NO_SOURCE }, keeper: { standBack },
      possession: { traffic: TRAFFIC },
      swap: { standBack, traffic: { placement: TRAFFIC, handoff: TRAFFIC } },
      guests: new GuestList({ discovery, census } as unknown as ConstructorParameters<typeof GuestList>[0]),
      history: {
        list: () => [],
        add: async ({ status, code }: HandoffResult, { direction }: Pick<HandoffRecord, 'direction'>) => {
          this.history.push({ direction, status, ...(code === undefined ? {} : { code }) })
        },
      },
      audit: { note: (event: AuditEvent) => { this.audited.push(event) } },
      journal: {
        write: async (id: string, record: object) => {
          if (kept.unwritable !== undefined) throw kept.unwritable
          kept.records.set(id, JSON.parse(JSON.stringify(record)))
        },
        remove: async (id: string) => { kept.records.delete(id) },
        all: async () => [...kept.records].map(([id, record]) => ({ id, record })),
      },
    } as unknown as HandoffsComponents
    this.handoffs = new Handoffs(parts, {
      directory, switches: { references: true, peers: false, compression: 'never', parallel: kept.parallel ?? 16 },
      accept: kept.accept,
    })
  }

  async start(): Promise<void> {
    await this.mesh.start()
    this.mesh.handle(HANDOFF_PROTOCOL, (stream, from) => this.handoffs.receive(stream, from))
    this.mesh.handle(OUTCOME_PROTOCOL, (stream, from) => this.handoffs.answer(stream, from))
    await this.handoffs.start()
  }

  /** What is written down, as one word each. */
  get recorded(): string[] {
    return [...this.kept.records.values()].map((record) => (record as { as: string }).as)
  }

  /** Its agent is killed: nothing is said or put back any more. */
  async kill(): Promise<Kept> {
    // What it would still write is another agent's affair from now on.
    const kept: Kept = { records: new Map(this.kept.records), guests: this.kept.guests }
    this.kept.unwritable = new Error('killed')
    await this.mesh.stop()
    return kept
  }
}
