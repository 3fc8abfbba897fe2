import { reasonOf, type IncomingSummary, type Reason } from '../conversation/index.ts'
import { countOfChannels } from '../guest/index.ts'
import type { LaneTicket, Member, Mesh } from '../mesh/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { PrefixSet } from '../page/index.ts'
import { badFrame, openPassageLane, type PassageLane, type PassageThreads } from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import { IncomingPassages, type IncomingPassagesComponents, type Sharing } from '../transfer/index.ts'
import type { Driver } from './driver.ts'

export interface IncomingChannelsComponents extends IncomingPassagesComponents {
  clock: Clock
  mesh: Mesh
  threads: PassageThreads
}

/** The channels of an incoming handoff, each a passage from a lane to QEMU; and the pages fetched from other hosts. */
export class IncomingChannels {
  readonly #components: IncomingChannelsComponents
  readonly #onFailed: (reason: Reason) => void
  readonly #passages: IncomingPassages
  /** Yields one connection with QEMU for each channel. */
  #meetings: AsyncIterator<Endpoint, void> | undefined
  #openedCount = 0
  /** Settles once the last opened channel is connected to QEMU. */
  #opening: Promise<void> = Promise.resolve()

  constructor(components: IncomingChannelsComponents, init: { onFailed: (reason: Reason) => void }) {
    this.#components = components
    this.#passages = new IncomingPassages(components)
    this.#onFailed = init.onFailed
  }

  get traffic(): { sentBytes: number; receivedBytes: number } {
    return this.#passages.traffic
  }

  /** Bytes that QEMU accepted. */
  get streamBytes(): number {
    return this.#passages.streamBytes
  }

  get summary(): Pick<IncomingSummary, 'streamBytes' | 'urgentBytes' | 'refsFilledBy' | 'peerBytes'> {
    return this.#passages.summary
  }

  /** Fetches missing pages from other hosts; `tell` gets the numbers of those fetched. Rejects: `bad-frame`. */
  fetch(
    answered: { census: PrefixSet; bitmap: Uint8Array }, order: Buffer, source: string,
    tell: (numbers: Buffer) => void,
  ): Promise<void> {
    return this.#passages.fetch(answered, order, source, tell)
  }

  /**
   * Dials the lane of a new channel and starts its passage into QEMU. Before the first channel no byte reaches QEMU.
   * Channels are connected to QEMU in the order of their numbers, because QEMU identifies them by that.
   */
  async open(
    { driver, sharing, from, number, ticket }: {
      driver: Driver; sharing: Sharing; from: Member; number: number; ticket: LaneTicket
    },
    signal: AbortSignal,
  ): Promise<void> {
    if (number === 0) this.#begin(driver, signal)
    if (number !== this.#openedCount || number >= countOfChannels(driver.beside)) {
      throw badFrame(`channel ${number} is not the next of ${countOfChannels(driver.beside)}`)
    }
    this.#openedCount += 1
    const dialling = this.#dial(from, ticket, signal)
    // The channel for urgent pages comes last.
    const mayHangUp = number > driver.beside.multifd
    this.#opening = this.#meet({ number, sharing, mayHangUp }, dialling, this.#opening)
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
    { number, sharing: { hasher, publicHasher }, mayHangUp }: { number: number; sharing: Sharing; mayHangUp: boolean },
    dialling: Promise<PassageLane>,
    before: Promise<void>,
  ): Promise<void> {
    const lane = await dialling
    try {
      await before
      const meeting = await this.#meetings!.next()
      if (meeting.done === true) throw badFrame(`QEMU waits for no channel ${number}`)
      this.#passages.start({ lane, hasher, publicHasher, qemu: meeting.value, mayHangUp }, {
        // After the main channel's end no other channel carries data.
        ended: () => { if (number === 0) this.#passages.letGo() },
        failed: (error) => this.#onFailed(reasonOf(error)),
      })
    } catch (error) {
      lane.destroy()
      throw error
    }
  }

  /** Closes every connection at once and frees the fetched pages. */
  stop(): void {
    this.#passages.stop()
    behind(this.#components.log, 'a connection to QEMU was not closed', Promise.resolve(this.#meetings?.return?.()))
  }
}
