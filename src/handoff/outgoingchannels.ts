import { reasonOf, type OutgoingMessage, type Reason } from '../conversation/index.ts'
import type { GuestState } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { PageHasher, Prefixes } from '../page/index.ts'
import {
  openPassageLane, type CompressionMode, type KnownPublic, type OutgoingPassageCounts, type PassageThreads,
} from '../passage/index.ts'
import type { StreamKnowledgeData, StreamMark } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { OutgoingPassages } from '../transfer/index.ts'
import type { Driver } from './driver.ts'
import { knownRunState } from './messages.ts'

/** Events of the streams, in order. */
export interface OutgoingChannelsListener {
  /** QEMU's stream has begun, or another channel was opened. */
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
  /** Knowledge from the earlier connection of a cut post-copy. */
  continuation: StreamKnowledgeData | undefined
  listener: OutgoingChannelsListener
}

/** Properties of a channel that opens. */
export interface OpeningChannel {
  hasher: PageHasher
  /** The pages that the destination has. */
  known: Prefixes
  /** Whether it resumes a cut post-copy. */
  resumes: boolean
  /** Measured speed of the link; undefined if unknown. */
  linkBytesPerSecond: number | undefined
}

export interface OutgoingChannelsComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  threads: PassageThreads
}

/** The channels of an outgoing handoff: QEMU's connections, each with a passage over its own lane. */
export class OutgoingChannels {
  readonly #components: OutgoingChannelsComponents
  readonly #init: OutgoingChannelsInit
  readonly #passages: OutgoingPassages
  /** QEMU's connections, in the order of their arrival. */
  #endpoints: Endpoint[] = []
  #openedCount = 0
  #multifdCount = 0
  /** Whether QEMU has begun to send the device state. */
  isSwitchingOver = false

  constructor(components: OutgoingChannelsComponents, init: OutgoingChannelsInit) {
    this.#components = components
    this.#init = init
    this.#passages = new OutgoingPassages(init)
  }

  get counts(): OutgoingPassageCounts[] {
    return this.#passages.counts
  }

  /** Bytes of the streams of urgent pages. */
  get urgentBytes(): number {
    return this.#passages.urgentBytes
  }

  /** Knowledge for a later connection of the same migration. */
  get knowledge(): StreamKnowledgeData | undefined {
    return this.#passages.knowledge
  }

  /**
   * Tells QEMU to migrate and accepts its connections; `begun` is called for each. Rejects only if none came; errors
   * with later ones are reported through `failed`.
   */
  async start(driver: Driver, signal: AbortSignal): Promise<void> {
    this.#endpoints = []
    this.#openedCount = 0
    let hasBegun = false
    try {
      for await (const endpoint of driver.channels(signal)) {
        this.#multifdCount = driver.beside.multifd
        hasBegun = true
        this.#endpoints.push(endpoint)
        this.#init.listener.begun()
      }
    } catch (error) {
      if (!hasBegun) throw error
      // After the handoff's end, missing connections are no error.
      if (!signal.aborted) this.#init.listener.failed(reasonOf(asPagemeshError(error)))
    }
  }

  /** Starts the passage of the main stream or of another channel, over a lane announced to the other end. */
  async open(
    { hasher, known, resumes, linkBytesPerSecond }: OpeningChannel, say: (message: OutgoingMessage) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { mesh } = this.#components
    const number = this.#openedCount
    const isMain = number === 0
    // Multifd channels share the limit: they carry the pages, the other channels hardly anything.
    const linkShare = isMain ? 1 : 1 / Math.max(1, this.#multifdCount)
    const bytesPerSecondMax = this.#init.bytesPerSecondMax * linkShare
    const qemu = this.#endpoints[number]!
    this.#openedCount += 1
    const { ticket, lane: offered } = mesh.offerUnsecuredLane(signal)
    say({ kind: 'channel', number, ticket })
    const lane = await openPassageLane(this.#components, await offered, signal)
    // Stopped meanwhile.
    if (this.#endpoints[number] !== qemu) return lane.destroy()
    this.#passages.start({
      lane, hasher, qemu, isMain, isUrgent: number > this.#multifdCount, resumes, known, bytesPerSecondMax,
      linkBytesPerSecond, linkShare,
      listener: {
        mark: (mark) => this.#onMark(mark, resumes),
        runState: (word) => this.#onRunState(knownRunState(word)),
        lost: (reason) => this.#onStreamLost(reason, resumes || !isMain),
        streamEnded: () => {},
        returnEnded: () => {},
        ended: () => {},
        failed: (error) => this.#init.listener.failed(reasonOf(error)),
      },
    })
  }

  addKnown(pages: Prefixes): void {
    this.#passages.addKnown(pages)
  }

  /** Public pages that the destination has, if it has some. */
  setPublic(known: KnownPublic | undefined): void {
    this.#passages.setPublic(known)
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#passages.stop()
    for (const endpoint of this.#endpoints.splice(0)) endpoint.destroy()
  }

  #onMark(mark: StreamMark, resumes: boolean): void {
    if (mark === 'ramEnd' || mark === 'package') this.isSwitchingOver = true
    if (mark === 'handedOver' && !resumes) this.#init.listener.handedOver()
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
      message: `The stream of ${guest} is not understood, so its switchover cannot be seen: ${reason}.`,
      advice: 'Hand it over with --mode precopy.',
    })
  }
}
