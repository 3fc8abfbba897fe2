import type { Guest, MigrationMode, MigrationProgress, OutgoingMigration } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import {
  encodePrefixSet, SortedTable, type PageHasher, type PrefixSet, type PrefixTable,
} from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { asPagemeshError, describeError, type PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { deferred, withTimeout, type Deferred } from '../runtime/wait.ts'
import { addArrived, knownPages, listPages, orderOf, type ListedPages } from './inventory.ts'
import { LaneChannel } from './lanechannel.ts'
import type { SpentBytes } from './ledger.ts'
import { encodeOffer, requireAccepted, type HandoffOffer } from './offer.ts'
import {
  afterSwitchover, cancelled, cannotMove, destinationFailed, outOfTime, sourceFailed, sourceGone,
} from './outgoingerror.ts'
import { ProgressMeter } from './progressmeter.ts'
import { createRendezvous, type Rendezvous } from './rendezvous.ts'
import {
  addStream, failedResult, type HandoffEstimate, type HandoffPhase, type HandoffProgress, type HandoffResult,
} from './result.ts'
import { decodeReport, type IncomingReport } from './resultframe.ts'
import { Sender } from './sender.ts'
import { badFrame, FRAME_KINDS, frameName, HANDOFF_PROTOCOL, HANDOFF_VERSION, type FrameKind } from './wire.ts'

/** Every wait has a limit named after its phase, in ms. */
const LIMITS_MS = {
  offer: 8000,
  lane: 8000,
  bitmap: 60_000,
  /** From QEMU's order to migrate until it connects to us. */
  qemuConnect: 5000,
  /** From the source's end until the destination says that the guest may run. */
  result: 30_000,
  /** From a cancel until QEMU says that it gave up. */
  giveUp: 4000,
  /** From a failure until the other agent was told. */
  farewell: 500,
}

const PROGRESS_EVERY_MS = 250
const TERMINAL = new Set(['completed', 'failed', 'cancelled', 'none'])

export interface OutgoingComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  hasher: PageHasher
  /** What this host spent beside handoffs so far. */
  spent: () => SpentBytes
}

export interface OutgoingInit {
  guest: Guest
  /** Name of the destination host. */
  to: string
  mode: MigrationMode
  /** The guest's census, if it was scanned already; without it nothing but pages sent before become refs. */
  census: ListedPages | undefined
  /** Whether pages that travel whole are compressed. */
  compresses: boolean
  /** Where the rendezvous with QEMU is made. */
  directory: string
  /** Bytes a second on the wire; absent: as fast as it goes. */
  bytesPerSecondMax?: number
  downtimeMsMax?: number
  /** The handoff is given up if the guest has not switched over by then. */
  timeoutMs?: number
  /** Cancels; the guest goes on at the source. */
  signal: AbortSignal
  onProgress?: (progress: HandoffProgress) => void
}

/** The outgoing end of one handoff. Used once: `run`, or `estimate` for a dry run. */
export class Outgoing {
  readonly #components: OutgoingComponents
  readonly #init: OutgoingInit
  readonly #startedAt: number
  /** Rejects as soon as anything goes wrong; every wait races with it. */
  readonly #failure: Deferred<never> = deferred()
  readonly #bitmap: Deferred<Buffer> = deferred()
  readonly #completed: Deferred<void> = deferred()
  readonly #streamEnded: Deferred<void> = deferred()
  readonly #report: Deferred<IncomingReport> = deferred()
  readonly #meter: ProgressMeter
  #migration: OutgoingMigration | undefined
  #deadline: Timer | undefined
  #channel: LaneChannel | undefined
  #sender: Sender | undefined
  #rendezvous: Rendezvous | undefined
  /** What the guest holds, and what of it the destination has. */
  #census: { table: SortedTable; set: PrefixSet; atDestination: PrefixTable } | undefined
  #phase: HandoffPhase = 'preparing'
  /** From here on the guest lives at the destination: cancelling would lose it. */
  #isSwitchedOver = false
  #isDryRun = false
  #offerBytes = 0
  #answerBytes = 0
  #qemuSays: MigrationProgress | undefined

