/** Both ends of a handoff over a mesh in memory, at a time that a test moves on, with drivers that it plays. */
import type { CopyNews, RunState } from '../../src/conversation/conversation.ts'
import type { IncomingEnding, IncomingPlan } from '../../src/conversation/incomingstate.ts'
import type { DriverNews } from '../../src/guest/index.ts'
import { Incoming } from '../../src/handoff/incoming.ts'
import type { IncomingInit } from '../../src/handoff/incominginit.ts'
import {
  decodeOffer, decodeQuestion, encodeVerdict, HANDOFF_PROTOCOL, OUTCOME_PROTOCOL, type HandoffOffer,
} from '../../src/handoff/messages.ts'
import { Outgoing } from '../../src/handoff/outgoing.ts'
import type { OutgoingInit } from '../../src/handoff/outgoinginit.ts'
import { MemoryNetwork, type Mesh } from '../../src/mesh/index.ts'
import { PageBudget, type PageScopes, type PageSource } from '../../src/page/index.ts'
import { PassageThreads } from '../../src/passage/index.ts'
import { silentLog, type Log, type LogFields } from '../../src/runtime/log.ts'
import type { PeerPages } from '../../src/swap/index.ts'
import type { HandoffMeasure, HandoffResult, PublicPages } from '../../src/transfer/index.ts'
import { PlayedDestination, PlayedSource, type PlayedDriver } from '../unit/handoff/playeddrivers.ts'
import { hasher } from './madepages.ts'
import { madeScopes } from './madescopes.ts'
import { settle, until } from './passagerelay.ts'
import { precopyStream } from './streambuilder.ts'
import { VirtualClock } from './time.ts'

export const ID = 'ab'.repeat(16)
export const SPENT = { report: 1, gossip: 2, swap: 3 }
/** A guest of a few pages as QEMU writes it. */
export const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [undefined, undefined, undefined] }]).bytes)

/** Nobody else has anything. */
export const NO_PEERS: PeerPages = {
  receivedBytes: 0,
  among: () => ({ count: 0, high: new Uint32Array(0), low: new Uint32Array(0), indices: new Uint32Array(0) }),
  fetch: async () => undefined,
}

/** The destination has no public page. */
export const NOTHING_PUBLIC: PublicPages = {
  areThere: false, list: async () => ({ bits: 40, prefixes: new Float64Array(0) }),
}

export interface EndsOptions {
  mode?: 'precopy' | 'postcopy'
  plan?: 'move' | 'dryRun'
  outgoing?: Partial<OutgoingInit>
  incoming?: Partial<IncomingInit>
  peers?: PeerPages
  /** The page keys of both hosts; by default the same, with one tenant. */
  scopes?: { a: PageScopes; b: PageScopes }
  /** One of the agents is of a version without tenants: its offer and its answer say nothing of them. */
  isOld?: boolean
  /** One of the agents is of a version with tenants, and says nothing of public pages. */
  speaks?: 'tenants'
  /** The destination's public pages. */
  publicPages?: PublicPages
  /** Where the destination's host has pages. */
  sources?: readonly PageSource[]
}

/** A handoff of `web` from a to b. Nothing happens before the test says so. */
export class Ends {
  readonly clock = new VirtualClock()
  readonly network = new MemoryNetwork({ clock: this.clock })
  readonly meshes: { a: Mesh; b: Mesh } = { a: this.network.createMesh('a'), b: this.network.createMesh('b') }
  readonly source = new PlayedSource('running')
  readonly destination = new PlayedDestination('paused')
  /** What either host wrote down, and what it forgot. */
  readonly written: { a: string[]; b: string[] } = { a: [], b: [] }
  /** Who stands back now. */
  readonly standing: { a: number; b: number } = { a: 0, b: 0 }
  /** How often either host heard that QEMU's settings were put back. */
  readonly closed: { a: number; b: number } = { a: 0, b: 0 }
  /** What an operator reads in the logs of both. */
  readonly logged: { message: string; fields: LogFields | undefined }[] = []
  /** Memory for what comes from other hosts. */
  readonly budget = new PageBudget(1000)
  /** What the source's host offered, and what it was asked. */
  readonly offers: HandoffOffer[] = []
  readonly questions: CopyNews[] = []
  readonly measures: HandoffMeasure[] = []
  readonly amended: HandoffResult[] = []
  readonly delivered: IncomingEnding[] = []
  readonly outgoing: Outgoing
  readonly incoming: Incoming
  readonly #mode: 'precopy' | 'postcopy'

