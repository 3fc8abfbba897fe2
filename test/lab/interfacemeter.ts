import { systemClock } from '../../src/runtime/clock.ts'
import type { LabNetwork, LinkCounters } from '../../testnet/index.ts'

const LOOK_EVERY_MS = 50

/** Watches the bytes at a host's interface, for its busiest second. */
export class InterfaceMeter {
  readonly #network: LabNetwork
  readonly #host: string
  readonly #looks: ({ at: number } & LinkCounters)[] = []
  readonly #abort = new AbortController()
  #looking: Promise<void> = Promise.resolve()

  constructor(network: LabNetwork, host: string) {
    this.#network = network
    this.#host = host
  }

  start(): void {
    this.#looking = this.#look()
  }

  /** Ends the watch; the most bytes that any second had, either way, by the looks at its ends. */
  async stop(): Promise<{ mostSent: number; mostReceived: number }> {
    this.#abort.abort()
    await this.#looking
    return { mostSent: this.#most('sentBytes'), mostReceived: this.#most('receivedBytes') }
  }

  async #look(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      const counters = await this.#network.counters(this.#host)
      if (counters !== undefined) this.#looks.push({ at: systemClock.now(), ...counters })
      await systemClock.sleep(LOOK_EVERY_MS, this.#abort.signal).catch(() => undefined)
    }
  }

  /** Of windows of a second or a little less, brought up to a second: a longer one could hide a burst. */
  #most(way: keyof LinkCounters): number {
    let most = 0
    let first = 0
    for (const look of this.#looks) {
      while (look.at - this.#looks[first]!.at > 1000) first += 1
      const from = this.#looks[first]!
      const ms = look.at - from.at
      if (ms >= 1000 - 2 * LOOK_EVERY_MS) most = Math.max(most, ((look[way] - from[way]) / ms) * 1000)
    }
    return most
  }
}
