import { reasonOf, type IncomingReport, type Reason } from '../conversation/index.ts'
import { countOfChannels } from '../guest/index.ts'
import type { LaneTicket, Member, Mesh } from '../mesh/index.ts'
import type { PageBudget, PageHasher, PageSource, PrefixSet } from '../page/index.ts'
import {
  badFrame, noRefsFilled, openPassageLane, type IncomingRun, type PassageLane, type PassageThreads,
} from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Endpoint } from '../runtime/endpoint.ts'
import type { Log } from '../runtime/log.ts'
import { Prefetch, type PeerPages } from '../swap/index.ts'
import type { Driver } from './driver.ts'
import { UrgentFailure } from './urgentfailure.ts'

export interface IncomingChannelsComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  hasher: PageHasher
  threads: PassageThreads
  /** Where refs are filled from, nearest first; what they fill is verified. */
  sources: readonly PageSource[]
  /** Other hosts, asked for what is missing here while the stream runs. */
  peers: PeerPages
  /** Memory for what they give. */
  budget: PageBudget
}

/** The channels of an incoming handoff: each a passage from a lane to QEMU; and what other hosts give meanwhile. */
export class IncomingChannels {
  readonly #components: IncomingChannelsComponents
  readonly #onFailed: (reason: Reason) => void
  readonly #urgentFailure: UrgentFailure
  readonly #passages: IncomingRun[] = []
  /** Where QEMU is met, once for each channel of this connection. */
  #meetings: AsyncIterator<Endpoint, void> | undefined
  #openedCount = 0
  /** Settles once the channel that was opened last has met QEMU. */
  #opening: Promise<void> = Promise.resolve()
  #prefetch: Prefetch | undefined
  /** What had come from other hosts when it was let go. */
  #peerBytes = 0

  constructor(components: IncomingChannelsComponents, init: { onFailed: (reason: Reason) => void }) {
    this.#components = components
    this.#onFailed = init.onFailed
    this.#urgentFailure = new UrgentFailure(components, { tell: init.onFailed })
  }

  get traffic(): { sentBytes: number; receivedBytes: number } {
    const counts = this.#passages.map((passage) => passage.counts())
    return {
      sentBytes: counts.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
      receivedBytes: counts.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
    }
  }

  /** Bytes that QEMU took. */
  get streamBytes(): number {
    return this.#passages.reduce((sum, passage) => sum + passage.counts().streamBytes, 0)
  }

  get report(): Pick<IncomingReport, 'streamBytes' | 'refsFilledBy' | 'peerBytes'> {
    const refsFilledBy = noRefsFilled()
    for (const passage of this.#passages) {
      for (const [kind, count] of Object.entries(passage.counts().refsFilledBy)) {
        refsFilledBy[kind as keyof typeof refsFilledBy] += count
      }
    }
    return { streamBytes: this.streamBytes, refsFilledBy, peerBytes: this.#prefetch?.receivedBytes ?? this.#peerBytes }
  }

  /** Fetches what is lacking from other hosts; `tell` gets the numbers of what came. Throws `bad-frame`. */
  fetch(
    { census, bitmap }: { census: PrefixSet; bitmap: Uint8Array }, order: Buffer, source: string,
    tell: (numbers: Buffer) => void,
  ): void {
    this.#prefetch = new Prefetch(this.#components, { tell })
    this.#prefetch.start({ census, bitmap, order, source })
  }

  /**
   * Dials the lane of a channel that has begun, and lets it run into QEMU. Until the first does not one byte reaches
   * QEMU, which is met once for each channel in the order of their numbers: that tells QEMU which is which.
   */
  async open(
    { driver, from, number, ticket }: { driver: Driver; from: Member; number: number; ticket: LaneTicket },
    signal: AbortSignal,
  ): Promise<void> {
    if (number === 0) this.#begin(driver, signal)
    if (number !== this.#openedCount || number >= countOfChannels(driver.beside)) {
      throw badFrame(`channel ${number} is not the next of ${countOfChannels(driver.beside)}`)
    }
    this.#openedCount += 1
    const dialling = this.#dial(from, ticket, signal)
    this.#opening = this.#meet({ number, isUrgent: number > 0 && driver.beside.preempt }, dialling, this.#opening)
    await this.#opening
  }

  #begin(driver: Driver, signal: AbortSignal): void {
    this.#meetings = driver.channels(signal)[Symbol.asyncIterator]()
    this.#openedCount = 0
    this.#opening = Promise.resolve()
  }

  async #dial(from: Member, ticket: LaneTicket, signal: AbortSignal): Promise<PassageLane> {
    const lane = await this.#components.mesh.dialUnsecuredLane(from, ticket, signal)
    return openPassageLane(this.#components, lane, signal)
  }

  async #meet(
    { number, isUrgent }: { number: number; isUrgent: boolean }, dialling: Promise<PassageLane>, before: Promise<void>,
  ): Promise<void> {
    const { hasher, sources } = this.#components
    const lane = await dialling
    try {
      await before
      const meeting = await this.#meetings!.next()
      if (meeting.done === true) throw badFrame(`QEMU waits for no channel ${number}`)
      const fetched = this.#prefetch === undefined ? [] : [this.#prefetch.source]
      const qemu = meeting.value
      this.#passages.push(lane.startIncoming({ hasher, qemu, sources: [...sources, ...fetched] }, {
        listener: {
          // The others end before it, or have nothing more to say.
          ended: () => { if (number === 0) this.#letGo() },
          failed: (error) => {
            if (isUrgent) this.#urgentFailure.note(reasonOf(error))
            else this.#onFailed(reasonOf(error))
          },
        },
      }))
    } catch (error) {
      lane.destroy()
      throw error
    }
  }

  /** Closes every connection at once, and lets go of what was fetched. */
  stop(): void {
    this.#urgentFailure.forget()
    for (const passage of this.#passages) passage.stop()
    this.#letGo()
    behind(this.#components.log, 'a QEMU is still being met', Promise.resolve(this.#meetings?.return?.()))
  }

  /** What was fetched is of no use any more. */
  #letGo(): void {
    const prefetch = this.#prefetch
    if (prefetch === undefined) return
    this.#peerBytes = prefetch.receivedBytes
    this.#prefetch = undefined
    behind(this.#components.log, 'pages are still being fetched from peers', prefetch.stop())
  }
}
