/** Three agents with probes, a guest that travels among them, hosts that come and go, and strangers. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { ask } from './asking.ts'
import { figuresOf, outsideOf, type Figures } from './figures.ts'
import { HOSTS, PROBES, type MonthHosts, type Outside } from './hosts.ts'
import type { JoinsAnswer, JoinsSettings } from './joinsprocess.ts'
import { PlayedHosts } from './playedhosts.ts'
import { RealHosts } from './realhosts.ts'
import type { StrangersAnswer, StrangersSettings } from './strangersprocess.ts'

const REST_MS_MAX = 90_000
const PATIENCE_MS_MAX = 15_000
/** At rest the descriptors stay the same for so long. */
const STILL_MS = 2000
const LOOK_PAUSE_MS = 250

export interface MonthLabInit {
  guests: 'real' | 'played'
  /** Of the strangers. */
  seed: number
  /** When strangers hang up at the latest; absent: some outlast the hosts. */
  patienceMsMax?: number
}

export class MonthLab {
  readonly hosts: MonthHosts
  readonly #joins: ChildProcess
  readonly #strangers: ChildProcess

  static async create({ guests, seed, patienceMsMax = PATIENCE_MS_MAX }: MonthLabInit): Promise<MonthLab> {
    const hosts = await (guests === 'real' ? RealHosts : PlayedHosts).create()
    const lab = new MonthLab(hosts, { seed, patienceMsMax })
    try {
      await lab.rest()
      return lab
    } catch (error) {
      const logs = lab.hosts.logs()
      await lab.close()
      throw new Error(`the agents do not come to rest: ${String(error)}\n${logs}`, { cause: error })
    }
  }

  private constructor(hosts: MonthHosts, { seed, patienceMsMax }: { seed: number; patienceMsMax: number }) {
    this.hosts = hosts
    const { clusterKey, bootstrap, outside, doors, directory } = hosts
    const joins: JoinsSettings = {
      clusterKey, bootstrap, address: outside.visitors.address, members: HOSTS.length,
      directory: join(directory, 'visiting'),
    }
    const strangers: StrangersSettings = {
      seed, doors, patienceMsMax, localAddress: outside.strangers.address,
    }
    this.#joins = start('joinsprocess.ts', outside.visitors, joins)
    this.#strangers = start('strangersprocess.ts', outside.strangers, strangers)
  }

  /** Hands the guest on, `count` times; returns each handoff's time, ms. Rejects if one fails. */
  async handoffs(count: number, first: number): Promise<number[]> {
    const times: number[] = []
    for (let number = first; number < first + count; number++) times.push(await this.hosts.handOff(number))
    return times
  }

  /** Resolves to the longest time that one took to see all members, ms. */
  async joins(count: number): Promise<number> {
    const answer = await ask<JoinsAnswer>(this.#joins, count)
    if ('error' in answer) throw new Error(answer.error)
    return answer.longestMs
  }

  async strangers(count: number): Promise<StrangersAnswer> {
    return await ask<StrangersAnswer>(this.#strangers, count)
  }

  /** Resolves when the agents see each other and nobody else, and neither handoffs nor connections come or go. */
  async rest(): Promise<void> {
    let last = ''
    let since = performance.now()
    await waitFor(async () => {
      const now = JSON.stringify(HOSTS.map((host) => outsideOf(this.hosts.pid(host))))
      if (now !== last) since = performance.now()
      last = now
      if (performance.now() - since < STILL_MS) return undefined
      // Who asks connects: nothing would ever be still if it were asked at each look.
      const quiet = await Promise.all(HOSTS.map(async (host) => await this.hosts.isQuiet(host)))
      if (!quiet.includes(false)) return true
      since = performance.now()
      return undefined
    }, { clock: systemClock, what: 'the agents to rest', timeoutMs: REST_MS_MAX, pauseMs: LOOK_PAUSE_MS })
  }

  async figures(): Promise<Record<string, Figures>> {
    const entries: [string, Figures][] = []
    for (const host of HOSTS) {
      entries.push([host, await figuresOf(this.hosts.pid(host), join(this.hosts.directory, PROBES))])
    }
    return Object.fromEntries(entries)
  }

  async close(): Promise<void> {
    for (const child of [this.#joins, this.#strangers]) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    await this.hosts.close()
  }
}

function start(script: string, { exec }: Outside, settings: object): ChildProcess {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const [program, ...words] = [...exec, process.execPath, path, JSON.stringify(settings)]
  return spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}
