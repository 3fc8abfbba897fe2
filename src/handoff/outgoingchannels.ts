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
import type { Log } from '../runtime/log.ts'
import type { Driver } from './driver.ts'
import { knownRunState } from './messages.ts'

/** What the streams tell, in their order. */
export interface OutgoingChannelsListener {
  /** QEMU's stream has begun. */
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
  readonly #passages: OutgoingRun[] = []
  /** What came to the destination from elsewhere: pages that come before a stream begins count for it, too. */
  readonly #fetched: Prefixes[] = []
  #endpoint: Endpoint | undefined
  /** The device state is on its way, or was. */
  isSwitchingOver = false

  constructor(components: OutgoingChannelsComponents, init: OutgoingChannelsInit) {
    this.#components = components
    this.#init = init
  }

  get counts(): OutgoingPassageCounts[] {
    return this.#passages.map((passage) => passage.counts())
  }

  /** What a later connection of the same migration needs to know. */
  get knowledge(): StreamKnowledgeData | undefined {
    return this.#passages.at(-1)?.knowledge() ?? this.#init.continuation
  }

  /** Tells QEMU to migrate, and meets its connections as they come. */
  async start(driver: Driver, signal: AbortSignal): Promise<void> {
    for await (const endpoint of driver.channels(signal)) {
      this.#endpoint = endpoint
      this.#init.listener.begun()
    }
  }

  /** Lets the stream that has begun run, over a lane that the other end is told of. */
  async open(
    { known, resumes }: { known: Prefixes; resumes: boolean }, say: (message: OutgoingMessage) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { mesh, hasher } = this.#components
    const { compression, bytesPerSecondMax } = this.#init
    const { ticket, lane } = mesh.offerUnsecuredLane(signal)
    say({ kind: 'channel', number: this.#passages.length, ticket })
    const passageLane = await openPassageLane(this.#components, await lane, signal)
    const { knowledge } = this
    const passage = passageLane.startOutgoing({ hasher, qemu: this.#endpoint! }, {
      known, compression, bytesPerSecondMax,
      ...(resumes && knowledge !== undefined ? { continuation: knowledge } : {}),
      listener: {
        mark: (mark) => this.#onMark(mark, resumes),
        runState: (word) => this.#onRunState(knownRunState(word)),
        lost: (reason) => this.#onStreamLost(reason, resumes),
        ended: () => {},
        failed: (error) => this.#init.listener.failed(reasonOf(error)),
      },
    })
    this.#passages.push(passage)
    for (const pages of this.#fetched) passage.addKnown(pages)
  }

  addKnown(pages: Prefixes): void {
    this.#fetched.push(pages)
    for (const passage of this.#passages) passage.addKnown(pages)
  }

  /** Closes every connection at once. */
  stop(): void {
    for (const passage of this.#passages) passage.stop()
    this.#endpoint?.destroy()
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
      message: `The stream of ${guest} cannot be followed, and so not the moment of its switchover: ${reason}.`,
      advice: 'Hand it over with --mode precopy.',
    })
  }
}