  constructor(components: OutgoingComponents, init: OutgoingInit) {
    this.#components = components
    this.#init = init
    this.#startedAt = components.clock.now()
    this.#meter = new ProgressMeter(components, {
      guest: init.guest.name, from: components.mesh.self.name, to: init.to, mode: init.mode,
    })
    if (init.signal.aborted) this.#cancel()
    else init.signal.addEventListener('abort', () => this.#cancel(), { once: true })
  }

  /** Moves the guest. Never rejects: what went wrong is in the result, and then the guest runs on at the source. */
  async run(): Promise<HandoffResult> {
    const { clock } = this.#components
    const poll = clock.every(PROGRESS_EVERY_MS, () => void this.#poll().catch(() => undefined))
    try {
      const { running } = await this.#prepare()
      this.#note('prepared')
      const { atDestination } = await this.#greet(running)
      this.#note('greeted')
      await this.#stream(atDestination)
      return await this.#finish()
    } catch (error) {
      return await this.#giveUp(asPagemeshError(error))
    } finally {
      poll.cancel()
      await this.#cleanUp()
    }
  }

  /** Asks the destination what it has, and moves nothing. Throws what would have failed the handoff. */
  async estimate(): Promise<HandoffEstimate> {
    this.#isDryRun = true
    try {
      const { running } = await this.#prepare()
      const { distinctPages, atDestination } = await this.#greet(running)
      const { guest, to, mode } = this.#init
      const from = this.#components.mesh.self.name
      return { guest: guest.name, from, to, mode, dryRun: true, distinctPages, pagesAtDestination: atDestination.size }
    } finally {
      await this.#cleanUp()
    }
  }

  async #prepare(): Promise<{ running: boolean }> {
    const { guest, mode, downtimeMsMax, timeoutMs, signal } = this.#init
    if (guest.openOutgoing === undefined) throw cannotMove(guest.name)
    if (timeoutMs !== undefined) {
      this.#deadline = this.#components.clock.after(timeoutMs, () => this.#runOutOfTime(timeoutMs))
    }
    const migration = await this.#until(guest.openOutgoing(signal))
    this.#migration = migration
    migration.onStatus((status) => this.#onQemuStatus(status))
    void migration.gone.then((cause) => this.#failure.reject(sourceGone(guest.name, this.#phase, cause)))
    const limits = downtimeMsMax === undefined ? {} : { maxDowntimeMs: downtimeMsMax }
    return await this.#until(migration.prepare({ mode, ...limits }))
  }

  /** Offers the guest, opens the lane, and learns what the destination has. */
  async #greet(running: boolean): Promise<{ distinctPages: number; atDestination: PrefixTable }> {
    const { mesh, clock } = this.#components
    const { to, guest, mode, bytesPerSecondMax } = this.#init
    const abort = new AbortController()
    try {
      const { ticket, lane } = mesh.offerLane(abort.signal)
      lane.catch(() => undefined)
      const offer = { version: HANDOFF_VERSION, guest: guest.name, mode, running, dryRun: this.#isDryRun, ticket }
      await this.#within('offer', this.#offer(offer, abort.signal), `${to} did not answer the offer of ${guest.name}.`)
      const connected = await this.#within('lane', lane, `${to} did not connect to this host's lane.`)
      this.#channel = new LaneChannel({ clock, lane: connected }, {
        bytesPerSecond: bytesPerSecondMax ?? Infinity,
        onFrame: (kind, body) => this.#onFrame(kind, body),
        onLost: (error) => this.#failure.reject(error),
      })
    } catch (error) {
      abort.abort(error)
      throw error
    }
    const census = this.#init.census ?? { table: SortedTable.empty(), numberAt: () => 0 }
    const { table } = census
    const set = listPages(table)
    void this.#channel.send(FRAME_KINDS.hello, Uint8Array.of(HANDOFF_VERSION))
    void this.#channel.send(FRAME_KINDS.census, encodePrefixSet(set))
    const bitmap = await this.#within('bitmap', this.#bitmap.promise, `${to} did not say which pages it has.`)
    const atDestination = knownPages(table, set, bitmap)
    this.#census = { table, set, atDestination }
    if (!this.#isDryRun) void this.#channel.send(FRAME_KINDS.order, orderOf(census, set, bitmap))
    return { distinctPages: table.size, atDestination }
  }

  async #offer(offer: HandoffOffer, signal: AbortSignal): Promise<void> {
    const { mesh } = this.#components
    const stream = await mesh.open(this.#init.to, HANDOFF_PROTOCOL, signal)
    try {
      const message = encodeOffer(offer)
      await stream.send(message, signal)
      this.#offerBytes = message.length
      const answer = await stream.receive(signal)
      this.#answerBytes = answer.length
      requireAccepted(answer, this.#init.to)
    } finally {
      await stream.close().catch(() => undefined)
    }
  }

  /** Lets QEMU write into the lane until it has nothing more to say. */
  async #stream(atDestination: PrefixTable): Promise<void> {
    const { clock, random, hasher, log } = this.#components
    const { directory, guest, mode } = this.#init
    const migration = this.#migration!
    const channel = this.#channel!
    this.#rendezvous = await createRendezvous({ clock, random }, { directory, owner: migration.owner })
    const { connection } = await this.#rendezvous.listen(this.#init.signal)
    await this.#until(migration.begin(this.#rendezvous.socketPath))
    const qemu = await this.#within('qemuConnect', connection, `The source QEMU of ${guest.name} did not connect.`)
    await this.#rendezvous.remove()
    this.#phase = 'precopy'
    this.#sender = new Sender({ clock, hasher, channel, qemu }, {
      atDestination,
      compresses: this.#init.compresses,
      onMark: (mark) => {
        if (mark === 'ramEnd' || mark === 'package') this.#phase = 'switchover'
        this.#note(mark)
      },
      onLost: (reason) => log.warn('QEMU stream not understood, passing it raw', { guest: guest.name, reason }),
      onEnd: () => this.#streamEnded.resolve(),
      onError: (error) => this.#failure.reject(error),
    })
    if (mode === 'postcopy') await this.#until(migration.startPostcopy())
    this.#note('connected')
    await this.#until(this.#streamEnded.promise)
    this.#note('stream ended')
    void channel.send(FRAME_KINDS.streamEnd)
    await this.#poll()
    await this.#until(this.#completed.promise)
  }

  /** The source gave the guest up: the destination may let it run. */
  async #finish(): Promise<HandoffResult> {
    const { clock } = this.#components
    this.#isSwitchedOver = true
    this.#phase = 'finishing'
    const completedAt = clock.now()
    void this.#channel!.send(FRAME_KINDS.completed)
    const report = await this.#within(
      'result', this.#report.promise, `${this.#init.to} did not confirm that ${this.#init.guest.name} runs there.`,
    )
    this.#note('confirmed')
    const releaseMs = this.#init.mode === 'precopy' ? clock.now() - completedAt : 0
    await this.#poll()
    const result = this.#result('completed', report)
    result.downtimeMs = (this.#qemuSays?.downtimeMs ?? 0) + Math.round(releaseMs)
    return result
  }

  #onFrame(kind: FrameKind, body: Buffer): void {
    if (kind === FRAME_KINDS.alive) return
    if (kind === FRAME_KINDS.failed) {
      this.#failure.reject(destinationFailed(this.#init.to, body.toString('utf8')))
    } else if (kind === FRAME_KINDS.bitmap && this.#sender === undefined) {
      this.#bitmap.resolve(body)
      if (this.#isDryRun) this.#channel?.complete()
    } else if (kind === FRAME_KINDS.result && this.#isSwitchedOver) {
      this.#report.resolve(decodeReport(body))
      this.#channel?.complete()
    } else if (kind === FRAME_KINDS.arrived && this.#census !== undefined) {
      addArrived(this.#census.atDestination, this.#census.table, this.#census.set, body)
    } else if (kind === FRAME_KINDS.ack && this.#sender !== undefined) this.#sender.acknowledge(body.readUInt32BE(0))
    else if (kind === FRAME_KINDS.returned && this.#sender !== undefined) this.#sender.giveBack(body)
    else if (kind === FRAME_KINDS.returnedEnd && this.#sender !== undefined) this.#sender.endReturn()
    else if (kind === FRAME_KINDS.missing && this.#sender !== undefined) {
      this.#sender.sendMissing(body).catch((error: unknown) => this.#failure.reject(error))
    } else throw badFrame(`${frameName(kind)} during ${this.#phase}`)
  }

  #onQemuStatus(status: string): void {
    if (status === 'postcopy-active') {
      this.#isSwitchedOver = true
      this.#phase = 'postcopy'
    }
    if (status === 'completed') this.#completed.resolve()
    if (status === 'failed' || status === 'cancelled' || status === 'postcopy-paused') void this.#qemuFailed(status)
  }

  async #qemuFailed(status: string): Promise<void> {
    // QEMU fails too when the other end did: give that news, which says more, the time to arrive.
    await this.#components.clock.sleep(300)
    const said = await this.#migration?.progress().catch(() => undefined)
    this.#failure.reject(sourceFailed(status, said?.error, this.#phase))
  }

  async #poll(): Promise<void> {
    if (this.#sender === undefined) return
    const said = await this.#migration!.progress()
    this.#qemuSays = said
    // The events say it first; a poll is for the ones that were lost.
    if (said.status === 'completed') this.#completed.resolve()
    const { streamBytes } = this.#sender.counts
    this.#init.onProgress?.(this.#meter.measure({
      phase: this.#phase, qemuBytes: streamBytes, wireBytes: this.#wireBytes,
      remainingBytes: said.remainingBytes, totalBytes: said.totalBytes,
    }))
  }

  #cancel(): void {
    if (!this.#isSwitchedOver) this.#failure.reject(cancelled(this.#phase))
  }

  #runOutOfTime(timeoutMs: number): void {
    if (!this.#isSwitchedOver) this.#failure.reject(outOfTime(timeoutMs, this.#phase))
  }

  /** Tells everyone, makes sure that the guest runs on here, and says what happened. */
  async #giveUp(error: PagemeshError): Promise<HandoffResult> {
    const { clock, log } = this.#components
    const { guest, to } = this.#init
    log.warn('handoff failed', { guest: guest.name, to, phase: this.#phase, reason: error.message })
    this.#sender?.stop()
    void this.#channel?.send(FRAME_KINDS.failed, Buffer.from(describeError(error).slice(0, 1000)))
    await Promise.race([this.#channel?.close(), clock.sleep(LIMITS_MS.farewell)])
    const status = this.#isSwitchedOver ? 'kept' : await this.#stopMigration()
    const result = this.#result(error.fault === 'cancelled' ? 'cancelled' : 'failed')
    result.code = error.code
    result.reason = describeError(error)
    if (status === 'completed' || this.#isSwitchedOver) result.reason += afterSwitchover(this.#init.mode, this.#init.to)
    return result
  }

  async #stopMigration(): Promise<string> {
    const { clock } = this.#components
    const migration = this.#migration
    if (migration === undefined || this.#rendezvous === undefined) return 'none'
    const deadline = clock.now() + LIMITS_MS.giveUp
    let status = 'unknown'
    try {
      await migration.cancel()
      while (clock.now() < deadline) {
        status = (await migration.progress()).status
        if (TERMINAL.has(status)) return status
        await clock.sleep(50)
      }
    } catch (error) {
      this.#components.log.warn('source QEMU does not answer', { reason: describeError(error) })
    }
    return status
  }

  #result(status: HandoffResult['status'], report?: IncomingReport): HandoffResult {
    const { guest, to, mode } = this.#init
    const counts = this.#sender?.counts
    const result = failedResult({ guest: guest.name, from: this.#components.mesh.self.name, to, mode })
    result.status = status
    result.totalMs = Math.round(this.#components.clock.now() - this.#startedAt)
    result.wireBytes = this.#wireBytes
    result.receivedWireBytes = (this.#channel?.receivedBytes ?? 0) + this.#answerBytes
    if (counts === undefined) return result
    const { literalWireBytes } = this.#sender!
    addStream(result, { counts, literalWireBytes, report, spent: this.#components.spent() })
    return result
  }

  /** For who looks where the time went. */
  #note(step: string): void {
    const elapsedMs = Math.round(this.#components.clock.now() - this.#startedAt)
    this.#components.log.debug('handoff step', { guest: this.#init.guest.name, step, elapsedMs })
  }

  get #wireBytes(): number {
    return (this.#channel?.sentBytes ?? 0) + this.#offerBytes
  }

  async #cleanUp(): Promise<void> {
    this.#deadline?.cancel()
    this.#sender?.stop()
    this.#channel?.destroy()
    await this.#rendezvous?.remove()
    await this.#migration?.close().catch(() => undefined)
  }

  /** Waits for `work`, unless the handoff fails meanwhile. */
  #until<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure.promise])
  }

  #within<T>(phase: keyof typeof LIMITS_MS, work: Promise<T>, message: string): Promise<T> {
    return this.#until(withTimeout(this.#components.clock, work, LIMITS_MS[phase], {
      phase, fault: 'peer', message: `${message.replace(/\.$/, '')} within ${LIMITS_MS[phase] / 1000} s.`,
      advice: 'See the log of the other agent.',
    }))
  }
}
