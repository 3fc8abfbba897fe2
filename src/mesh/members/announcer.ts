import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { decodeAnnouncement, encodeAnnouncement, type Announcement } from './announcement.ts'

export const MEMBERS_TOPIC = '/pagemesh/members/1'
const INTERVAL_MS_MIN = 15_000
/** Delay after a member joined: time for the two to learn each other's topics, and for others to join. */
const DELAY_MS_MIN = 1_000
/**
 * Every host verifies the signature of every announcement, a third of a millisecond each. To bound that share of CPU,
 * hosts announce themselves less often the more there are.
 */
const INTERVAL_MS_PER_MEMBER = 500
const DELAY_MS_PER_MEMBER = 200

interface AnnouncerInit {
  own: () => Announcement
  /** How many other members there are. */
  memberCount: () => number
  publish: (message: Uint8Array) => Promise<void>
  /** Called with the announcement of every other host, and the member that passed it on. */
  learn: (announcement: Announcement, viaPeerId: string) => void
}

/**
 * Announces where this host listens: soon after a member joined, and again from time to time, since gossip may be lost.
 */
export class Announcer {
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: AnnouncerInit
  #interval: Timer | undefined
  #soon: Timer | undefined

  constructor(components: { clock: Clock; log: Log }, init: AnnouncerInit) {
    this.#clock = components.clock
    this.#log = components.log
    this.#init = init
  }

  start(): void {
    const intervalMs = Math.max(INTERVAL_MS_MIN, this.#init.memberCount() * INTERVAL_MS_PER_MEMBER)
    this.#interval = this.#clock.after(intervalMs, () => {
      this.#announce()
      this.start()
    })
  }

  stop(): void {
    this.#interval?.cancel()
    this.#soon?.cancel()
    this.#interval = this.#soon = undefined
  }

  announceSoon(): void {
    if (this.#interval === undefined) return
    const delayMs = Math.max(DELAY_MS_MIN, this.#init.memberCount() * DELAY_MS_PER_MEMBER)
    this.#soon ??= this.#clock.after(delayMs, () => {
      this.#soon = undefined
      this.#announce()
    })
  }

  /** A host may announce only itself: the message must be signed by the peer that it announces. */
  heard(message: Uint8Array, fromPeerId: string, viaPeerId: string): void {
    const announcement = decodeAnnouncement(message)
    if (announcement === undefined || announcement.peerId !== fromPeerId) {
      this.#log.debug('an announcement was ignored', { fromPeerId })
      return
    }
    this.#init.learn(announcement, viaPeerId)
  }

  #announce(): void {
    this.#init.publish(encodeAnnouncement(this.#init.own())).catch((error: unknown) => {
      this.#log.debug('this host could not announce itself', { reason: String(error) })
    })
  }
}
