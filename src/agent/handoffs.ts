import type { Census } from '../census/index.ts'
import type { Reason } from '../conversation/index.ts'
import { areChannelsPossible, type Guest } from '../guest/index.ts'
import { decodeQuestion, encodeVerdict, type Outgoing } from '../handoff/index.ts'
import type { Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { PageScopes } from '../page/index.ts'
import type { CompressionMode, PassageThreads } from '../passage/index.ts'
import type { Holders, Keeper } from '../placement/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Possession } from '../possession/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { Store } from '../store/index.ts'
import type { Swap } from '../swap/index.ts'
import {
  failedResult, type HandoffEstimate, type HandoffMeasure, type HandoffProgress, type HandoffResult,
  type PublicPages,
} from '../transfer/index.ts'
import { Absences } from './absence.ts'
import type { AcceptRule } from './acceptance.ts'
import type {
  CancelOutcome, Handoff, HeldGuest, MigrateRequest, RecoverRequest, SettleDecision, SettleOutcome,
} from './api.ts'
import type { Audit } from './audit.ts'
import { Departures } from './departures.ts'
import { keepDeparted } from './farewell.ts'
import { Foresight } from './foresight.ts'
import { notOwn, requireOwn, type GuestList } from './guestlist.ts'
import type { History } from './history.ts'
import { IncomingHandoffs, notHeld } from './incominghandoffs.ts'
import type { Journal } from './journal.ts'
import {
  alreadyMoving, cancelled, channelsImpossible, evacuating, failure, Leaving, noHandoff, NOTHING_YET, nothingToRecover,
  undecided, withProgress,
} from './leaving.ts'
import { spentOf, trafficOf } from './ledger.ts'
import { OutgoingHandoffs, preparedModeOf } from './outgoinghandoffs.ts'
import { createPeerPages, noPeerPages } from './peerpages.ts'
import { ProgressMeter } from './progressmeter.ts'
import { publicAmong, type PublicSamples } from './publicsamples.ts'
import { standBack } from './standback.ts'
import type { AgentStatus } from './status.ts'
import { readUnsettled } from './unsettled.ts'

/** How long handoffs may take to come to an end when the agent stops. */
const STOP_MS_MAX = 8000
/** Below `TimeoutStopSec` of the service. */
const POSTCOPY_MS_MAX = 600_000
const STOPPED: Reason = {
  code: 'agent-stopped', fault: 'cancelled', message: 'The agent at the source was stopped.',
}

export interface HandoffSwitches {
  /** Outgoing: pages that the destination already has are sent as references. */
  references: boolean
  /** Incoming: pages are also fetched from hosts other than the source. */
  peers: boolean
  /** Outgoing: whether pages sent whole are compressed. */
  compression: CompressionMode
  /** Guests that may leave at once, and as many that may come. */
  parallel: number
}

export interface HandoffsComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  census: Census
  popularity: Popularity
  possession: Possession
  store: Store
  keeper: Keeper
  holders: Holders
  swap: Swap
  guests: GuestList
  scopes: PageScopes
  publicPages: PublicPages
  publicSamples: PublicSamples
  threads: PassageThreads
  history: History
  journal: Journal
  audit: Pick<Audit, 'note'>
}

/** The handoffs of this host, in both directions: one per guest. */
export class Handoffs {
  readonly #components: HandoffsComponents
  readonly #outgoing: OutgoingHandoffs
  readonly #incoming: IncomingHandoffs
  readonly #departures: Departures
  readonly #foresight: Foresight
  readonly #leaving = new Map<string, Leaving>()
  readonly #absences: Absences
  /** Guests leave this host for others, and none may come. */
  isEvacuating = false
  /** Nothing begins any more. */
  #isStopping = false
  readonly traffic = { sentBytes: 0, receivedBytes: 0 }
  /** Bytes saved by completed handoffs in both directions, compared with QEMU's own migration. */
  savedBytes = 0

