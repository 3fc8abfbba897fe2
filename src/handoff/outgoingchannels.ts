import { reasonOf, type OutgoingMessage, type Reason } from '../conversation/index.ts'
import type { GuestState } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { PageHasher, Prefixes } from '../page/index.ts'
import {
  openPassageLane, type CompressionMode, type OutgoingPassageCounts, type OutgoingRun, type PassageThreads,
} from '../passage/index.ts'
import type { StreamKnowledgeData, StreamMark } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Endpoint } from '../runtime/endpoint.ts'
import { asPagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Driver } from './driver.ts'
import { knownRunState } from './messages.ts'
import { UrgentFailure } from './urgentfailure.ts'

/** What the streams tell, in their order. */
export interface OutgoingChannelsListener {
  /** QEMU's stream has begun, or a channel beside it is there. */
  begun(): void
  switchover(runState: GuestState): void
  handedOver(): void
  failed(reason: Reason): void
}

export interface OutgoingChannelsInit {
  guest: string
  mode: 'precopy' | 'postcopy'
  compression: CompressionMode
  bytesPerSecondMax: number
  /** What an earlier connection of a post-copy that was cut told. */
  continuation: StreamKnowledgeData | undefined
  listener: OutgoingChannelsListener
}

export interface OutgoingChannelsComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  hasher: PageHasher
  threads: PassageThreads
}

/** The channels of an outgoing handoff: QEMU's connections as they come, each with a passage over a lane of its own. */
export class OutgoingChannels {
  readonly #components: OutgoingChannelsComponents
  readonly #init: OutgoingChannelsInit
  readonly #urgentFailure: UrgentFailure
  readonly #passages: OutgoingRun[] = []
  #main: OutgoingRun | undefined
  /** QEMU's connections, in the order in which they came. */
  #endpoints: Endpoint[] = []
  #openedCount = 0
  /** What each of the channels that pages travel over may take of the rate. */
  #bytesPerSecondMax: number
  /** What came to the destination from elsewhere: pages that come before a stream begins count for it, too. */
  readonly #fetched: Prefixes[] = []
  /** The device state is on its way, or was. */
  isSwitchingOver = false

  constructor(components: OutgoingChannelsComponents, init: OutgoingChannelsInit) {
    this.#components = components
    this.#init = init
    this.#bytesPerSecondMax = init.bytesPerSecondMax
    this.#urgentFailure = new UrgentFailure(components, { tell: (reason) => init.listener.failed(reason) })
  }

  get counts(): OutgoingPassageCounts[] {
    return this.#passages.map((passage) => passage.counts())
  }

  /** What a later connection of the same migration needs to know. */
  get knowledge(): StreamKnowledgeData | undefined {
    return this.#main?.knowledge() ?? this.#init.continuation
  }

  /**
   * Tells QEMU to migrate, and meets its connections as they come: `begun` is said of each. Rejects only if none came;
   * what is wrong with those that should follow is said as of a passage.
   */
  async start(driver: Driver, signal: AbortSignal): Promise<void> {
    this.#endpoints = []
    this.#openedCount = 0
    let hasBegun = false
    try {
      for await (const endpoint of driver.channels(signal)) {
        // Urgent pages come on top: they are few.
        this.#bytesPerSecondMax = this.#init.bytesPerSecondMax / (1 + driver.beside.multifd)
        hasBegun = true
        this.#endpoints.push(endpoint)
        this.#init.listener.begun()
      }
    } catch (error) {
      if (!hasBegun) throw error
      // At its end a handoff waits for no more of them.
      if (!signal.aborted) this.#init.listener.failed(reasonOf(asPagemeshError(error)))
    }
  }

  /** Lets the stream that has begun, or one beside it, run over a lane that the other end is told of. */
  async open(
    { known, resumes }: { known: Prefixes; resumes: boolean }, say: (message: OutgoingMessage) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { mesh, hasher } = this.#components
    const { compression, mode } = this.#init
    const number = this.#openedCount
    const isMain = number === 0
    const qemu = this.#endpoints[number]!
    this.#openedCount += 1
    const { ticket, lane: offered } = mesh.offerUnsecuredLane(signal)
    say({ kind: 'channel', number, ticket })
    const lane = await openPassageLane(this.#components, await offered, signal)
    // It was stopped meanwhile.
    if (this.#endpoints[number] !== qemu) return lane.destroy()
    const { knowledge } = this
    const passage = lane.startOutgoing({ hasher, qemu }, {
      known, compression, bytesPerSecondMax: this.#bytesPerSecondMax, channel: isMain ? 'main' : 'beside',
      ...((resumes || !isMain) && knowledge !== undefined ? { continuation: knowledge } : {}),
      listener: {
        mark: (mark) => this.#onMark(mark, resumes),
        runState: (word) => this.#onRunState(knownRunState(word)),
        lost: (reason) => this.#onStreamLost(reason, resumes || !isMain),
        ended: () => {},
        failed: (error) => {
          // Post-copy has no other channel beside main.
          if (!isMain && mode === 'postcopy') this.#urgentFailure.note(reasonOf(error))
          else this.#init.listener.failed(reasonOf(error))
        },
      },
    })
    if (isMain) this.#main = passage
    this.#passages.push(passage)
    for (const pages of this.#fetched) passage.addKnown(pages)
  }

  addKnown(pages: Prefixes): void {
    this.#fetched.push(pages)
    for (const passage of this.#passages) passage.addKnown(pages)
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#urgentFailure.forget()
    for (const passage of this.#passages) passage.stop()
    for (const endpoint of this.#endpoints.splice(0)) endpoint.destroy()
  }

  #onMark(mark: StreamMark, resumes: boolean): void {
    if (mark === 'ramEnd' || mark === 'package') this.isSwitchingOver = true
    if (mark === 'package' || mark === 'resume') this.#tellKnowledge(this.#main?.knowledge())
    if (mark === 'handedOver' && !resumes) this.#init.listener.handedOver()
  }

  /** Urgent pages may come from now on, on a channel that tells nothing of the blocks that they are of. */
  #tellKnowledge(knowledge: StreamKnowledgeData | undefined): void {
    // It was said as the main one began: those beside it begin later, and are given it then.
    if (knowledge === undefined) return
    for (const passage of this.#passages) if (passage !== this.#main) passage.addKnowledge(knowledge)
  }

  #onRunState(runState: GuestState | undefined): void {
    if (runState !== undefined) this.#init.listener.switchover(runState)
  }

  #onStreamLost(reason: string, resumes: boolean): void {
    const { guest, mode, listener } = this.#init
    this.#components.log.warn('QEMU stream not understood, passing it raw', { guest, reason })
    if (mode === 'precopy' || resumes || this.isSwitchingOver) return
    listener.failed({
      code: 'stream-not-understood', fault: 'guest',
      message: `The stream of ${guest} cannot be followed, and so not the moment of its switchover: ${reason}.`,
      advice: 'Hand it over with --mode precopy.',
    })
  }
}
