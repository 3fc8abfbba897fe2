import { reasonOf, sentenceOf, type Reason } from '../conversation/index.ts'
import type { Lane } from '../mesh/index.ts'
import type { Delivery } from '../page/index.ts'
import { badFrame, FrameLane, type FrameTable } from '../passage/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { waitAtMost } from '../runtime/wait.ts'

/** How long the other end may take to read the last messages, ms. */
const FAREWELL_MS = 500

interface Message {
  kind: string
}

/** The messages that one end of a link sends and receives, as frames. */
export interface Language<Said extends Message, Heard extends Message> {
  said: FrameTable<Said['kind']>
  heard: FrameTable<Heard['kind']>
  encode: (message: Said) => Uint8Array
  /** Throws the error of a malformed frame, which ends the link. */
  decode: (kind: Heard['kind'], body: Buffer) => Heard
}

export interface LinkInit<Said extends Message, Heard extends Message> {
  /** Bytes a second on the wire; Infinity: unlimited. */
  bytesPerSecondMax: number
  language: Language<Said, Heard>
  onMessage: (message: Heard) => void
  /** Called once, unless this end closed it. */
  onLost: (reason: Reason) => void
}

/** The lane over which the two agents of a transfer talk, at one end: messages as frames, in order. */
export class Link<Said extends Message, Heard extends Message> {
  readonly #clock: Clock
  readonly #log: Log
  readonly #lane: FrameLane<Said['kind'] | Heard['kind']>
  readonly #encode: (message: Said) => Uint8Array
  readonly #onLost: (reason: Reason) => void
  #isOver = false

  constructor(components: { clock: Clock; log: Log; lane: Lane }, init: LinkInit<Said, Heard>) {
    const { said, heard, encode, decode } = init.language
    this.#clock = components.clock
    this.#log = components.log
    this.#encode = encode
    this.#onLost = init.onLost
    this.#lane = new FrameLane(components, {
      frames: { ...said, ...heard },
      bytesPerSecondMax: init.bytesPerSecondMax,
      onFrame: (kind, body) => {
        if (!(kind in heard)) throw badFrame(`only the other end may send ${kind}`)
        init.onMessage(decode(kind, body))
      },
      onLost: (error) => this.#lose(reasonOf(error)),
    })
  }

  /** It was lost, or closed from here. */
  get isOver(): boolean {
    return this.#isOver
  }

  get sentBytes(): number {
    return this.#lane.sentBytes
  }

  get receivedBytes(): number {
    return this.#lane.receivedBytes
  }

  /** What the operating system measured of the way to the other end, by this link's bytes. */
  get delivery(): Delivery | undefined {
    return this.#lane.delivery
  }

  say(message: Said): void {
    // Never rejects: a lane that cannot be written to is lost.
    void this.#lane.send(message.kind, this.#encode(message))
  }

  /** Processes a message of the other end; an error in it ends the link. Never rejects. */
  async heed(take: () => Promise<void> | void): Promise<void> {
    try {
      await take()
    } catch (error) {
      this.#lane.destroy()
      this.#lose(reasonOf(asPagemeshError(error)))
    }
  }

  /**
   * Closes after the messages sent so far, and waits a moment for the other end to read them. `reason`: the other end's
   * message is at fault.
   */
  async close(reason?: Reason): Promise<void> {
    if (reason !== undefined) this.#log.warn('the other agent broke the protocol', { reason: sentenceOf(reason) })
    this.#isOver = true
    this.#lane.complete()
    await waitAtMost(this.#clock, this.#lane.close(), FAREWELL_MS)
    this.#lane.destroy()
  }

  #lose(reason: Reason): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onLost(reason)
  }
}
