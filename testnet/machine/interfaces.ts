import { readFileSync } from 'node:fs'

import type { Clock } from '../../src/runtime/clock.ts'
import type { LabNetwork, LinkCounters } from './network.ts'

/** What had passed the hosts' interfaces by some time, in the order of the hosts. */
export interface Look {
  at: number
  hosts: LinkCounters[]
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
    const hosts = this.#pids.map((pid) => countersOf(readFileSync(`/proc/${pid}/net/dev`, 'utf8')))
    this.looks.push({ at: this.#clock.now(), hosts })
  }
}

/** What passed `eth0`, by the text of /proc/PID/net/dev: eight numbers of what came, then those of what went. Pure. */
export function countersOf(text: string): LinkCounters {
  const numbers = /^\s*eth0:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? []
  return { receivedBytes: Number(numbers[0] ?? 0), sentBytes: Number(numbers[8] ?? 0) }
}

/** Bytes that each host sent from the first sample to the last. Pure. */
export function sentBetween(looks: readonly Look[]): number[] {
  const [first, last] = [looks[0], looks.at(-1)]
  if (first === undefined || last === undefined) return []
  return last.hosts.map(({ sentBytes }, host) => sentBytes - first.hosts[host]!.sentBytes)
}

/** The most that passed a host one way in any window of `windowMs` or little more, as bytes a second. Pure. */
export function busiestRate(
  looks: readonly Look[], host: number, way: keyof LinkCounters, windowMs: number,
): number {
  let most = 0
  let first = 0
  for (const look of looks) {
    // The last sample that is a whole window ago.
    while (look.at - (looks[first + 1]?.at ?? look.at) >= windowMs) first += 1
    const from = looks[first]!
    const ms = look.at - from.at
    if (ms >= windowMs) most = Math.max(most, ((look.hosts[host]![way] - from.hosts[host]![way]) / ms) * 1000)
  }
  return most
}

/** What a host sent while something was done; undefined where the network does not count. */
export async function sentDuring<T>(
  network: LabNetwork, host: string, work: () => Promise<T>,
): Promise<{ result: T; sentBytes: number | undefined }> {
  const before = await network.counters(host)
  const result = await work()
  const after = await network.counters(host)
  const isCounted = before !== undefined && after !== undefined
  return { result, sentBytes: isCounted ? after.sentBytes - before.sentBytes : undefined }
}
