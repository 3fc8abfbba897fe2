import type { Socket } from 'node:net'

import type { Guest, IncomingMigration } from '../guest/index.ts'
import type { Lane, Member, Mesh, MessageStream } from '../mesh/index.ts'
import { decodePrefixSet, type PageHasher, type PageSource, type PrefixSet } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { deferred, withTimeout, type Deferred } from '../runtime/wait.ts'
import { answerPages } from './inventory.ts'
import { LaneChannel } from './lanechannel.ts'
import { decodeOffer, encodeAnswer, type HandoffOffer } from './offer.ts'
import type { SpentBytes } from './ledger.ts'
import { askOutcome } from './outcome.ts'
import type { PageBudget } from './pagebudget.ts'
import { Receiver } from './receiver.ts'
import { Prefetch, type PeerPages } from './prefetch.ts'
import { createRendezvous, type Rendezvous } from './rendezvous.ts'
import { encodeReport } from './resultframe.ts'
import { badFrame, FRAME_KINDS, frameName, HANDOFF_VERSION, type FrameKind } from './wire.ts'

const LIMITS_MS = { offer: 5000, lane: 5000, census: 60_000, qemuListen: 5000 }
/** From a failure until the other agent was told. */
const FAREWELL_MS = 500

export interface IncomingComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  hasher: PageHasher
  /** Where refs are filled from, nearest first; what they fill is verified here. */
  sources: readonly PageSource[]
  /** Other hosts, asked for what is missing here while the stream runs. */
  peers: PeerPages
  /** Memory for what they give. */
  budget: PageBudget
  /** What this host spent beside handoffs so far. */
  spent: () => SpentBytes
}

export interface IncomingInit {
  /** Finds the guest of this name that waits here; throws PagemeshError with the reason if none does. */
  waitingGuest: (name: string) => Promise<Guest>
  /** Whether this host has a page whose id begins with these bits. */
  has: (prefixHigh: number, prefixLow: number, prefixBits: number) => boolean
  directory: string
  /** The agent stops: what runs is broken off. */
  signal: AbortSignal
}

/** What stands for a running incoming handoff in `status`. */
export interface IncomingStatus {
  guest: string
  from: string
  phase: 'greeting' | 'streaming' | 'loaded' | 'released'
  streamBytes: number
}

/** The incoming end of one handoff. Used once: `run`. */
export class Incoming {
  readonly #components: IncomingComponents
  readonly #init: IncomingInit
  readonly #from: Member
  readonly #failure: Deferred<never> = deferred()
  readonly #census: Deferred<Buffer> = deferred()
  readonly #streamEnded: Deferred<void> = deferred()
  readonly #completed: Deferred<void> = deferred()
  readonly #abort = new AbortController()
  readonly #prefetch: Prefetch
  #guestName = ''
  #migration: IncomingMigration | undefined
  #channel: LaneChannel | undefined
  #rendezvous: Rendezvous | undefined
  #qemu: Socket | undefined
  #receiver: Receiver | undefined
  /** What the source listed and this host said of it, until the source says in which order it comes. */
  #answered: { census: PrefixSet; bitmap: Uint8Array } | undefined
  #phase: IncomingStatus['phase'] = 'greeting'

