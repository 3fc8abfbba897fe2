import type { Clock, Timer } from '../../runtime/clock.ts'
import { withDeadline } from '../../runtime/wait.ts'

const TICK_MS = 1_000
/** Ping period per peer; longer in a large mesh, so that a host pings PINGS_PER_SECOND peers a second. */
const PERIOD_MS_MIN = 4_000
const PINGS_PER_SECOND = 5
/** How long a peer may take to answer; longer in a large mesh. */
const TIMEOUT_MS_MIN = 8_000
const TIMEOUT_MS_PER_PEER = 400

interface PingerInit {
  /** Ids of the peers that are connected now. */
  peers: () => string[]
  ping: (peerId: string, signal: AbortSignal) => Promise<void>
  /** The peer did not answer. */
  drop: (peerId: string) => void
}

/** Detects peers that vanished without closing: in a small mesh within twelve seconds. */
export class Pinger {
  readonly #clock: Clock
  readonly #init: PingerInit
  readonly #askedAt = new Map<string, number>()
  readonly #stopped = new AbortController()
  readonly #timer: Timer

  /** Starts at once. */
  constructor(components: { clock: Clock }, init: PingerInit) {
    this.#clock = components.clock
    this.#init = init
    this.#timer = components.clock.every(TICK_MS, () => this.#tick())
  }

  stop(): void {
    this.#timer.cancel()
    this.#stopped.abort(new Error('the mesh stopped'))
  }

  #tick(): void {
    const now = this.#clock.now()
    const peers = new Set(this.#init.peers())
    for (const peerId of this.#askedAt.keys()) if (!peers.has(peerId)) this.#askedAt.delete(peerId)
    const periodMs = Math.max(PERIOD_MS_MIN, (peers.size / PINGS_PER_SECOND) * 1000)
    const due = [...peers].filter((peerId) => now - (this.#askedAt.get(peerId) ?? -Infinity) >= periodMs)
      .sort((a, b) => (this.#askedAt.get(a) ?? 0) - (this.#askedAt.get(b) ?? 0))
    for (const peerId of due.slice(0, PINGS_PER_SECOND)) {
      this.#askedAt.set(peerId, now)
      // Never rejects: it drops a peer that does not answer.
      void this.#ask(peerId, Math.max(TIMEOUT_MS_MIN, peers.size * TIMEOUT_MS_PER_PEER))
    }
  }

  async #ask(peerId: string, timeoutMs: number): Promise<void> {
    const { signal } = this.#stopped
    const late = (): Error => new Error('no answer in time')
    try {
      await withDeadline(this.#clock, { signal, limitMs: timeoutMs, late }, (within) => this.#init.ping(peerId, within))
    } catch {
      // A peer that does not answer is dropped, whatever the cause.
      if (!signal.aborted) this.#init.drop(peerId)
    }
  }
}
