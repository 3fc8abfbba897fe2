import { readFileSync } from 'node:fs'

import type { Clock } from '../../../src/runtime/clock.ts'

/** Bytes that the hosts' interfaces had sent by some time, in the order of the hosts. */
export interface Look {
  at: number
  sentBytes: number[]
}

const LOOK_EVERY_MS = 20

/** Samples the interfaces of hosts, each through a process on it: reading its /proc file is almost free. */
export class InterfaceWatch {
  readonly looks: Look[] = []
  readonly #clock: Clock
  readonly #pids: readonly number[]
  readonly #abort = new AbortController()
  #looking: Promise<void> = Promise.resolve()

  constructor(components: { clock: Clock }, init: { pids: readonly number[] }) {
    this.#clock = components.clock
    this.#pids = init.pids
  }

  start(): void {
    this.#looking = this.#look()
  }

  /** Takes the last sample. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#looking
    this.#lookOnce()
  }

  async #look(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      this.#lookOnce()
      // Rejects only with the signal, which the loop sees.
      await this.#clock.sleep(LOOK_EVERY_MS, this.#abort.signal).catch(() => undefined)
    }
  }

  #lookOnce(): void {
    const sentBytes = this.#pids.map((pid) => sentBytesOf(readFileSync(`/proc/${pid}/net/dev`, 'utf8')))
    this.looks.push({ at: this.#clock.now(), sentBytes })
  }
}

/** Bytes that `eth0` has sent, from the text of /proc/PID/net/dev, after eight numbers about received bytes. Pure. */
export function sentBytesOf(text: string): number {
  const numbers = /^\s*eth0:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? []
  return Number(numbers[8] ?? 0)
}

/** Bytes that each host sent from the first sample to the last. Pure. */
export function sentBetween(looks: readonly Look[]): number[] {
  const [first, last] = [looks[0], looks.at(-1)]
  if (first === undefined || last === undefined) return []
  return last.sentBytes.map((bytes, host) => bytes - first.sentBytes[host]!)
}

/** The highest rate of a host in any window of at least `windowMs`, bytes a second. Pure. */
export function busiestRate(looks: readonly Look[], host: number, windowMs: number): number {
  let most = 0
  let first = 0
  for (const look of looks) {
    // The last sample that is a whole window ago.
    while (look.at - (looks[first + 1]?.at ?? look.at) >= windowMs) first += 1
    const from = looks[first]!
    const ms = look.at - from.at
    if (ms >= windowMs) most = Math.max(most, ((look.sentBytes[host]! - from.sentBytes[host]!) / ms) * 1000)
  }
  return most
}