  constructor(components: IncomingComponents, init: IncomingInit, from: Member) {
    this.#components = components
    this.#init = init
    this.#from = from
    this.#prefetch = new Prefetch(components, {
      tell: (numbers) => void this.#channel!.send(FRAME_KINDS.arrived, numbers),
    })
    init.signal.addEventListener('abort', this.#onAgentStops)
  }

  readonly #onAgentStops = (): void => {
    this.#failure.reject(new PagemeshError('agent-stopped', 'The agent at the destination was stopped.', {
      fault: 'host', phase: 'handoff',
    }))
  }

  get status(): IncomingStatus {
    return {
      guest: this.#guestName,
      from: this.#from.name,
      phase: this.#phase,
      streamBytes: this.#receiver?.streamBytes ?? 0,
    }
  }

  /** Bytes on the wire so far. */
  get traffic(): { sentBytes: number; receivedBytes: number } {
    return { sentBytes: this.#channel?.sentBytes ?? 0, receivedBytes: this.#channel?.receivedBytes ?? 0 }
  }

  /** Bytes that the guest came without: what its QEMU took, less what was on the wire. 0 while it is not here. */
  get savedBytes(): number {
    if (this.#phase !== 'released') return 0
    const { sentBytes, receivedBytes } = this.traffic
    return this.#receiver!.streamBytes - sentBytes - receivedBytes
  }

  /** Takes the guest that `stream` offers. Never rejects: failures are told to the other end and logged. */
  async run(stream: MessageStream): Promise<void> {
    let offer: HandoffOffer | undefined
    try {
      offer = await this.#accept(stream)
      await this.#greet(offer)
      if (!offer.dryRun) await this.#load(offer)
      await this.#channel!.close()
    } catch (error) {
      await this.#giveUp(asPagemeshError(error), offer)
    } finally {
      await this.#cleanUp()
    }
  }

  /** Answers the offer; a refusal goes to the other end with its reason. */
  async #accept(stream: MessageStream): Promise<HandoffOffer> {
    const { clock } = this.#components
    try {
      const offer = decodeOffer(await withTimeout(clock, stream.receive(), LIMITS_MS.offer, {
        phase: 'offer', fault: 'peer', message: 'An offer was begun but never made.',
      }))
      this.#guestName = offer.guest
      const guest = await this.#init.waitingGuest(offer.guest)
      await this.#openMigration(guest, offer)
      await stream.send(encodeAnswer({ accepted: true }))
      return offer
    } catch (thrown) {
      const error = asPagemeshError(thrown)
      const advice = error.advice === undefined ? {} : { advice: error.advice }
      await stream.send(encodeAnswer({ accepted: false, code: error.code, message: error.message, ...advice }))
        .catch(() => undefined)
      throw error
    } finally {
      await stream.close().catch(() => undefined)
    }
  }

  async #openMigration(guest: Guest, offer: HandoffOffer): Promise<void> {
    if (guest.openIncoming === undefined) {
      throw new PagemeshError('guest-not-movable', `The guest ${guest.name} cannot take a migration here.`, {
        fault: 'guest', phase: 'offer',
      })
    }
    const migration = await guest.openIncoming(this.#init.signal)
    this.#migration = migration
    void migration.gone.then((cause) => this.#failure.reject(new PagemeshError(
      'guest-gone', `the destination QEMU of ${offer.guest} ended or closed its QMP connection.`,
      { fault: 'guest', phase: 'handoff', cause, advice: 'See the log of that QEMU.' },
    )))
    if (!offer.dryRun) await this.#until(migration.prepare({ mode: offer.mode }))
  }

  /** Opens the lane and answers the census; for a real handoff QEMU listens by the time the answer leaves. */
  async #greet(offer: HandoffOffer): Promise<void> {
    const { mesh, clock } = this.#components
    const lane = await this.#within('lane', mesh.dialLane(this.#from, offer.ticket, this.#abort.signal))
    this.#openChannel(lane, clock)
    const census = decodePrefixSet(await this.#within('census', this.#census.promise))
    const bitmap = answerPages(census, this.#init.has)
    if (!offer.dryRun) await this.#connectQemu()
    this.#phase = 'streaming'
    void this.#channel!.send(FRAME_KINDS.bitmap, bitmap)
    if (!offer.dryRun) this.#answered = { census, bitmap }
  }

  #openChannel(lane: Lane, clock: Clock): void {
    this.#channel = new LaneChannel({ clock, lane }, {
      bytesPerSecond: Infinity,
      onFrame: (kind, body) => this.#onFrame(kind, body),
      onLost: (error) => this.#failure.reject(error),
    })
  }

  async #connectQemu(): Promise<void> {
    const { clock, random, hasher, sources } = this.#components
    const migration = this.#migration!
    const { directory } = this.#init
    this.#rendezvous = await createRendezvous({ clock, random }, { directory, owner: migration.owner })
    await this.#until(migration.begin(this.#rendezvous.socketPath))
    const qemu = await this.#within('qemuListen', this.#rendezvous.connect(this.#abort.signal))
    this.#qemu = qemu
    await this.#rendezvous.remove()
    const channel = this.#channel!
    const allSources = [...sources, this.#prefetch.source]
    this.#receiver = new Receiver({ channel, qemu, hasher, sources: allSources }, {
      signal: this.#abort.signal,
      onError: (error) => void this.#onQemuClosed(error),
    })
    qemu.on('error', () => undefined)
    qemu.on('data', (bytes) => void channel.send(FRAME_KINDS.returned, bytes))
    qemu.once('close', () => void this.#onQemuClosed())
    qemu.once('end', () => void this.#onQemuClosed())
  }

  /** Waits until QEMU has the whole guest and the source gave it up, then lets it run. */
  async #load(offer: HandoffOffer): Promise<void> {
    await this.#until(this.#streamEnded.promise)
    this.#prefetch.finish()
    await this.#until(this.#receiver!.drain())
    this.#qemu?.end()
    await this.#until(this.#completed.promise)
    if (offer.running && offer.mode === 'precopy') await this.#until(this.#migration!.release())
    this.#phase = 'released'
    const { streamBytes, refsFilledBy } = this.#receiver!
    const { receivedBytes: peerBytes } = this.#prefetch
    const report = { streamBytes, refsFilledBy, peerBytes, spent: this.#components.spent() }
    void this.#channel!.send(FRAME_KINDS.result, encodeReport(report))
    this.#components.log.info('guest arrived', { guest: offer.guest, from: this.#from.name, mode: offer.mode })
  }

  /** QEMU closes when it has loaded the guest, and when it cannot: only it can say which. */
  async #onQemuClosed(cause?: unknown): Promise<void> {
    if (this.#phase !== 'streaming') return
    if (cause instanceof PagemeshError) {
      this.#failure.reject(cause)
      return
    }
    const said = await this.#migration!.progress().catch(() => undefined)
    if (this.#phase !== 'streaming') return
    if (said?.status === 'completed') {
      this.#phase = 'loaded'
      void this.#channel!.send(FRAME_KINDS.returnedEnd)
      return
    }
    const why = said?.error === undefined ? '' : `: ${said.error}`
    const what = said === undefined ? 'ended' : `says that the migration ${said.status}`
    this.#failure.reject(new PagemeshError('guest-gone', `the destination QEMU of ${this.#guestName} ${what}${why}.`, {
      fault: 'guest', phase: 'handoff', cause, advice: 'See the log of that QEMU.',
    }))
  }

  #onFrame(kind: FrameKind, body: Buffer): void {
    if (kind === FRAME_KINDS.alive) return
    if (kind === FRAME_KINDS.failed) {
      const reason = body.toString('utf8')
      this.#failure.reject(new PagemeshError('failed-at-source', `${this.#from.name} gave up: ${reason}`, {
        fault: 'peer', phase: 'handoff',
      }))
    } else if (kind === FRAME_KINDS.hello && this.#phase === 'greeting') {
      if (body[0] !== HANDOFF_VERSION) throw badFrame(`it speaks version ${body[0]} of the handoff stream`)
    } else if (kind === FRAME_KINDS.census && this.#phase === 'greeting') this.#census.resolve(body)
    else if (kind === FRAME_KINDS.order && this.#answered !== undefined) {
      this.#prefetch.start({ ...this.#answered, order: body, source: this.#from.name })
      this.#answered = undefined
    } else if (kind === FRAME_KINDS.batch && this.#receiver !== undefined) this.#receiver.take(body)
    else if (kind === FRAME_KINDS.pages && this.#receiver !== undefined) this.#receiver.takePages(body)
    else if (kind === FRAME_KINDS.streamEnd && this.#receiver !== undefined) this.#streamEnded.resolve()
    else if (kind === FRAME_KINDS.completed && this.#receiver !== undefined) this.#completed.resolve()
    else throw badFrame(`${frameName(kind)} during ${this.#phase}`)
  }

  async #giveUp(error: PagemeshError, offer: HandoffOffer | undefined): Promise<void> {
    const { log, clock } = this.#components
    const about = { guest: this.#guestName, from: this.#from.name, phase: this.#phase, reason: error.message }
    log.warn('incoming handoff failed', about)
    void this.#channel?.send(FRAME_KINDS.failed, Buffer.from(describeError(error).slice(0, 1000)))
    await Promise.race([this.#channel?.close(), clock.sleep(FAREWELL_MS)])
    this.#abort.abort(error)
    // Cut short, QEMU gives up by itself what it has loaded so far.
    this.#qemu?.destroy()
    if (offer?.mode === 'precopy' && this.#phase === 'loaded') await this.#settleLoadedGuest(offer, error)
  }

  /**
   * The guest was loaded whole, but the news whether the source gave it up never came. It stays paused: two running
   * guests would destroy its disks. The source's host knows; until it answers nothing is done.
   */
  async #settleLoadedGuest(offer: HandoffOffer, error: PagemeshError): Promise<void> {
    const { log } = this.#components
    const outcome = error.code === 'failed-at-source'
      ? 'kept'
      : await askOutcome(this.#components, { host: this.#from.name, guest: offer.guest, signal: this.#init.signal })
    if (outcome === 'given-up' && offer.running) await this.#migration!.release()
    else if (outcome === 'kept') await this.#migration!.abandon()
    const action = { 'given-up': 'it runs here', kept: 'it was ended here', unknown: 'it stays paused here' }[outcome]
    log.warn('settled a loaded guest', { guest: offer.guest, from: this.#from.name, outcome, action })
  }

  async #cleanUp(): Promise<void> {
    // The agent's signal outlives this handoff, and must not keep it.
    this.#init.signal.removeEventListener('abort', this.#onAgentStops)
    this.#abort.abort()
    this.#qemu?.destroy()
    this.#channel?.destroy()
    await this.#prefetch.stop()
    await this.#rendezvous?.remove()
    await this.#migration?.close().catch(() => undefined)
  }

  #until<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure.promise])
  }

  #within<T>(phase: keyof typeof LIMITS_MS, work: Promise<T>): Promise<T> {
    return this.#until(withTimeout(this.#components.clock, work, LIMITS_MS[phase], {
      phase, fault: 'peer', message: `The handoff of ${this.#guestName} waited too long for its ${phase}.`,
      advice: 'See the log of the other agent.',
    }))
  }
}