  constructor(options: EndsOptions = {}) {
    const { mode = 'precopy', plan = 'move', peers = NO_PEERS, sources = [] } = options
    this.#mode = mode
    const about = { id: ID, guest: 'web', mode }
    const note = (message: string, fields?: LogFields): void => { this.logged.push({ message, fields }) }
    const log: Log = { ...silentLog, info: note, warn: note }
    const threads = new PassageThreads({ log }, { count: 0 })
    const own = madeScopes(hasher.pageKey)
    const { scopes = { a: own, b: own } } = options
    const common = { clock: this.clock, log, threads, spent: () => SPENT }
    this.outgoing = new Outgoing({ ...common, scopes: scopes.a, mesh: this.meshes.a }, {
      ...about, to: 'b', plan: plan === 'move' ? { kind: 'move', mode } : { kind: 'dryRun' }, census: undefined,
      scope: scopes.a.of('web'),
      compression: 'never', onAmended: (result) => this.amended.push(result),
      onMeasure: (measure) => this.measures.push(measure), createDriver: (onNews) => this.#play(this.source, onNews),
      ...this.#notes('a'), ...options.outgoing,
    })
    const incomingPlan: IncomingPlan = plan === 'move' ? { kind: 'move', mode } : { kind: 'dryRun' }
    this.incoming = new Incoming({
      ...common, scopes: scopes.b, mesh: this.meshes.b, sources, peers, budget: this.budget,
      publicPages: options.publicPages ?? NOTHING_PUBLIC,
    }, {
      ...about, from: 'a', plan: incomingPlan, has: () => false, isPrivate: () => false,
      onDelivered: (ending) => this.delivered.push(ending), onDismissed: () => {},
      createDriver: (onNews) => this.#play(this.destination, onNews), ...this.#notes('b'), ...options.incoming,
    })
    this.meshes.b.handle(HANDOFF_PROTOCOL, async (stream, from) => {
      const offer = decodeOffer(await stream.receive())
      this.offers.push(offer)
      if (options.isOld === true) delete offer.pages
      if (options.speaks === 'tenants') delete offer.pages?.public
      await this.incoming.run(offer, stream, from)
    })
    this.meshes.a.handle(OUTCOME_PROTOCOL, async (stream) => {
      const { copy } = decodeQuestion(await stream.receive())
      this.questions.push(copy)
      await stream.send(encodeVerdict(await this.outgoing.asked(copy)))
    })
  }

  async start(): Promise<this> {
    await this.meshes.a.start()
    await this.meshes.b.start()
    return this
  }

  /** Runs until the source's stream could begin; the result comes when it does. */
  async move(): Promise<{ result: Promise<HandoffResult> }> {
    await this.start()
    const result = this.outgoing.run()
    await until(() => this.incoming.state.at === 'loading' && this.destination.qemu !== undefined)
    return { result }
  }

  /** The source QEMU writes everything, and the destination's has it. */
  async send(stream: Uint8Array = STREAM): Promise<void> {
    this.source.qemu!.write(stream)
    await until(() => this.destination.qemu!.received.equals(stream))
    await this.wait()
  }

  /** As far as a whole copy that the source has not given up. */
  async load(): Promise<{ result: Promise<HandoffResult> }> {
    const moving = await this.move()
    await this.send()
    this.destination.become('completed')
    await until(() => this.incoming.state.at === 'loaded')
    await this.wait()
    return moving
  }

  /** As far as a post-copy whose guest runs at the destination. */
  async serve(stream: Uint8Array): Promise<{ result: Promise<HandoffResult> }> {
    const moving = await this.move()
    this.source.become('postcopy-active')
    await this.send(stream)
    await until(() => this.incoming.state.at === 'serving' && this.outgoing.state.at === 'serving')
    return moving
  }

  /** The connections are lost, and what was on its way with them. */
  async cut(): Promise<void> {
    this.network.cutLanes()
    await this.wait()
  }

  /** Lets so much time pass, and everything that follows from it happen. */
  async wait(ms = 0): Promise<void> {
    await settle(20)
    await this.clock.run(this.clock.now() + ms)
    await settle(20)
  }

  get mode(): 'precopy' | 'postcopy' {
    return this.#mode
  }

  #play<Played extends PlayedDriver>(driver: Played, onNews: (news: DriverNews) => void): Played {
    driver.tell = onNews
    return driver
  }

  #notes(host: 'a' | 'b') {
    return {
      record: async (as: string, runState: RunState) => { this.written[host].push(`${as} ${runState}`) },
      forget: async () => { this.written[host].push('forget') },
      onClosed: async () => { this.closed[host] += 1 },
      standBack: () => {
        this.standing[host] += 1
        return () => { this.standing[host] -= 1 }
      },
    }
  }
}
