import type { Clock, Timer } from '../../runtime/clock.ts'
import { Admission, type AdmissionLimits } from './admission.ts'

/** Bytes that a connection may send before it has proved the key; an honest one sends less than half. */
export const UNPROVEN_BYTES_MAX = 2 * 1024

/**
 * Overdue connections that are dropped at once, and the time between, ms. A crowd of strangers that reconnects as soon
 * as it is dropped must not delay a member.
 */
const DROPS_MAX = 25
const DROPS_EVERY_MS = 50

/** An incoming connection. */
export interface Arrival {
  /** The address it comes from. */
  host: string
  /** Closes it. */
  drop: (reason: string) => void
}

/** A connection that has not proved the key yet. Every method may be called at any time, and again. */
export interface Unproven {
  /** It sent something. */
  read(byteCount: number): void
  /** What it sent so far can be a member's: silent ones are dropped before it. */
  spoke(): void
  /** It cannot prove the key: it is dropped and counted as a stranger, unless it has left. */
  fail(reason: string): void
  /** It proved the key, or is closed. */
  leave(): void
}

interface ArrivalsInit {
  limits: AdmissionLimits
  /** Whether a member was met at this address before. */
  isKnown: (host: string) => boolean
  /** Called once for each connection that this host drops. */
  stranger: (host: string, reason: string) => void
}

/** The unproven connections of a port; drops those for which there is no room or no time. */
export class Arrivals {
  readonly #clock: Clock
  readonly #init: ArrivalsInit
  readonly #admission: Admission<Arrival>
  #timer: Timer | undefined

  constructor(components: { clock: Clock }, init: ArrivalsInit) {
    this.#clock = components.clock
    this.#init = init
    this.#admission = new Admission(init.limits)
  }

  arrived(arrival: Arrival): Unproven {
    const { host } = arrival
    const victim = this.#admission.arrive(arrival, { host, isKnown: this.#init.isKnown(host) }, this.#clock.now())
    if (victim !== undefined) this.#drop(victim, 'there was no room for it')
    this.#watch(0)
    let byteCount = 0
    const fail = (reason: string): void => {
      if (this.#admission.leave(arrival)) this.#drop(arrival, reason)
    }
    return {
      read: (count) => {
        byteCount += count
        if (byteCount > UNPROVEN_BYTES_MAX) fail('it sent too much before it proved the cluster key')
      },
      spoke: () => this.#admission.speak(arrival),
      fail,
      leave: () => { this.#admission.leave(arrival) },
    }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #drop(arrival: Arrival, reason: string): void {
    this.#init.stranger(arrival.host, reason)
    arrival.drop(reason)
  }

  #watch(delayMsMin: number): void {
    const { overdueAt } = this.#admission
    if (this.#timer !== undefined || overdueAt === undefined) return
    this.#timer = this.#clock.after(Math.max(delayMsMin, overdueAt - this.#clock.now()), () => {
      this.#timer = undefined
      for (const arrival of this.#admission.overdue(this.#clock.now(), DROPS_MAX)) {
        this.#admission.leave(arrival)
        this.#drop(arrival, 'it did not prove the cluster key in time')
      }
      this.#watch(DROPS_EVERY_MS)
    })
  }
}