  constructor(
    components: HandoffsComponents,
    init: { directory: string; switches: HandoffSwitches; accept?: readonly AcceptRule[] | undefined },
  ) {
    const { directory, switches, accept } = init
    this.#components = components
    this.#absences = new Absences(components)
    this.#departures = new Departures(components, switches)
    this.#foresight = new Foresight(components, switches)
    const shared = {
      ...components, spent: () => spentOf(trafficOf(components)), standBack: () => standBack(components),
      peers: switches.peers ? createPeerPages(components) : noPeerPages,
    }
    this.#outgoing = new OutgoingHandoffs(shared, {
      directory, references: switches.references, compression: switches.compression,
    })
    this.#incoming = new IncomingHandoffs(shared, {
      directory, accept, parallel: switches.parallel,
      onRested: (incoming) => {
        this.#count(incoming.traffic)
        this.savedBytes += incoming.savedBytes
      },
    })
  }

  /** Resumes the handoffs that an earlier agent process left unsettled. */
  async start(): Promise<void> {
    const { journal, log } = this.#components
    for (const { id, record } of await journal.all()) {
      const read = readUnsettled(record)
      if (read === undefined) log.warn('a record of a handoff cannot be read', { id })
      else if (read.role === 'outgoing') this.#outgoing.adopt(id, read)
      else this.#incoming.adopt(id, read)
    }
  }

  migrate(request: MigrateRequest): Handoff {
    return withProgress((onProgress) => this.#migrate(request, onProgress))
  }

  recover({ guest, signal }: RecoverRequest): Handoff {
    return withProgress(async (onProgress) => {
      const outgoing = this.#outgoing.cut(guest)
      const request = { guest, to: outgoing?.init.to ?? '', mode: 'postcopy' as const }
      if (outgoing === undefined) {
        return failure(this.#about(request), notOwn(this.#components.guests.find(guest)) ?? nothingToRecover(guest))
      }
      return await this.#move({ ...request, ...(signal === undefined ? {} : { signal }) }, onProgress,
        async (leaving) => await this.#run(leaving, outgoing))
    })
  }

  /** Only the pages that the destination has; with `isWhole`, also what a handoff would come to. */
  async estimate(request: MigrateRequest, isWhole = false): Promise<HandoffEstimate> {
    let estimate: HandoffEstimate | undefined
    await this.#leave(request, () => {}, async (leaving) => {
      leaving.isDryRun = true
      const guest = await this.#requireReady(request, leaving.signal)
      // A dry run ends at once: it needs no progress.
      const outgoing = this.#outgoing.create(request, 'dryRun', () => {})
      leaving.follow(outgoing)
      try {
        estimate = await outgoing.estimate()
      } finally {
        this.#outgoing.rested(outgoing)
      }
      const { findings } = outgoing
      estimate = await publicAmong(this.#components, findings, estimate, leaving.signal)
      if (!isWhole) return undefined
      const foreseen = await this.#foresight.look(request, guest.memory, findings, leaving.signal)
      estimate = {
        ...estimate, ...foreseen, mode: request.mode ?? 'precopy',
        obstacles: [...this.#departures.obstacles(request), ...foreseen.obstacles],
      }
      return undefined
    })
    return estimate!
  }

  async cancel(guestName: string): Promise<CancelOutcome> {
    const leaving = this.#leaving.get(guestName)
    if (leaving === undefined) {
      throw notOwn(this.#components.guests.find(guestName)) ?? noHandoff(guestName)
    }
    leaving.cancel(cancelled())
    const result = await leaving.done ?? failedResult(leaving.progress)
    const { status } = result
    return { status: status === 'completed' ? 'too-late' : status, result }
  }

  /** Receives a guest that a member offers. Resolves when that handoff has ended or waits for news. */
  async receive(stream: MessageStream, from: Member): Promise<void> {
    await this.#incoming.receive(stream, from, (guest) => {
      if (this.isEvacuating) throw evacuating(this.#components.mesh.self.name)
      this.#requireFree(guest, 'peer')
    })
    await this.#components.guests.refresh()
  }

  /** Answers a destination's question about the source's copy of a guest that left here. */
  async answer(stream: MessageStream, from: Member): Promise<void> {
    const { id, copy } = decodeQuestion(await stream.receive())
    await stream.send(encodeVerdict(await this.#outgoing.asked(id, copy, from)))
  }

  held(guest: string): HeldGuest {
    const held = this.allHeld().find((one) => one.guest === guest)
    if (held !== undefined) return held
    throw notOwn(this.#components.guests.find(guest)) ?? notHeld(guest)
  }

  allHeld(): HeldGuest[] {
    return this.#incoming.allHeld()
  }

  async settle(guest: string, decision: SettleDecision): Promise<SettleOutcome> {
    this.held(guest)
    const outcome = await this.#incoming.settle(guest, decision)
    await this.#components.guests.refresh()
    return outcome
  }

  /** The error of a guest that comes, or has left and may not have arrived; undefined for any other. */
  unsettled(name: string): PagemeshError | undefined {
    if (this.list().some(({ guest, direction }) => guest === name && direction === 'incoming')) {
      return alreadyMoving(name, 'usage')
    }
    return this.#outgoing.unsettled().includes(name) || this.#isHeld(name) ? undecided(name) : undefined
  }

  /** Guests that left here and do not move any more, whose arrival is not confirmed: this agent answers for them. */
  allUnsettled(): string[] {
    return this.#outgoing.unsettled().filter((name) => !this.#leaving.has(name))
  }

  #isHeld(name: string): boolean {
    return this.allHeld().some(({ guest }) => guest === name)
  }

  /** Number of members' offers that were refused. */
  get refusedOffers(): number {
    return this.#incoming.refusedOffers
  }

  list(): AgentStatus['handoffs'] {
    const outgoing = [...this.#leaving.values()].filter(({ isDryRun }) => !isDryRun)
      .map(({ progress }) => ({ direction: 'outgoing' as const, driver: 'qmp' as const, ...progress }))
    const incoming = this.#incoming.running().filter(({ init }) => init.plan.kind !== 'dryRun')
      .map(({ status }) => ({ direction: 'incoming' as const, driver: 'qmp' as const, ...status }))
    return [...outgoing, ...incoming]
  }

  /**
   * Asks outgoing handoffs to end, breaks off incoming ones that are not whole, and waits for both. A guest in
   * post-copy may arrive first: cut off, it would stand still.
   */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#absences.stop()
    for (const leaving of this.#leaving.values()) leaving.cancel(STOPPED)
    await this.#untilServed()
    const isOver = new AbortController()
    // Aborted once both have stopped.
    const patience = this.#components.clock.sleep(STOP_MS_MAX, isOver.signal).catch(() => undefined)
    await Promise.all([
      this.#outgoing.stop(STOPPED, patience),
      this.#incoming.stop({ ...STOPPED, message: 'The agent at the destination was stopped.' }, patience),
    ])
    isOver.abort()
  }

  /** Resolves when no guest is in post-copy here any more, or after `POSTCOPY_MS_MAX`. */
  async #untilServed(): Promise<void> {
    const { clock, log } = this.#components
    const serving = [...this.#outgoing.serving(), ...this.#incoming.serving()]
    if (serving.length === 0) return
    const guests = serving.map(({ init }) => init.guest)
    log.warn('guests in post-copy may arrive before the agent stops; another signal breaks them off', { guests })
    // Aborted once all have arrived.
    const isOver = new AbortController()
    await Promise.race([
      Promise.all(serving.map((each) => each.rested())),
      // It ends by the abort as well.
      clock.sleep(POSTCOPY_MS_MAX, isOver.signal).catch(() => undefined),
    ])
    isOver.abort()
  }

  async #migrate(request: MigrateRequest, onProgress: (progress: HandoffProgress) => void): Promise<HandoffResult> {
    let guest: Guest | undefined
    const result = await this.#move(request, onProgress, async (leaving, onMeasure) =>
      await this.#departures.run(request, leaving, async () => {
        guest = await this.#requireReady(request, leaving.signal)
        return await this.#run(leaving, this.#outgoing.create(request, 'move', onMeasure))
      }))
    if (result.status === 'completed' && guest !== undefined) await keepDeparted(this.#components, guest)
    return result
  }

  /** Runs an outgoing end until it rests. */
  async #run(leaving: Leaving, outgoing: Outgoing): Promise<HandoffResult> {
    const running = outgoing.run()
    leaving.follow(outgoing)
    const result = await running
    this.#outgoing.rested(outgoing)
    return result
  }

  /** Counts the result of `work`, and writes it down. Never rejects. */
  async #move(
    request: MigrateRequest, onProgress: (progress: HandoffProgress) => void,
    work: (leaving: Leaving, onMeasure: (measure: HandoffMeasure) => void) => Promise<HandoffResult>,
  ): Promise<HandoffResult> {
    const { history, guests } = this.#components
    let result: HandoffResult
    try {
      result = await this.#leave(request, onProgress, work) ?? failedResult(this.#about(request))
    } catch (error) {
      result = failure(this.#about(request), asPagemeshError(error))
    }
    this.#count({ sentBytes: result.wireBytes, receivedBytes: result.receivedWireBytes })
    if (result.status === 'completed') {
      this.savedBytes += result.qemuBytes - result.wireBytes - result.receivedWireBytes
    }
    await history.add(result, { direction: 'outgoing' })
    await guests.refresh()
    return result
  }

  /** Marks the guest as leaving while `work` runs: a guest takes part in one handoff at a time. */
  async #leave(
    request: MigrateRequest, onProgress: (progress: HandoffProgress) => void,
    work: (leaving: Leaving, onMeasure: (measure: HandoffMeasure) => void) => Promise<HandoffResult | undefined>,
  ): Promise<HandoffResult | undefined> {
    const { guest: name, to, channels, signal } = request
    if (!areChannelsPossible({ ...request, mode: preparedModeOf(request) })) throw channelsImpossible(name, channels!)
    if (this.#isStopping) throw new PagemeshError(STOPPED.code, STOPPED.message, { fault: STOPPED.fault })
    this.#requireFree(name, 'usage')
    if (to === this.#components.mesh.self.name) {
      throw new PagemeshError('same-host', `${to} is this host.`, {
        fault: 'usage', advice: 'Name another one: `pagemesh status` lists them.',
      })
    }
    const about = this.#about(request)
    const meter = new ProgressMeter(this.#components, about)
    const leaving = new Leaving(meter.measure(NOTHING_YET), onProgress)
    this.#leaving.set(name, leaving)
    const working = work(leaving, (measure) => leaving.show(meter.measure(measure)))
    // `cancel` reads the result here; the caller of `work` gets the error.
    leaving.done = working.catch((error: unknown) => failure(about, asPagemeshError(error)))
    const abort = (): void => leaving.cancel(cancelled())
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) abort()
    try {
      return await working
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#leaving.delete(name)
    }
  }

  /** The guest, once its destination is in the mesh. */
  async #requireReady({ guest: name, to }: MigrateRequest, signal: AbortSignal): Promise<Guest> {
    const { mesh, guests } = this.#components
    if (this.#outgoing.isUndecided(name) || this.#isHeld(name)) throw undecided(name)
    const guest = await guests.require(name)
    requireOwn(guest)
    const member = await this.#absences.find(to, signal)
    signal.throwIfAborted()
    if (member !== undefined) return guest
    const names = mesh.members().map((member) => member.name).join(', ')
    throw new PagemeshError('host-unknown', `No host named ${to} is in the mesh.`, {
      fault: 'usage', phase: 'preparing',
      advice: names === ''
        ? 'This host sees no other at all: check `bootstrap` and the cluster key.' : `This host sees: ${names}.`,
    })
  }

  #requireFree(name: string, fault: 'usage' | 'peer'): void {
    if (!this.#leaving.has(name) && !this.#incoming.isExpected(name)) return
    throw alreadyMoving(name, fault)
  }

  #count(bytes: { sentBytes: number; receivedBytes: number }): void {
    this.traffic.sentBytes += bytes.sentBytes
    this.traffic.receivedBytes += bytes.receivedBytes
  }

  #about({ guest, to, mode }: MigrateRequest): Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'> {
    return { guest, from: this.#components.mesh.self.name, to, mode: mode ?? 'precopy' }
  }
}
